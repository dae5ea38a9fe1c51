"""One's own account: the second factor, set up once and given at each sign-in, and the browsers where one is signed in."""

from typing import Final

import segno
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromQuery
from litestar.response import Redirect
from markupsafe import Markup

from controller.actions import second_factor as factors
from controller.actions import sessions
from controller.core import totp
from controller.errors import Refused
from controller.web.frame import page
from controller.web.login import sentence_of, with_session
from controller.web.render import go, local
from controller.web.texts import say
from controller.web.visitor import Asked, caller_of, parts_of, visitor_of

ISSUER: Final = "Loa"


def _picture(secret: bytes, name: str, host: str) -> Markup:
    """The secret as a QR code: dark modules on white whatever the page's colours, or cameras do not read it."""
    code = segno.make(totp.address(secret, name, f"{ISSUER} {host}"), error="m", micro=False)
    return Markup(code.svg_inline(scale=5, border=4, dark="#000", light="#fff", omitsize=False))  # noqa: S704  segno's own drawing


@get("/second-factor")
async def second_factor_form(request: Request[None, None, State], next_path: FromQuery[str] = "/") -> Response[str] | Redirect:
    """Ask for the code, or show the secret once to who has none yet."""
    session = visitor_of(request).signed
    if session.stage == "open" and session.person.second_factor:
        return go(local(next_path))
    return await _form(request, "", local(next_path))


async def _form(request: Asked, problem: str, onward: str, status: int = 200) -> Response[str]:
    session = visitor_of(request).signed
    if session.person.second_factor:
        return await page(request, "code.html", status=status, problem=problem, next=onward)
    secret = factors.begin(parts_of(request), session)
    return await page(
        request,
        "set_up.html",
        status=status,
        problem=problem,
        next=onward,
        secret=totp.written(secret),
        picture=_picture(secret, session.person.name, request.url.hostname or ""),
    )


@post("/second-factor", status_code=200)
async def second_factor(request: Request[None, None, State]) -> Response[str] | Redirect:
    """Open the session by its code, or keep the new second factor when its first code is right."""
    form = await request.form()
    visitor, parts = visitor_of(request), parts_of(request)
    session, onward, typed = visitor.signed, local(str(form.get("next", "/"))), str(form.get("code", ""))
    act = factors.give if session.person.second_factor else factors.finish
    try:
        risen = await act(parts, session, typed, caller_of(request))
    except Refused as error:
        return await _form(request, sentence_of(error, request), onward, error.status)
    if risen is None:
        return await _form(request, say("second.wrong", visitor.tongue), onward, 401)
    return with_session(request, onward, risen)


@get("/sessions")
async def sessions_form(request: Request[None, None, State]) -> Response[str]:
    """Where one is signed in."""
    found = await sessions.own(parts_of(request), visitor_of(request).signed)
    return await page(request, "sessions.html", sessions=found)


@post("/sessions", status_code=303)
async def end_sessions(request: Request[None, None, State]) -> Redirect:
    """End one of one's own sessions, or all others."""
    form = await request.form()
    await sessions.end(parts_of(request), visitor_of(request).signed, str(form.get("session", "")) or None)
    return go("/sessions")
