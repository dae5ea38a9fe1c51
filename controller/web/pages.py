"""The officer's page: every route of it, for the HTTPS application to mount."""

from functools import cache
from mimetypes import guess_type
from typing import Final
from urllib.parse import quote

from litestar import Request, Response, Router, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler, ExceptionHandlersMap

from controller.errors import Refused
from controller.web import account, emergency, events, incident, lists, login, plan, sign, timetable
from controller.web.frame import wrong
from controller.web.render import HEADERS, STATIC, drawn, go
from controller.web.texts import say
from controller.web.visitor import (
    LoginNeeded,
    PasswordNeeded,
    SecondFactorNeeded,
    StaleForm,
    establish,
    signed_in,
    tongue_of,
    visitor_of,
)

MOST_FORM_BYTES: Final = 65_536


def _to_login(request: Request[None, None, State], _: LoginNeeded) -> Response[str] | Redirect:
    """Ask for a login, and come back afterwards.

    A link in a message opens the page from another site, and then the browser keeps back our strict cookie although the officer
    is logged in. Such a request is answered with a page that asks for itself once more, which is then our own asking.
    """
    if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        again = drawn("bounce.html", tongue_of(request))
        return Response(content=str(again), media_type="text/html", headers=HEADERS)
    here = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    return go(f"/login?next_path={quote(here, safe='')}" if request.method == "GET" and here != "/" else "/login")


def _to_password(_: Request[None, None, State], __: PasswordNeeded) -> Redirect:
    return go("/password")


def _to_second_factor(_: Request[None, None, State], __: SecondFactorNeeded) -> Redirect:
    return go("/second-factor")


def _stale(request: Request[None, None, State], _: StaleForm) -> Response[str]:
    onward = request.url.path if request.url.path in {"/login", "/stop", "/password", "/second-factor", "/sessions"} else "/"
    return wrong(request, say("wrong.form", visitor_of(request).tongue), 403, onward)


def _refused(request: Request[None, None, State], error: Refused) -> Response[str]:
    return wrong(request, login.sentence_of(error, request), error.status)


_TURNED_AWAY: Final[ExceptionHandlersMap] = {
    LoginNeeded: _to_login,
    PasswordNeeded: _to_password,
    SecondFactorNeeded: _to_second_factor,
    StaleForm: _stale,
    Refused: _refused,
}
_everybody: Final = Router(
    "/",
    guards=[establish],
    route_handlers=[login.login_form, login.login, login.language, events.events, sign.came_back],
    exception_handlers={StaleForm: _stale, Refused: _refused},
    request_max_body_size=MOST_FORM_BYTES,
    include_in_schema=False,
)
_officers: Final = Router(
    "/",
    guards=[establish, signed_in],
    route_handlers=[
        login.logout,
        login.password_form,
        login.password,
        account.second_factor_form,
        account.second_factor,
        account.sessions_form,
        account.end_sessions,
        lists.home,
        lists.plays_of_day,
        plan.plan_of_day,
        lists.refused,
        lists.programmes,
        timetable.timetable,
        emergency.choose,
        emergency.write_form,
        emergency.write,
        emergency.review,
        emergency.confirm,
        incident.incidents,
        incident.incident,
        incident.stop_incident,
        incident.lift_incident,
        incident.stop_form,
        incident.stop_area,
        incident.say_again,
        sign.waiting,
        sign.sign_second,
        sign.drop_waiting,
        sign.key_page,
    ],
    exception_handlers=_TURNED_AWAY,
    request_max_body_size=MOST_FORM_BYTES,
    include_in_schema=False,
)


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """The static files by name, read once: no path from outside is ever opened."""
    return {file.name: (file.read_bytes(), guess_type(file.name)[0] or "application/octet-stream") for file in STATIC.iterdir()}


@get("/static/{name:str}", include_in_schema=False)
async def _static(name: FromPath[str]) -> Response[bytes]:
    """A style sheet, script or picture of the page."""
    if name not in _files():
        raise NotFoundException
    content, kind = _files()[name]
    headers = {"cache-control": "max-age=31536000, immutable", "x-content-type-options": "nosniff"}
    return Response(content=content, media_type=kind, headers=headers)


_signed: Final = Router(
    "/",
    guards=[establish, signed_in],
    route_handlers=[sign.take],
    exception_handlers=_TURNED_AWAY,
    request_max_body_size=sign.MOST_SEALED_BYTES,
    include_in_schema=False,
)
routes: Final[list[ControllerRouterHandler]] = [_everybody, _officers, _signed, sign.to_sign, sign.to_hear, _static]
