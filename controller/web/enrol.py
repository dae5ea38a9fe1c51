"""/enrol and /renew: the door for whoever has no certificate. Wrong tries are slowed by source; a right one never is."""

import asyncio
import time
from typing import Final, TypeVar, cast

import msgspec
from litestar import Litestar, Request, Response, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from msgspec import Struct

from controller.actions import enrolments
from controller.core.gate import Gate, source_of
from controller.errors import Refused
from controller.parts import Parts
from controller.web.answers import http_error, malformed, refused
from protocol.enrolment import ENROL_PATH, RENEW_PATH, Certified, EnrolRequest, RenewRequest

MOST_BYTES: Final = 8_192
BODY_S: Final = 10.0
SLOWED_S: Final = 2.0
"""How long a source with too many wrong tries holds its own connection; it has few of them (listening.py)."""
COUNTED: Final = frozenset({enrolments.WRONG_CLAIM, "another-key", "malformed"})
Asked = Request[None, None, State]
T = TypeVar("T", bound=Struct)


async def _body(request: Asked, shape: type[T]) -> T:
    try:
        async with asyncio.timeout(BODY_S):
            raw = await request.body()
    except TimeoutError as error:
        raise Refused("the request did not come whole", code="slow", status=408) from error
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(f"the request is not understood: {error}", code="malformed", status=400) from error


def _json(certified: Certified) -> Response[bytes]:
    return Response(content=msgspec.json.encode(certified), media_type="application/json", status_code=200)


def _source(request: Asked) -> str:
    return source_of(request.client.host if request.client else "")


async def _slow_down(request: Asked, refusal: Refused) -> Refused:
    """What a wrong try is answered with: the refusal, or, after many from there, a later one that says how long to wait."""
    if refusal.code not in COUNTED:
        return refusal
    wait_s = cast("Gate", request.app.state.gate).wrong(_source(request), time.monotonic())
    if wait_s == 0:
        return refusal
    await asyncio.sleep(SLOWED_S)
    return Refused("too many wrong tries from your address: wait", code="slow-down", status=429, wait_s=int(wait_s) + 1)


@post(ENROL_PATH, include_in_schema=False)
async def enrol(request: Asked) -> Response[bytes]:
    """The certificate for whoever proves a claim."""
    parts = cast("Parts", request.app.state.parts)
    try:
        return _json(await enrolments.claim(parts, await _body(request, EnrolRequest), _source(request)))
    except Refused as refusal:
        raise await _slow_down(request, refusal) from refusal


@post(RENEW_PATH, include_in_schema=False)
async def renew(request: Asked) -> Response[bytes]:
    """New dates for a key that enrolled here."""
    parts = cast("Parts", request.app.state.parts)
    try:
        return _json(await enrolments.renew(parts, await _body(request, RenewRequest)))
    except Refused as refusal:
        raise await _slow_down(request, refusal) from refusal


def create_enrol(parts: Parts, gate: Gate | None = None) -> Litestar:
    """What listens at the enrol address; no page and no medium is in it."""
    return Litestar(
        [enrol, renew],
        state=State({"parts": parts, "gate": gate or Gate()}),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MOST_BYTES,
        exception_handlers={Refused: refused, HTTPException: http_error, msgspec.MsgspecError: malformed},
    )
