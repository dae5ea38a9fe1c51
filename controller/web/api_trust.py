"""The JSON API of keys that are suspended, and of nodes whose identity is in doubt."""

from typing import Final, cast

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

from controller.actions import doubts, suspends
from controller.parts import Actor, Parts

Asked = Request[None, None, State]


def _parts(request: Asked) -> Parts:
    return cast("Parts", request.app.state.parts)


def _who(request: Asked) -> Actor:
    name = request.scope["client"][0] if request.scope.get("client") else "unknown"  # type: ignore[index]  # tested just before
    return Actor(name=name, via="cli")


def _json(value: object) -> Response[bytes]:
    return Response(content=msgspec.json.encode(value), media_type="application/json", status_code=200)


@get("/v1/suspends")
async def get_suspends(request: Asked) -> Response[bytes]:
    """What is suspended, and who holds it."""
    return _json(await suspends.list_all(_parts(request)))


@post("/v1/suspends")
async def post_suspend(request: Asked) -> Response[bytes]:
    """Take a sealed suspension, or its lift, in."""
    return _json(await suspends.submit(_parts(request), _who(request), await request.body()))


@post("/v1/nodes/{node:str}/settled")
async def post_settled(request: Asked, node: str) -> Response[bytes]:
    """Somebody looked at a node whose identity was in doubt."""
    return _json(await doubts.settle(_parts(request), _who(request), node))


routes: Final[list[ControllerRouterHandler]] = [get_suspends, post_suspend, post_settled]
