"""The JSON API on the unix socket: what `loa` says, said to the actions. Whoever may open the socket has every duty."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Response, delete, get, post
from litestar.response import Stream
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from controller.actions import (
    areas,
    carrying,
    documents,
    emergencies,
    media,
    nodes,
    orders,
    status,
    views,
)
from controller.errors import Refused
from controller.web.local import Asked, At, as_json, body_of, who_of
from controller.web.visitor import parts_of

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


@get("/v1/status")
async def get_status(request: Asked) -> Response[bytes]:
    """Time, links, counts."""
    return as_json(await status.now(parts_of(request), who_of(request)))


@get("/v1/areas")
async def get_areas(request: Asked) -> Response[bytes]:
    """All areas."""
    return as_json(await areas.tree(parts_of(request), who_of(request)))


@get("/v1/areas/search")
async def search_areas(request: Asked, q: str) -> Response[bytes]:
    """Areas by name."""
    return as_json(await areas.search(parts_of(request), who_of(request), q))


@get("/v1/areas/chain")
async def get_chain(request: Asked, area: str) -> Response[bytes]:
    """The areas above one."""
    return as_json(await areas.chain(parts_of(request), who_of(request), area))


@post("/v1/areas/settlements")
async def post_settlements(request: Asked) -> Response[bytes]:
    """Settlements from a CSV table."""
    body = await body_of(request, _Settlements)
    return as_json(await areas.add_settlements(parts_of(request), who_of(request), body.csv, dry_run=body.dry_run))


@get("/v1/groups")
async def get_groups(request: Asked) -> Response[bytes]:
    """Groupings of communes."""
    return as_json(await areas.groups(parts_of(request), who_of(request)))


@get("/v1/nodes")
async def get_nodes(request: Asked, area: str | None = None) -> Response[bytes]:
    """Nodes, worst first."""
    return as_json(await nodes.overview(parts_of(request), who_of(request), area))


@get("/v1/nodes/{node:str}")
async def get_node(request: Asked, node: str) -> Response[bytes]:
    """One node."""
    return as_json(await nodes.one(parts_of(request), who_of(request), node))


@post("/v1/nodes")
async def post_node(request: Asked) -> Response[bytes]:
    """Enrol."""
    body = await body_of(request, _Node)
    made = await nodes.enrol(parts_of(request), who_of(request), body.node, body.name, body.settlement, body.report_key)
    return as_json(made)


@delete("/v1/nodes/{node:str}", status_code=200)
async def delete_node(request: Asked, node: str) -> Response[bytes]:
    """Retire."""
    await nodes.retire(parts_of(request), who_of(request), node)
    return as_json({})


@get("/v1/documents")
async def get_documents(
    request: Asked, kind: str | None = None, subject: str | None = None, authority: str | None = None
) -> Response[bytes]:
    """Documents, the ones in force and older."""
    found = await documents.list_all(parts_of(request), who_of(request), in_force=False)
    return as_json(
        [
            view
            for view in found
            if kind in (None, view.kind) and subject in (None, view.subject) and authority in (None, view.authority)
        ]
    )


@get("/v1/documents/carried")
async def get_carried(request: Asked, place: str) -> Response[bytes]:
    """All that a node or an area needs by hand, in the order in which it can be taken in."""
    return as_json(await carrying.carried(parts_of(request), who_of(request), place))


@get("/v1/documents/context")
async def get_document_context(request: Asked, kind: str, subject: str, authority: str) -> Response[bytes]:
    """What an editor needs."""
    return as_json(await documents.context(parts_of(request), who_of(request), kind, subject, authority))


@get("/v1/documents/{digest:str}")
async def get_document(request: Asked, digest: str) -> Response[bytes]:
    """The sealed bytes."""
    raw = await documents.raw(parts_of(request), who_of(request), digest)
    return Response(content=raw, media_type="application/octet-stream")


@post("/v1/documents")
async def post_document(request: Asked) -> Response[bytes]:
    """Take a sealed document in."""
    return as_json(await documents.submit(parts_of(request), who_of(request), await request.body()))


@post("/v1/root")
async def post_root(request: Asked, digest: str) -> Response[bytes]:
    """Pin the first root."""
    return as_json(await documents.pin_root(parts_of(request), who_of(request), await request.body(), digest))


@get("/v1/orders/context")
async def get_order_context(request: Asked, area: str) -> Response[bytes]:
    """What a signer needs."""
    return as_json(await orders.context(parts_of(request), who_of(request), area))


@get("/v1/orders/{digest:str}")
async def get_order(request: Asked, digest: str) -> Response[bytes]:
    """The sealed bytes."""
    raw = await orders.raw_of(parts_of(request), who_of(request), digest)
    return Response(content=raw, media_type="application/octet-stream")


@post("/v1/orders")
async def post_order(request: Asked) -> Response[bytes]:
    """Take a sealed order in."""
    return as_json(await orders.submit(parts_of(request), who_of(request), await request.body()))


@post("/v1/emergencies/service")
async def post_service(request: Asked) -> Response[bytes]:
    """A relay's START: recordings that the commune's grant lists, sealed by the signer."""
    return as_json(await emergencies.start_by_service(parts_of(request), who_of(request), await body_of(request, views.Request)))


@get("/v1/incidents")
async def get_incidents(request: Asked, since_ms: At = 0) -> Response[bytes]:
    """Incidents, newest first."""
    return as_json(await emergencies.incidents(parts_of(request), who_of(request), since_ms))


@get("/v1/incidents/{incident:str}")
async def get_incident(request: Asked, incident: str) -> Response[bytes]:
    """One incident with its rows."""
    return as_json(await emergencies.progress(parts_of(request), who_of(request), incident))


@get("/v1/media")
async def get_media(request: Asked) -> Response[bytes]:
    """The library."""
    return as_json(await media.list_all(parts_of(request), who_of(request)))


@post("/v1/media")
async def post_media(request: Asked) -> Stream:
    """Prepare a file of this machine; JSON lines of progress, the last with the result."""
    body, parts, who = await body_of(request, _File), parts_of(request), who_of(request)
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
]
