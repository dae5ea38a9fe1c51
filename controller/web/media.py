"""/media/<sha256>, /documents: sounds in ranges, and all its documents, for a node on the word of a statement that it sealed."""

import base64
import binascii
from collections.abc import Iterator
from typing import Final, cast

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import FromPath
from litestar.response import Stream

from controller.actions import carrying, media
from controller.errors import Refused
from controller.media import open_range, parse_range
from controller.media_refused import RangeUnsatisfiable
from controller.parts import Parts
from controller.web.answers import refused

SCHEME: Final = "Loa "
STATEMENT_BYTES: Final = 8_192
TYPE: Final = "audio/x-matroska"


def _statement(header: str | None) -> bytes:
    if header is None or not header.startswith(SCHEME) or len(header) > STATEMENT_BYTES:
        raise Refused("say who asks: `Authorization: Loa <base64 of a sealed statement>`", code="no-statement", status=401)
    try:
        return base64.b64decode(header.removeprefix(SCHEME), validate=True)
    except binascii.Error as error:
        raise Refused(f"the statement is not base64: {error}", code="no-statement", status=401) from error


@get("/documents", exception_handlers={Refused: refused}, include_in_schema=False)
async def give_documents(request: Request[None, None, State]) -> Response[bytes]:
    """All that this node should hold, roots from the first on: a JSON list of sealed documents."""
    parts = cast("Parts", request.app.state.parts)
    raws = await carrying.for_node(parts, _statement(request.headers.get("authorization")))
    return Response(content=msgspec.json.encode(raws), media_type="application/json", status_code=200)


@get("/media/{sha256:str}", exception_handlers={Refused: refused}, include_in_schema=False)
async def give(request: Request[None, None, State], sha256: FromPath[str]) -> Response[bytes] | Stream:
    """The file or a range of it."""
    parts = cast("Parts", request.app.state.parts)
    path = await media.may_fetch(parts, _statement(request.headers.get("authorization")), sha256)
    size = path.stat().st_size
    headers = {"etag": f'"{sha256}"', "accept-ranges": "bytes", "cache-control": "private, max-age=31536000, immutable"}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(content=b"", status_code=304, headers=headers)
    asked = request.headers.get("range")
    if request.headers.get("if-range", headers["etag"]) != headers["etag"]:
        asked = None
    try:
        span = parse_range(asked, size)
    except RangeUnsatisfiable:
        return Response(content=b"", status_code=416, headers={"content-range": f"bytes */{size}"})
    first, last = span or (0, size - 1)
    headers["content-length"] = str(last - first + 1)
    if span is not None:
        headers["content-range"] = f"bytes {first}-{last}/{size}"

    def chunks() -> Iterator[bytes]:
        yield from open_range(parts.config.library, sha256, first, last)

    return Stream(chunks(), status_code=200 if span is None else 206, headers=headers, media_type=TYPE)
