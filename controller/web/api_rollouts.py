"""The JSON API of fleet upgrades: planned, started, watched, paused, resumed, aborted; and the bundles that they need."""

from pathlib import Path
from typing import Final

from litestar import Response, get, post
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from controller.actions import nodes, releases, rollout_plans, rollouts
from controller.actions.rollout_views import RolloutWish
from controller.web.local import Asked, as_json, body_of, who_of
from controller.web.visitor import parts_of


class _Reason(Struct, kw_only=True):
    reason: str = ""


class _Model(Struct, kw_only=True):
    model: str


class _File(Struct, kw_only=True):
    path: str


@post("/v1/rollouts/plan")
async def post_plan(request: Asked) -> Response[bytes]:
    """What a rollout would do."""
    return as_json(await rollout_plans.plan(parts_of(request), who_of(request), await body_of(request, RolloutWish)))


@post("/v1/rollouts")
async def post_rollout(request: Asked) -> Response[bytes]:
    """Begin one."""
    return as_json(await rollouts.start(parts_of(request), who_of(request), await body_of(request, RolloutWish)))


@get("/v1/rollouts")
async def get_rollouts(request: Asked) -> Response[bytes]:
    """All of them, newest first."""
    return as_json(await rollouts.list_all(parts_of(request), who_of(request)))


@get("/v1/rollouts/{number:int}")
async def get_rollout(request: Asked, number: int) -> Response[bytes]:
    """One with its nodes."""
    return as_json(await rollouts.one(parts_of(request), who_of(request), number))


@post("/v1/rollouts/{number:int}/pause")
async def post_pause(request: Asked, number: int) -> Response[bytes]:
    """Offer nothing new."""
    body = await body_of(request, _Reason)
    return as_json(await rollouts.pause(parts_of(request), who_of(request), number, body.reason))


@post("/v1/rollouts/{number:int}/resume")
async def post_resume(request: Asked, number: int) -> Response[bytes]:
    """Go on."""
    body = await body_of(request, _Reason)
    return as_json(await rollouts.resume(parts_of(request), who_of(request), number, body.reason))


@post("/v1/rollouts/{number:int}/abort")
async def post_abort(request: Asked, number: int) -> Response[bytes]:
    """Take back what did not begin."""
    body = await body_of(request, _Reason)
    return as_json(await rollouts.abort(parts_of(request), who_of(request), number, body.reason))


@post("/v1/bundles")
async def post_bundle(request: Asked) -> Response[bytes]:
    """A bundle of this machine into the library."""
    body = await body_of(request, _File)
    return as_json({"sha256": await releases.add_bundle(parts_of(request), who_of(request), Path(body.path))})


@post("/v1/nodes/{node:str}/model")
async def post_model(request: Asked, node: str) -> Response[bytes]:
    """What kind of machine a node is."""
    body = await body_of(request, _Model)
    return as_json(await nodes.set_model(parts_of(request), who_of(request), node, body.model))


routes: Final[list[ControllerRouterHandler]] = [
    post_plan,
    post_rollout,
    get_rollouts,
    get_rollout,
    post_pause,
    post_resume,
    post_abort,
    post_bundle,
    post_model,
]
