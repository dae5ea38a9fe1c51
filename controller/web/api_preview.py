"""The timetable ahead in the JSON API, as it stands and with a draft."""

from typing import Final

from litestar import Response, get, post
from litestar.params import FromQuery
from litestar.types import ControllerRouterHandler

from controller.actions import preview
from controller.actions.preview_views import PreviewRequest
from controller.web.local import Asked, as_json, body_of, who_of
from controller.web.visitor import parts_of


@get("/v1/preview")
async def get_preview(
    request: Asked,
    area: FromQuery[str],
    days: FromQuery[int] = 7,
    from_ms: FromQuery[int | None] = None,
    node: FromQuery[str | None] = None,
) -> Response[bytes]:
    """What will sound in an area."""
    return as_json(await preview.area(parts_of(request), who_of(request), area, days, from_ms, node))


@post("/v1/preview")
async def post_preview(request: Asked) -> Response[bytes]:
    """The same as if a draft were published."""
    asked = await body_of(request, PreviewRequest)
    return as_json(await preview.draft(parts_of(request), who_of(request), asked))


routes: Final[list[ControllerRouterHandler]] = [get_preview, post_preview]
