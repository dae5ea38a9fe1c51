"""Reports on the unix socket: plan against plays, as totals, or every line as it is found."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from litestar import Response, get
from litestar.params import Parameter
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from controller.actions import plan_reports
from controller.web.local import Asked, Limit, as_json, who_of
from controller.web.visitor import parts_of

Every = Annotated[int, Parameter(ge=0, le=1)]


@get("/v1/report/plays")
async def get_plan_report(
    request: Asked, area: str, first: str = "", last: str = "", node: str | None = None, limit: Limit = 200
) -> Response[bytes]:
    """Totals, and the worst of what went wrong. Days are written dd/mm/yyyy; none is today."""
    parts = parts_of(request)
    asked = plan_reports.asked_of(parts, who_of(request), area, first, last, node)
    found = await plan_reports.report(parts, asked, node=node, limit=limit)
    return as_json(found)


@get("/v1/report/plays/lines")
async def get_plan_lines(
    request: Asked,
    area: str,
    first: str = "",
    last: str = "",
    node: str | None = None,
    limit: Limit = 200,
    every: Every = 0,
) -> Stream:
    """JSON lines, one a node (with every=1 all its planned bulletins and what became of them), at the end the report."""
    parts = parts_of(request)
    asked = plan_reports.asked_of(parts, who_of(request), area, first, last, node)

    async def tell() -> AsyncIterator[bytes]:
        async for each in plan_reports.lines(parts, asked, node=node, limit=limit, every=bool(every)):
            yield msgspec.json.encode(each) + b"\n"

    return Stream(tell(), media_type="application/x-ndjson", status_code=200)


routes: Final[list[ControllerRouterHandler]] = [get_plan_report, get_plan_lines]
