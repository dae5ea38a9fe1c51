"""The JSON API of keys that are suspended, and of nodes whose identity is in doubt."""

from typing import Final

from litestar import Response, get, post
from litestar.types import ControllerRouterHandler

from controller.actions import doubts, suspends
from controller.web.local import Asked, as_json, who_of
from controller.web.visitor import parts_of


@get("/v1/suspends")
async def get_suspends(request: Asked) -> Response[bytes]:
    """What is suspended, and who holds it."""
    return as_json(await suspends.list_all(parts_of(request), who_of(request)))


@post("/v1/suspends")
async def post_suspend(request: Asked) -> Response[bytes]:
    """Take a sealed suspension, or its lift, in."""
    return as_json(await suspends.submit(parts_of(request), who_of(request), await request.body()))


@post("/v1/nodes/{node:str}/settled")
async def post_settled(request: Asked, node: str) -> Response[bytes]:
    """Somebody looked at a node whose identity was in doubt."""
    return as_json(await doubts.settle(parts_of(request), who_of(request), node))


routes: Final[list[ControllerRouterHandler]] = [get_suspends, post_suspend, post_settled]
