"""An incident as it happens, one row a node; and STOP and LIFT, of an incident or of everything in an area."""

from typing import Final, Literal

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from controller.actions import emergencies, wanted
from controller.errors import Refused
from controller.web import board, places, written
from controller.web.frame import page
from controller.web.render import joined
from controller.web.sign import to_signing
from controller.web.texts import say
from controller.web.visitor import parts_of, visitor_of

LISTED_MS: Final = 90 * 86_400_000


@get("/incidents")
async def incidents(request: Request[None, None, State]) -> Response[str]:
    """The last 90 days, newest first."""
    parts = parts_of(request)
    found = await emergencies.incidents(parts, visitor_of(request).actor, parts.now_ms() - LISTED_MS)
    return await page(request, "incidents.html", incidents=found, of_area=board.of_area)


@get("/incident/{incident_id:str}")
async def incident(request: Request[None, None, State], incident_id: FromPath[str]) -> Response[str]:
    """One incident, live."""
    visitor = visitor_of(request)
    found = await emergencies.progress(parts_of(request), visitor.actor, incident_id)
    regions = board.incident_parts(found, visitor)
    return await page(
        request,
        "incident.html",
        mode="" if board.of_area(found) else "exercise" if found.kind == "exercise" else "live",
        events=f"/events?incident={incident_id}",
        incident=found,
        steps=joined(regions["steps"]),
        acts=joined(regions["acts"]),
        rows=regions["rows"],
        known_langs=written.LANGS,
    )


@post("/incident/{incident_id:str}/stop", status_code=303)
async def stop_incident(request: Request[None, None, State], incident_id: FromPath[str]) -> Redirect:
    """STOP this incident everywhere it sounds: one press here, one on the signing page."""
    form = await request.form()
    reason = written.tidy(form.get("reason", ""))[:300]
    return to_signing(request, await wanted.end(parts_of(request), visitor_of(request).actor, "STOP", incident_id, (), reason))


@post("/incident/{incident_id:str}/lift", status_code=303)
async def lift_incident(request: Request[None, None, State], incident_id: FromPath[str]) -> Redirect:
    """Let sound through again where this incident was stopped (or the area, when the STOP was of a whole area)."""
    parts, actor = parts_of(request), visitor_of(request).actor
    stopped = await emergencies.progress(parts, actor, incident_id)
    whole_area = board.of_area(stopped)
    areas = stopped.areas if whole_area else ()
    return to_signing(request, await wanted.end(parts, actor, "LIFT", None if whole_area else incident_id, areas))


@post("/incident/{incident_id:str}/again", status_code=303)
async def say_again(request: Request[None, None, State], incident_id: FromPath[str]) -> Redirect:
    """Sign the same once more, for the nodes that have no clock and could not judge the first."""
    return to_signing(request, await wanted.again(parts_of(request), visitor_of(request).actor, incident_id))


@get("/stop")
async def stop_form(request: Request[None, None, State], q: FromQuery[str] = "", area: FromQuery[str] = "") -> Response[str]:
    """STOP of a whole area: choose it, then one press."""
    parts, who = parts_of(request), visitor_of(request).actor
    chosen = await places.find(parts, who, area) if area else None
    found = [] if chosen else await places.search(parts, who, q) if q.strip() else await places.offered(parts, who)
    return await page(request, "stop.html", q=q, chosen=chosen, places=found, onward="/stop")


@post("/stop", status_code=303)
async def stop_area(request: Request[None, None, State]) -> Redirect:
    """STOP everything in an area, or lift that."""
    form = await request.form()
    parts, visitor = parts_of(request), visitor_of(request)
    place = await places.find(parts, visitor.actor, str(form.get("area", "")))
    if place is None:
        raise Refused(say("wrong.area", visitor.tongue), code="no-area", status=404)
    reason = written.tidy(form.get("reason", ""))[:300]
    act: Literal["STOP", "LIFT"] = "LIFT" if form.get("do") == "lift" else "STOP"
    return to_signing(request, await wanted.end(parts, visitor.actor, act, None, place.areas, reason))
