"""The signing page: static files on an origin of their own, with the hashes that a release names; no session, no data.

Whoever serves these files decides what officers' browsers run. Best they come from another machine than the controller;
`loa serve` offers them on another port so that a small commune has one at all (docs/contract.md says what that leaves open).
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from litestar import Litestar, Response, get
from litestar.params import FromPath

FOLDER: Final = Path(__file__).parent / "signing_page"
MEDIA_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
INDEX: Final = "index.html"


@cache
def files() -> dict[str, bytes]:
    """Every file of the page."""
    return {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in MEDIA_TYPES}


def manifest() -> dict[str, str]:
    """File by file the SHA-256 in hex: it goes into the signed release, and anybody can hold what is served against it."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files().items()}


def policy(controllers: Iterable[str]) -> str:
    """The page's content policy: its own files, nothing inline, and of the network the controller alone."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src blob:; "
        f"connect-src {' '.join(controllers)}; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def headers(controllers: Iterable[str]) -> dict[str, str]:
    """What goes with each file; whoever serves the page elsewhere sends the same."""
    return {
        "content-security-policy": policy(controllers),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
        "cache-control": "no-cache",
    }


def create_site(controllers: Iterable[str]) -> Litestar:
    """The static files and nothing else; `controllers` are the origins that may ask for signatures."""
    sent = headers(tuple(controllers))

    def answer(name: str) -> Response[bytes]:
        content = files().get(name)
        if content is None:
            return Response(content=b"", status_code=404, media_type="text/plain", headers=sent)
        return Response(content=content, media_type=MEDIA_TYPES[Path(name).suffix], headers=sent)

    @get("/", include_in_schema=False, sync_to_thread=False)
    def index() -> Response[bytes]:
        """The page."""
        return answer(INDEX)

    @get("/{name:str}", include_in_schema=False, sync_to_thread=False)
    def file(name: FromPath[str]) -> Response[bytes]:
        """One of its files."""
        return answer(name)

    return Litestar([index, file], openapi_config=None, logging_config=None)
