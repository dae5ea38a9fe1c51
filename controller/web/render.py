"""Templates to answers: Jinja with escaping on, words in the visitor's language, headers that let no foreign script in."""

import hashlib
import re
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import MediaType, Response
from litestar.response import Redirect
from markupsafe import Markup
from msgspec import Struct

from controller.actions.views import RowView
from controller.core import finding_words, node_words
from controller.web import shown
from controller.web.texts import TEXTS, Tongue, say
from controller.web.visitor import VISIT_COOKIE, Asked, parts_of, sealed_cookie, visitor_of

_HOST: Final = re.compile(r"[0-9A-Za-z.-]+|\[[0-9a-fA-F:]+\]")
STATIC: Final = Path(__file__).parent / "static"
# A form may lead on to the signing page: browsers hold redirects against form-action too.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self' {signing}; "
    "base-uri 'none'; frame-ancestors 'none'"
)
# No HSTS: the certificate comes from the controller's own small CA, and a phone that pinned HTTPS could not be clicked through.
HEADERS: Final = {
    "content-security-policy": POLICY.format(signing=""),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
# Each sign is followed by U+FE0E where phones would otherwise draw a coloured picture.
SIGNS: Final = {
    "none": "○",
    "sent": "➤",
    "received": "✓",
    "refused": "✕",
    "sounding": "♪",
    "ended": "✔\ufe0e",
    "stopped": "■",
}
PHASE_SIGNS: Final = {"waiting": "➤", "sounding": "♪", "stopping": "■", "stopped": "■", "ended": "✔\ufe0e", "expired": "○"}


class Part(Struct, frozen=True):
    """One drawn piece of a live region: the element's id, and its text."""

    id: str
    html: Markup


def _reason(code: str, tongue: Tongue) -> str:
    if f"reason.{code}" in TEXTS:
        return say(f"reason.{code}", tongue)
    return node_words.in_vietnamese(code) if tongue == "vi" else code


def _row_time(row: RowView) -> int | None:
    """When the row came into the state that it shows."""
    if row.state in {"ended", "stopped"}:
        return row.ended_ms
    return {"sent": row.sent_ms, "received": row.received_ms, "sounding": row.sounding_ms, "refused": row.received_ms}.get(
        row.state
    )


@cache
def _jinja() -> Environment:
    found = Environment(
        loader=PackageLoader("controller.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        clock=shown.clock,
        hour=finding_words.clock,
        stamp=shown.stamp,
        seconds=shown.seconds,
        at_most=shown.at_most,
        decibels=shown.decibels,
        saying=shown.saying,
        reason=_reason,
        row_time=_row_time,
    )
    found.globals.update(signs=SIGNS, phase_signs=PHASE_SIGNS, fingerprint=fingerprint)
    return found


@cache
def fingerprint(name: str) -> str:
    """A short digest of a static file, so that a new version is never hidden by a cache."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def drawn(template: str, tongue: Tongue, /, **values: object) -> Markup:
    """One template drawn in a language: text that may stand in a page as it is."""
    return Markup(_jinja().get_template(template).render(t=partial(say, tongue=tongue), tongue=tongue, **values))  # noqa: S704  autoescaped


def html(request: Asked, template: str, /, *, status: int = 200, **values: object) -> Response[str]:
    """An answer with one whole page, and the visit's cookie as long as nobody is logged in."""
    visitor = visitor_of(request)
    text = drawn(template, visitor.tongue, visitor=visitor, path=request.url.path, back=_back(request), **values)
    sent = HEADERS | {"content-security-policy": POLICY.format(signing=signing_origin(request))}
    answer = Response(content=str(text), media_type=MediaType.HTML, status_code=status, headers=sent)
    if visitor.session is None:
        answer.set_cookie(sealed_cookie(VISIT_COOKIE, visitor.secret))
    return answer


def signing_origin(request: Asked) -> str:
    """Where officers sign: the address that the configuration names, else this very host on the signing page's port."""
    parts = parts_of(request)
    signing = parts.config.settings.signing
    if signing.url:
        return signing.url
    host = request.headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
    if not _HOST.fullmatch(name):
        name = parts.config.settings.hosts[0] if parts.config.settings.hosts else "localhost"
    return f"https://{name}:{parts.ports.signing or signing.port}"


def _back(request: Asked) -> str:
    """Where the language switch returns to: this page when it was asked for by GET, else the page its form stood on."""
    if request.method == "GET":
        return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    return "/"


def local(path: str) -> str:
    """A path on this host; anything else becomes the home page, so that no link can send an officer elsewhere after login."""
    ours = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if ours else "/"


def go(path: str) -> Redirect:
    """Send the browser on by GET."""
    return Redirect(path=path, status_code=303, headers={"cache-control": "no-store"})


def joined(parts: Iterable[Part]) -> Markup:
    """The texts of some pieces, one after the other."""
    return Markup("").join(part.html for part in parts)
