"""Who asks: the session behind the cookie, the language, and the token that every form must carry.

A session has its own form token; before login it is an HMAC keyed by a random cookie. A page of another origin can neither read
a cookie nor a token; cookies are Secure, HttpOnly, SameSite=Strict and bound to this host by their `__Host-` names.
"""

import hmac
import secrets
from typing import Final, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, State
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from controller.actions import sessions
from controller.actions.sessions import Caller
from controller.actions.views import Session
from controller.core import access
from controller.core.access import Act
from controller.parts import Actor, Parts
from controller.web.texts import TONGUES, Tongue

SESSION_COOKIE: Final = "__Host-loa"
DEVICE_COOKIE: Final = "__Host-loa-known"
VISIT_COOKIE: Final = "__Host-loa-visit"
TONGUE_COOKIE: Final = "__Host-loa-tongue"
TOKEN_FIELD: Final = "form_token"  # noqa: S105  a field's name
_YEAR_S: Final = 31_536_000
_SAFE: Final = frozenset({"GET", "HEAD"})

Asked = Request[None, None, State]


class LoginNeeded(Exception):
    """Nobody is logged in, and this page is not for everybody."""


class PasswordNeeded(Exception):
    """The first password must be changed before anything else."""


class SecondFactorNeeded(Exception):
    """The second factor must be given, or set up, before anything else."""


class StaleForm(Exception):
    """A form without the token of this visitor: forged, or older than the session."""


class Visitor(Struct, frozen=True, kw_only=True):
    """The person (or nobody yet) behind one request."""

    tongue: Tongue
    secret: str
    session: Session | None = None

    @property
    def token(self) -> str:
        """What each form of this visitor carries."""
        if self.session is not None:
            return self.session.csrf
        return hmac.digest(self.secret.encode(), b"loa form", "sha256").hex()

    @property
    def actor(self) -> Actor:
        """The visitor as the actions know it. Raises LoginNeeded."""
        return sessions.actor_of(self.signed)

    @property
    def signed(self) -> Session:
        """The session, however far it is. Raises LoginNeeded."""
        if self.session is None:
            raise LoginNeeded
        return self.session

    @property
    def inside(self) -> bool:
        """Whether password and second factor are done with."""
        return self.session is not None and self.session.stage == "open"

    @property
    def must_change(self) -> bool:
        """Whether the first password still stands."""
        return self.session is not None and self.session.person.must_change

    def may(self, act: Act) -> bool:
        """Whether to offer an act at all; the action decides again, and where."""
        return self.inside and access.may_somewhere(self.actor.duties, act)

    @property
    def may_start(self) -> bool:
        """Whether to offer a START."""
        return self.may("emergency.start")

    @property
    def may_stop(self) -> bool:
        """Whether to offer a STOP."""
        return self.may("emergency.stop")


def parts_of(request: Asked) -> Parts:
    """The controller's parts behind this application."""
    return cast("Parts", request.app.state.parts)


def visitor_of(request: Asked) -> Visitor:
    """The visitor whom the guard has established for this request."""
    return cast("Visitor", request.state.visitor)


def caller_of(request: Asked) -> Caller:
    """The browser behind a request, for limits and for the list of sessions."""
    return Caller(
        address=request.client.host if request.client else "",
        agent=request.headers.get("user-agent", ""),
        device=request.cookies.get(DEVICE_COOKIE, ""),
    )


def tongue_of(request: Asked) -> Tongue:
    """The language this browser chose; Vietnamese until it chooses."""
    chosen = request.cookies.get(TONGUE_COOKIE, "vi")
    return next((tongue for tongue in TONGUES if tongue == chosen), "vi")


def sealed_cookie(name: str, value: str, max_age_s: int | None = None) -> Cookie:
    """A cookie that no script and no other site can use."""
    return Cookie(key=name, value=value, path="/", secure=True, httponly=True, samesite="strict", max_age=max_age_s)


def dropped_cookie(name: str) -> Cookie:
    """Makes the browser forget a cookie."""
    return sealed_cookie(name, "", 0)


def device_cookie(value: str) -> Cookie:
    """Marks this browser as one that was let in, for a year: strangers' guesses do not hold it back."""
    return sealed_cookie(DEVICE_COOKIE, value, _YEAR_S)


def tongue_cookie(tongue: Tongue) -> Cookie:
    """Remembers the language for a year."""
    return sealed_cookie(TONGUE_COOKIE, tongue, _YEAR_S)


async def establish(connection: ASGIConnection[BaseRouteHandler, None, None, State], _: BaseRouteHandler) -> None:
    """Guard of every page: find the visitor, and refuse any form that does not carry this visitor's token. Raises StaleForm."""
    request = cast("Asked", connection)
    cookie = request.cookies.get(SESSION_COOKIE)
    session = await sessions.session(parts_of(request), cookie) if cookie else None
    secret = request.cookies.get(VISIT_COOKIE) or secrets.token_urlsafe(32)
    visitor = Visitor(tongue=tongue_of(request), secret=secret, session=session)
    request.state.visitor = visitor
    if request.method not in _SAFE:
        form = await request.form()
        if not hmac.compare_digest(str(form.get(TOKEN_FIELD, "")).encode(), visitor.token.encode()):
            raise StaleForm


async def signed_in(connection: ASGIConnection[BaseRouteHandler, None, None, State], _: BaseRouteHandler) -> None:
    """Guard of every page behind the login. Raises LoginNeeded, PasswordNeeded, SecondFactorNeeded."""
    request = cast("Asked", connection)
    session = visitor_of(request).session
    if session is None:
        raise LoginNeeded
    path = request.url.path
    if session.stage == "password" and path not in {"/password", "/logout"}:
        raise PasswordNeeded
    if session.stage in {"code", "set-up"} and path not in {"/second-factor", "/logout"}:
        raise SecondFactorNeeded
