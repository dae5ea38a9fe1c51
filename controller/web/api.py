"""The JSON API on the unix socket: what `loa` says, said to the actions. Whoever may open the socket is an operator."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import State
from litestar.response import Stream
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from controller.actions import (
    areas,
    audit,
    carrying,
    documents,
    emergencies,
    media,
    nodes,
    orders,
    people,
    plays,
    refusals,
    status,
    views,
)
from controller.core.access import EVERYTHING, Duty
from controller.errors import Refused
from controller.parts import Actor, Parts

T = TypeVar("T")
Asked = Request[None, None, State]
MOST_BYTES: Final = 2_000_000


class _Node(Struct, kw_only=True):
    node: str
    name: str
    settlement: str
    report_key: str
    certificate_pem: str = ""


class _Settlements(Struct, kw_only=True):
    csv: str
    dry_run: bool = False


class _File(Struct, kw_only=True):
    path: str
    title: str


class _Person(Struct, kw_only=True):
    name: str
    full_name: str
    duties: tuple[Duty, ...] = ()


class _Duties(Struct, kw_only=True):
    duties: tuple[Duty, ...]


def _parts(request: Asked) -> Parts:
    return cast("Parts", request.app.state.parts)


def who_of(request: Asked) -> Actor:
    """The user of the process at the other end, as the kernel tells, with every duty.

    Who can open the socket owns the database beside it; their own name stands in the audit log.
    """
    name = request.scope["client"][0] if request.scope.get("client") else "unknown"  # type: ignore[index]  # tested just before
    return Actor(name=name, via="cli", duties=EVERYTHING)


async def _body(request: Asked, shape: type[T]) -> T:
    return msgspec.json.decode(await request.body(), type=shape)


def _json(value: Any) -> Response[bytes]:
    return Response(content=msgspec.json.encode(value), media_type="application/json", status_code=200)


@get("/v1/status")
async def get_status(request: Asked) -> Response[bytes]:
    """Time, links, counts."""
    return _json(await status.now(_parts(request), who_of(request)))


@get("/v1/areas")
async def get_areas(request: Asked) -> Response[bytes]:
    """All areas."""
    return _json(await areas.tree(_parts(request), who_of(request)))


@get("/v1/areas/search")
async def search_areas(request: Asked, q: str) -> Response[bytes]:
    """Areas by name."""
    return _json(await areas.search(_parts(request), who_of(request), q))


@get("/v1/areas/chain")
async def get_chain(request: Asked, area: str) -> Response[bytes]:
    """The areas above one."""
    return _json(await areas.chain(_parts(request), who_of(request), area))


@post("/v1/areas/settlements")
async def post_settlements(request: Asked) -> Response[bytes]:
    """Settlements from a CSV table."""
    body = await _body(request, _Settlements)
    return _json(await areas.add_settlements(_parts(request), who_of(request), body.csv, dry_run=body.dry_run))


@get("/v1/groups")
async def get_groups(request: Asked) -> Response[bytes]:
    """Groupings of communes."""
    return _json(await areas.groups(_parts(request), who_of(request)))


@get("/v1/nodes")
async def get_nodes(request: Asked, area: str | None = None) -> Response[bytes]:
    """Nodes, worst first."""
    return _json(await nodes.overview(_parts(request), who_of(request), area))


@get("/v1/nodes/{node:str}")
async def get_node(request: Asked, node: str) -> Response[bytes]:
    """One node."""
    return _json(await nodes.one(_parts(request), who_of(request), node))


@post("/v1/nodes")
async def post_node(request: Asked) -> Response[bytes]:
    """Enrol."""
    body = await _body(request, _Node)
    made = await nodes.enrol(_parts(request), who_of(request), body.node, body.name, body.settlement, body.report_key)
    return _json(made)


@delete("/v1/nodes/{node:str}", status_code=200)
async def delete_node(request: Asked, node: str) -> Response[bytes]:
    """Retire."""
    await nodes.retire(_parts(request), who_of(request), node)
    return _json({})


@get("/v1/documents")
async def get_documents(
    request: Asked, kind: str | None = None, subject: str | None = None, authority: str | None = None
) -> Response[bytes]:
    """Documents, the ones in force and older."""
    found = await documents.list_all(_parts(request), who_of(request), in_force=False)
    return _json(
        [
            view
            for view in found
            if kind in (None, view.kind) and subject in (None, view.subject) and authority in (None, view.authority)
        ]
    )


@get("/v1/documents/carried")
async def get_carried(request: Asked, place: str) -> Response[bytes]:
    """All that a node or an area needs by hand, in the order in which it can be taken in."""
    return _json(await carrying.carried(_parts(request), who_of(request), place))


@get("/v1/documents/context")
async def get_document_context(request: Asked, kind: str, subject: str, authority: str) -> Response[bytes]:
    """What an editor needs."""
    return _json(await documents.context(_parts(request), who_of(request), kind, subject, authority))


@get("/v1/documents/{digest:str}")
async def get_document(request: Asked, digest: str) -> Response[bytes]:
    """The sealed bytes."""
    raw = await documents.raw(_parts(request), who_of(request), digest)
    return Response(content=raw, media_type="application/octet-stream")


@post("/v1/documents")
async def post_document(request: Asked) -> Response[bytes]:
    """Take a sealed document in."""
    return _json(await documents.submit(_parts(request), who_of(request), await request.body()))


@post("/v1/root")
async def post_root(request: Asked, digest: str) -> Response[bytes]:
    """Pin the first root."""
    return _json(await documents.pin_root(_parts(request), who_of(request), await request.body(), digest))


@get("/v1/orders/context")
async def get_order_context(request: Asked, area: str) -> Response[bytes]:
    """What a signer needs."""
    return _json(await orders.context(_parts(request), who_of(request), area))


@get("/v1/orders/{digest:str}")
async def get_order(request: Asked, digest: str) -> Response[bytes]:
    """The sealed bytes."""
    raw = await orders.raw_of(_parts(request), who_of(request), digest)
    return Response(content=raw, media_type="application/octet-stream")


@post("/v1/orders")
async def post_order(request: Asked) -> Response[bytes]:
    """Take a sealed order in."""
    return _json(await orders.submit(_parts(request), who_of(request), await request.body()))


@post("/v1/emergencies/service")
async def post_service(request: Asked) -> Response[bytes]:
    """A relay's START: recordings that the commune's grant lists, sealed by the signer."""
    return _json(await emergencies.start_by_service(_parts(request), who_of(request), await _body(request, views.Request)))


@get("/v1/incidents")
async def get_incidents(request: Asked, since_ms: int = 0) -> Response[bytes]:
    """Incidents, newest first."""
    return _json(await emergencies.incidents(_parts(request), who_of(request), since_ms))


@get("/v1/incidents/{incident:str}")
async def get_incident(request: Asked, incident: str) -> Response[bytes]:
    """One incident with its rows."""
    return _json(await emergencies.progress(_parts(request), who_of(request), incident))


@get("/v1/media")
async def get_media(request: Asked) -> Response[bytes]:
    """The library."""
    return _json(await media.list_all(_parts(request), who_of(request)))


@post("/v1/media")
async def post_media(request: Asked) -> Stream:
    """Prepare a file of this machine; JSON lines of progress, the last with the result."""
    body, parts, who = await _body(request, _File), _parts(request), who_of(request)
    lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def work() -> None:
        try:
            made = await media.add(
                parts, who, Path(body.path), body.title, lambda step, done: lines.put_nowait({"step": step, "done": done})
            )
            lines.put_nowait({"media": msgspec.to_builtins(made)})
        except Refused as refused:
            lines.put_nowait({"error": refused.sentence, "code": refused.code})

    async def tell() -> AsyncIterator[bytes]:
        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            ended = False
            while not ended:
                line = await lines.get()
                ended = "media" in line or "error" in line
                yield json.dumps(line).encode() + b"\n"

    return Stream(tell(), media_type="application/x-ndjson", status_code=200)


@get("/v1/people")
async def get_people(request: Asked) -> Response[bytes]:
    """Who may sign in."""
    return _json(await people.list_all(_parts(request), who_of(request)))


@post("/v1/people")
async def post_person(request: Asked) -> Response[bytes]:
    """A new person, with the first password."""
    body = await _body(request, _Person)
    return _json(await people.create(_parts(request), who_of(request), body.name, body.full_name, body.duties))


@post("/v1/people/{name:str}/grant")
async def post_grant(request: Asked, name: str) -> Response[bytes]:
    """More duties."""
    return _json(await people.grant(_parts(request), who_of(request), name, (await _body(request, _Duties)).duties))


@post("/v1/people/{name:str}/revoke")
async def post_revoke(request: Asked, name: str) -> Response[bytes]:
    """Fewer duties."""
    return _json(await people.revoke(_parts(request), who_of(request), name, (await _body(request, _Duties)).duties))


@post("/v1/people/{name:str}/reset-second-factor")
async def post_reset_factor(request: Asked, name: str) -> Response[bytes]:
    """Take a lost telephone's codes away."""
    return _json(await people.reset_second_factor(_parts(request), who_of(request), name))


@post("/v1/people/{name:str}/reset")
async def post_reset(request: Asked, name: str) -> Response[bytes]:
    """A new first password."""
    return _json(await people.reset(_parts(request), who_of(request), name))


@post("/v1/people/{name:str}/disable")
async def post_disable(request: Asked, name: str) -> Response[bytes]:
    """End somebody's access."""
    await people.shut_out(_parts(request), who_of(request), name)
    return _json({})


@post("/v1/people/{name:str}/enable")
async def post_enable(request: Asked, name: str) -> Response[bytes]:
    """Give it back."""
    await people.shut_out(_parts(request), who_of(request), name, disabled=False)
    return _json({})


@get("/v1/plays")
async def get_plays(
    request: Asked, node: str | None = None, since_ms: int = 0, until_ms: int | None = None, limit: int = 500
) -> Response[bytes]:
    """Proof of play."""
    return _json(await plays.list_all(_parts(request), who_of(request), node, since_ms, until_ms, limit))


@get("/v1/refusals")
async def get_refusals(request: Asked, node: str | None = None) -> Response[bytes]:
    """What was refused."""
    return _json(await refusals.list_all(_parts(request), who_of(request), node))


@get("/v1/audit")
async def get_audit(request: Asked, limit: int = 500) -> Response[bytes]:
    """What people did."""
    return _json(await audit.list_all(_parts(request), who_of(request), limit))


routes: Final[list[ControllerRouterHandler]] = [
    get_status,
    get_areas,
    search_areas,
    get_chain,
    post_settlements,
    get_groups,
    get_nodes,
    get_node,
    post_node,
    delete_node,
    get_documents,
    get_carried,
    get_document_context,
    get_document,
    post_document,
    post_root,
    get_order_context,
    get_order,
    post_order,
    post_service,
    get_incidents,
    get_incident,
    get_media,
    post_media,
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
