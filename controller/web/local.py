"""What every route of the unix socket shares: who asks, what is asked, and the answer as JSON."""

from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.params import Parameter

from controller.core.access import EVERYTHING
from controller.parts import Actor
from protocol.units import MAX_MS

T = TypeVar("T")
Asked = Request[None, None, State]
Limit = Annotated[int, Parameter(ge=1, le=10_000)]
At = Annotated[int, Parameter(ge=0, le=MAX_MS)]
"""An instant in UTC ms."""


def who_of(request: Asked) -> Actor:
    """The user of the process at the other end, as the kernel tells, with every duty.

    Who can open the socket owns the database beside it; their own name stands in the audit log.
    """
    name = request.scope["client"][0] if request.scope.get("client") else "unknown"  # type: ignore[index]  # tested just before
    return Actor(name=name, via="cli", duties=EVERYTHING)


async def body_of(request: Asked, shape: type[T]) -> T:
    """What was sent. Raises msgspec.MsgspecError for another shape."""
    return msgspec.json.decode(await request.body(), type=shape)


def as_json(value: Any) -> Response[bytes]:
    """The answer of an action."""
    return Response(content=msgspec.json.encode(value), media_type="application/json", status_code=200)
