"""The timetable ahead in the JSON API, as it stands and with a draft."""

from typing import Final

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromQuery
from litestar.types import ControllerRouterHandler

from controller.actions import preview
from controller.actions.preview_views import PreviewRequest, PreviewView
from controller.web.api import who_of
from controller.web.visitor import parts_of

Asked = Request[None, None, State]


def _json(view: PreviewView) -> Response[bytes]:
    return Response(content=msgspec.json.encode(view), media_type="application/json", status_code=200)


@get("/v1/preview")
async def get_preview(
    request: Asked,
    area: FromQuery[str],
    days: FromQuery[int] = 7,
    from_ms: FromQuery[int | None] = None,
    node: FromQuery[str | None] = None,
) -> Response[bytes]:
    """What will sound in an area."""
    return _json(await preview.area(parts_of(request), who_of(request), area, days, from_ms, node))


@post("/v1/preview")
async def post_preview(request: Asked) -> Response[bytes]:
    """The same as if a draft were published."""
    asked = msgspec.json.decode(await request.body(), type=PreviewRequest)
    return _json(await preview.draft(parts_of(request), who_of(request), asked))


routes: Final[list[ControllerRouterHandler]] = [get_preview, post_preview]
