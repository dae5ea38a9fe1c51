"""A whole page for someone who is logged in: the frame with the STOP bar, the controller's own troubles, and its event stream."""

from litestar import Response

from controller.web import board
from controller.web.render import html
from controller.web.visitor import Asked, parts_of, visitor_of


async def page(
    request: Asked, template: str, /, *, status: int = 200, events: str = "/events", mode: str = "", **values: object
) -> Response[str]:
    """Draw a page. `mode` is `live` or `exercise` when all of the page is about one, `events` the stream that keeps it fresh."""
    visitor, parts = visitor_of(request), parts_of(request)
    inside = visitor.inside
    bar = await board.bottom(parts, visitor) if inside else []
    return html(
        request,
        template,
        status=status,
        now_ms=parts.now_ms(),
        active=bar,
        troubles=await board.troubles(parts, visitor) if inside else [],
        events=events if inside else "",
        mode=mode,
        may_start=visitor.may_start,
        **values,
    )


def wrong(request: Asked, sentence: str, status: int, onward: str = "/") -> Response[str]:
    """A page that says why something was not done. Exception handlers cannot wait, so its STOP bar comes by the event stream."""
    visitor = visitor_of(request)
    inside = visitor.inside
    return html(
        request,
        "wrong.html",
        status=status,
        now_ms=parts_of(request).now_ms(),
        active=(),
        troubles=(),
        events="/events" if inside else "",
        mode="",
        may_start=False,
        sentence=sentence,
        onward=onward,
    )
