"""The part of the API that `loa node` and `loa ca` use for enrolment: labels expected, claims said from a desk, nodes revoked."""

from typing import Annotated, Final

from litestar import Response, get, post
from litestar.types import ControllerRouterHandler
from msgspec import Meta, Struct

from controller.actions import enrolments, roots
from controller.web.local import Asked, as_json, body_of, who_of
from controller.web.visitor import parts_of
from protocol.enrolment import EnrolRequest


class _Expected(Struct, kw_only=True):
    node: str
    verifier: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    replace: bool = False


class _Why(Struct, kw_only=True):
    why: Annotated[str, Meta(max_length=300)] = ""


@get("/v1/enrolments")
async def get_enrolments(request: Asked) -> Response[bytes]:
    """Labels and how far each is."""
    return as_json(await enrolments.overview(parts_of(request), who_of(request)))


@post("/v1/enrolments")
async def post_enrolment(request: Asked) -> Response[bytes]:
    """A label will come."""
    body = await body_of(request, _Expected)
    made = await enrolments.expect(parts_of(request), who_of(request), body.node, body.verifier, replace=body.replace)
    return as_json(made)


@post("/v1/enrolments/claim")
async def post_claim(request: Asked) -> Response[bytes]:
    """What a node says at the enrol address, said from a desk."""
    asked = await body_of(request, EnrolRequest)
    return as_json(await enrolments.claim(parts_of(request), asked, who_of(request).name))


@post("/v1/enrolments/{node:str}/revoke")
async def post_revoke(request: Asked, node: str) -> Response[bytes]:
    """A node counts no more."""
    body = await body_of(request, _Why)
    return as_json(await enrolments.revoke(parts_of(request), who_of(request), node, body.why))


@get("/v1/ca")
async def get_ca(request: Asked) -> Response[bytes]:
    """The roots that count, and how many nodes still hold a certificate of each."""
    return as_json(await roots.overview(parts_of(request), who_of(request)))


@post("/v1/ca/rotate")
async def post_rotate(request: Asked) -> Response[bytes]:
    """The root that stands by signs from now on."""
    return as_json(await roots.rotate(parts_of(request), who_of(request)))


@post("/v1/ca/retire-other")
async def post_retire(request: Asked) -> Response[bytes]:
    """The root that no longer signs is believed no more."""
    return as_json(await roots.retire_other(parts_of(request), who_of(request)))


routes: Final[list[ControllerRouterHandler]] = [
    get_enrolments,
    post_enrolment,
    post_claim,
    post_revoke,
    get_ca,
    post_rotate,
    post_retire,
]
