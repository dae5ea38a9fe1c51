"""People and what they and the nodes did, on the unix socket: accounts and duties, plays, refusals, the audit log."""

from typing import Final

from litestar import Response, get, post
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from controller.actions import audit, people, plays, refusals
from controller.core.access import Duty
from controller.web.local import Asked, At, Limit, as_json, body_of, who_of
from controller.web.visitor import parts_of


class _Person(Struct, kw_only=True):
    name: str
    full_name: str
    duties: tuple[Duty, ...] = ()


class _Duties(Struct, kw_only=True):
    duties: tuple[Duty, ...]


@get("/v1/people")
async def get_people(request: Asked) -> Response[bytes]:
    """Who may sign in."""
    return as_json(await people.list_all(parts_of(request), who_of(request)))


@post("/v1/people")
async def post_person(request: Asked) -> Response[bytes]:
    """A new person, with the first password."""
    body = await body_of(request, _Person)
    return as_json(await people.create(parts_of(request), who_of(request), body.name, body.full_name, body.duties))


@post("/v1/people/{name:str}/grant")
async def post_grant(request: Asked, name: str) -> Response[bytes]:
    """More duties."""
    return as_json(await people.grant(parts_of(request), who_of(request), name, (await body_of(request, _Duties)).duties))


@post("/v1/people/{name:str}/revoke")
async def post_revoke(request: Asked, name: str) -> Response[bytes]:
    """Fewer duties."""
    return as_json(await people.revoke(parts_of(request), who_of(request), name, (await body_of(request, _Duties)).duties))


@post("/v1/people/{name:str}/reset-second-factor")
async def post_reset_factor(request: Asked, name: str) -> Response[bytes]:
    """Take a lost telephone's codes away."""
    return as_json(await people.reset_second_factor(parts_of(request), who_of(request), name))


@post("/v1/people/{name:str}/reset")
async def post_reset(request: Asked, name: str) -> Response[bytes]:
    """A new first password."""
    return as_json(await people.reset(parts_of(request), who_of(request), name))


@post("/v1/people/{name:str}/disable")
async def post_disable(request: Asked, name: str) -> Response[bytes]:
    """End somebody's access."""
    await people.shut_out(parts_of(request), who_of(request), name)
    return as_json({})


@post("/v1/people/{name:str}/enable")
async def post_enable(request: Asked, name: str) -> Response[bytes]:
    """Give it back."""
    await people.shut_out(parts_of(request), who_of(request), name, disabled=False)
    return as_json({})


@get("/v1/plays")
async def get_plays(
    request: Asked, node: str | None = None, since_ms: At = 0, until_ms: At | None = None, limit: Limit = 500
) -> Response[bytes]:
    """Proof of play."""
    return as_json(await plays.list_all(parts_of(request), who_of(request), node, since_ms, until_ms, limit))


@get("/v1/refusals")
async def get_refusals(request: Asked, node: str | None = None) -> Response[bytes]:
    """What was refused."""
    return as_json(await refusals.list_all(parts_of(request), who_of(request), node))


@get("/v1/audit")
async def get_audit(request: Asked, limit: Limit = 500) -> Response[bytes]:
    """What people did."""
    return as_json(await audit.list_all(parts_of(request), who_of(request), limit))


routes: Final[list[ControllerRouterHandler]] = [
    get_people,
    post_person,
    post_grant,
    post_revoke,
    post_reset_factor,
    post_reset,
    post_disable,
    post_enable,
    get_plays,
    get_refusals,
    get_audit,
]
