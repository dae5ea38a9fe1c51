"""How refusals become HTTP answers, the same on both sockets."""

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from controller.errors import Refused

Asked = Request[None, None, State]


def refused(_request: Asked, error: Refused) -> Response[bytes]:
    """{"error": sentence, "code": code} with the status that fits."""
    headers = {"retry-after": str(error.wait_s)} if error.wait_s else {}
    return _json({"error": error.sentence, "code": error.code}, error.status, headers)


def http_error(_request: Asked, error: HTTPException) -> Response[bytes]:
    """The same shape for what the framework refuses by itself."""
    return _json({"error": error.detail, "code": "http"}, error.status_code, {})


def malformed(_request: Asked, error: Exception) -> Response[bytes]:
    """A body that is not what the route takes."""
    return _json({"error": f"the request is not understood: {error}", "code": "malformed"}, 400, {})


def _json(body: dict[str, str], status: int, headers: dict[str, str]) -> Response[bytes]:
    return Response(content=msgspec.json.encode(body), status_code=status, media_type="application/json", headers=headers)
