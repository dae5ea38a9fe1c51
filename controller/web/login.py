"""Coming in and going out: login with its back-off, the first password, the language."""

from typing import Final
from urllib.parse import quote

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromQuery
from litestar.response import Redirect

from controller.actions import devices, people, sessions
from controller.actions.views import Session
from controller.errors import Refused
from controller.web.frame import page
from controller.web.render import go, local
from controller.web.texts import TEXTS, TONGUES, say
from controller.web.visitor import (
    SESSION_COOKIE,
    VISIT_COOKIE,
    Asked,
    caller_of,
    device_cookie,
    dropped_cookie,
    parts_of,
    sealed_cookie,
    tongue_cookie,
    visitor_of,
)

LEAST_LETTERS: Final = 10


STAGES: Final = {"password": "/password", "set-up": "/second-factor", "code": "/second-factor"}
"""Where a session goes on that is not open yet."""


def _further(session: Session, onward: str) -> str:
    """Where a session goes now: on, or first to what it still lacks."""
    stage = STAGES.get(session.stage)
    return f"{stage}?next_path={quote(onward, safe='')}" if stage and onward != "/" else stage or onward


def with_session(request: Asked, onward: str, session: Session) -> Redirect:
    """Send a browser on with its new session; one that was let in for good is marked as known."""
    answer = go(_further(session, onward))
    answer.set_cookie(sealed_cookie(SESSION_COOKIE, session.token))
    answer.set_cookie(dropped_cookie(VISIT_COOKIE))
    if session.stage == "open":
        answer.set_cookie(device_cookie(devices.mark(parts_of(request), session.person.name)))
    return answer


@get("/login")
async def login_form(request: Request[None, None, State], next_path: FromQuery[str] = "/") -> Response[str] | Redirect:
    """The login form; who is in already goes on."""
    session = visitor_of(request).session
    if session is not None:
        return go(_further(session, local(next_path)))
    return await page(request, "login.html", problem="", name="", next=local(next_path))


@post("/login", status_code=200)
async def login(request: Request[None, None, State]) -> Response[str] | Redirect:
    """Let someone in, or say why not; never which of name and password was wrong."""
    form = await request.form()
    name, onward = str(form.get("name", "")).strip(), local(str(form.get("next", "/")))
    tongue = visitor_of(request).tongue
    try:
        session = await people.login(parts_of(request), name, str(form.get("password", "")), caller_of(request))
    except Refused as error:
        return await _again(request, sentence_of(error, request), name, onward, error.status)
    if session is None:
        return await _again(request, say("login.wrong", tongue), name, onward, 401)
    return with_session(request, onward, session)


async def _again(request: Asked, problem: str, name: str, onward: str, status: int) -> Response[str]:
    return await page(request, "login.html", status=status, problem=problem, name=name, next=onward)


def sentence_of(error: Refused, request: Asked) -> str:
    """What was refused, in the visitor's language where the page knows the words, else as the act said it."""
    tongue = visitor_of(request).tongue
    if error.wait_s is not None:
        return say("login.wait", tongue, seconds=error.wait_s)
    key = f"refused.{error.code}"
    return say(key, tongue) if key in TEXTS else error.sentence


@post("/logout", status_code=303)
async def logout(request: Request[None, None, State]) -> Redirect:
    """End this session."""
    session = visitor_of(request).session
    if session is not None:
        await sessions.logout(parts_of(request), session.token)
    answer = go("/login")
    answer.set_cookie(dropped_cookie(SESSION_COOKIE))
    return answer


@post("/language", status_code=303)
async def language(request: Request[None, None, State]) -> Redirect:
    """Switch the page's language and return to where the switch was pressed."""
    form = await request.form()
    chosen = str(form.get("tongue", ""))
    answer = go(local(str(form.get("back", "/"))))
    for tongue in TONGUES:
        if tongue == chosen:
            answer.set_cookie(tongue_cookie(tongue))
    return answer


@get("/password")
async def password_form(request: Request[None, None, State]) -> Response[str]:
    """The form for a new password."""
    return await page(request, "password.html", problem="", must=visitor_of(request).must_change)


@post("/password", status_code=200)
async def password(request: Request[None, None, State]) -> Response[str] | Redirect:
    """Change the visitor's own password; every other session of this person ends."""
    form = await request.form()
    visitor, parts = visitor_of(request), parts_of(request)
    old, new, again = (str(form.get(field, "")) for field in ("old", "new", "again"))
    problem = ""
    if new != again:
        problem = "password.differ"
    elif len(new) < LEAST_LETTERS:
        problem = "password.short"
    elif new == old:
        problem = "password.same"
    if problem:
        return await _password_again(request, say(problem, visitor.tongue))
    current = visitor.signed
    try:
        session = await people.change_password(parts, current.person.name, old, new, current, caller_of(request))
    except Refused as error:
        return await _password_again(request, sentence_of(error, request))
    return with_session(request, "/", session)


async def _password_again(request: Asked, problem: str) -> Response[str]:
    return await page(request, "password.html", status=422, problem=problem, must=visitor_of(request).must_change)
