"""To the signing page and back: what is to be signed leaves by a one-time token, what was signed comes back as a form.

The signing page has no session here. It reads what it is to show by the token, from its own origin, without cookies; and the
sealed bytes come back in the address's fragment to a page of ours, which posts them with its form token.
"""

import base64
import binascii
from typing import Final
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Stream

from controller.actions import signatures, wanted
from controller.errors import Refused
from controller.media import open_range
from controller.parts import Wanted
from controller.web.answers import refused
from controller.web.frame import page
from controller.web.media import TYPE
from controller.web.render import go, signing_origin
from controller.web.visitor import Asked, parts_of, visitor_of

MOST_SEALED_BYTES: Final = 2 << 20
_SEALED: Final = msgspec.json.Decoder(tuple[str, ...])


def to_signing(request: Asked, asked: Wanted) -> Redirect:
    """Send the browser to sign what was asked for."""
    here = f"https://{request.headers.get('host', '')}"
    fragment = urlencode({"sign": asked.token, "at": here, "lang": visitor_of(request).tongue})
    return go(f"{signing_origin(request)}/#{fragment}")


def _shared(request: Asked) -> dict[str, str]:
    """For the signing page's origin alone, and never with cookies."""
    return {
        "access-control-allow-origin": signing_origin(request),
        "vary": "origin",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "cross-origin",
    }


def _refused_there(request: Asked, error: Refused) -> Response[bytes]:
    answer = refused(request, error)
    answer.headers.update(_shared(request))
    return answer


@get("/sign/{token:str}", exception_handlers={Refused: _refused_there}, include_in_schema=False)
async def to_sign(request: Request[None, None, State], token: FromPath[str], key: FromQuery[str] = "") -> Response[bytes]:
    """The bytes that this key is to sign now, for the signing page."""
    told = await wanted.prepare(parts_of(request), token, key)
    return Response(content=msgspec.json.encode(told), media_type="application/json", headers=_shared(request))


@get("/sign/{token:str}/media/{sha256:str}", exception_handlers={Refused: _refused_there}, include_in_schema=False)
async def to_hear(request: Request[None, None, State], token: FromPath[str], sha256: FromPath[str]) -> Stream:
    """A recording that is to be signed, for the signing page."""
    parts = parts_of(request)
    size = await wanted.media_size(parts, token, sha256)
    chunks = open_range(parts.config.library, sha256, 0, size - 1)
    return Stream(iter(chunks), status_code=200, headers=_shared(request) | {"content-length": str(size)}, media_type=TYPE)


@get("/signed/{token:str}")
async def came_back(request: Request[None, None, State], token: FromPath[str]) -> Response[str]:
    """Where the signing page leads back to; a script takes the sealed bytes out of the fragment into the form.

    From another site the browser keeps back our strict cookie: the script then asks for this page once more, by itself.
    """
    return await page(request, "signed.html", events="", token=token)


@post("/signed/{token:str}/take", status_code=200)
async def take(request: Request[None, None, State], token: FromPath[str]) -> Response[str] | Redirect:
    """Take the sealed orders in: out they go, or they wait for the second signature."""
    form = await request.form()
    visitor = visitor_of(request)
    taken = await signatures.take(parts_of(request), visitor.actor, token, _raws(str(form.get("sealed", ""))))
    return go(f"/incident/{taken.incident}" if taken.incident else "/waiting")


def _raws(packed: str) -> list[bytes]:
    try:
        texts = _SEALED.decode(base64.b64decode(packed, altchars=b"-_", validate=True))
        return [text.encode() for text in texts]
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise Refused(f"what the signing page sent cannot be read: {error}", code="malformed", status=422) from error


@get("/waiting")
async def waiting(request: Request[None, None, State]) -> Response[str]:
    """What waits for a second person's signature."""
    found = await signatures.list_waiting(parts_of(request), visitor_of(request).actor)
    return await page(request, "waiting.html", waiting=found)


@post("/waiting/{waiting_id:str}/sign", status_code=303)
async def sign_second(request: Request[None, None, State], waiting_id: FromPath[str]) -> Redirect:
    """Go and sign it too."""
    return to_signing(request, await wanted.second(parts_of(request), visitor_of(request).actor, waiting_id))


@post("/waiting/{waiting_id:str}/drop", status_code=303)
async def drop_waiting(request: Request[None, None, State], waiting_id: FromPath[str]) -> Redirect:
    """Do not send it."""
    await signatures.drop(parts_of(request), visitor_of(request).actor, waiting_id)
    return go("/waiting")


@get("/key")
async def key_page(request: Request[None, None, State]) -> Response[str]:
    """Where to make and see one's signing key."""
    return await page(request, "key.html", signing=signing_origin(request))
