"""Sending without serve: which broker, which topic, for how long, and what nobody can know then."""

from collections.abc import Sequence
from typing import Final

from controller.cli.folder import StateFolder
from controller.cli.settings import read_settings
from controller.direct import BrokerUnreached, Door, Letter, publish
from controller.roots import bundle_file
from protocol import topics
from protocol.orders import AnyOrder, ExerciseStart, ExerciseStop, Lift, Start, Stop
from provisioning.errors import InputRefused

MS: Final = 1_000
NOT_KNOWN: Final = (
    "The broker has it; nobody confirms that a node heard it. Not known: the server's clock, which nodes are online, "
    "whether a newer order exists, nodes whose clock needs a nonce."
)
LOUD: Final = "SENT WITHOUT SERVE, straight to the broker"


def letter(order: AnyOrder, raw: bytes) -> Letter:
    """An order as it travels: a START until it may no longer be accepted, a STOP retained, a LIFT in its place."""
    topic = topics.topic("order", area=order.area, incident=order.incident or topics.WHOLE_AREA)
    match order:
        case Start() | ExerciseStart():
            left_ms = order.accept_until_ms - order.seq
            return Letter(topic=topic, raw=raw, retain=False, expiry_s=-(-left_ms // MS))
        case Stop() | ExerciseStop() | Lift():
            return Letter(topic=topic, raw=raw, retain=True, expiry_s=None)


async def publish_directly(folder: StateFolder, letters: Sequence[tuple[AnyOrder, bytes]], silence: str) -> tuple[str, ...]:
    """Publish orders to the broker under the operator's certificate; returns what to tell the person. Raises InputRefused."""
    said = await publish_letters(folder, [letter(order, raw) for order, raw in letters], silence)
    return (*said, "serve takes the order up and offers it again when it is back: then `loa emergency watch`.")


async def publish_letters(folder: StateFolder, letters: list[Letter], silence: str) -> tuple[str, ...]:
    """The same of anything sealed that may go round serve."""
    name, certificate, key = folder.operator()
    settings = read_settings(folder)
    door = Door(
        host=settings.broker.host,
        port=settings.broker.port,
        ca=bundle_file(folder.ca),
        certificate=certificate,
        key=key,
        name=name,
    )
    try:
        await publish(door, letters)
    except BrokerUnreached as error:
        raise InputRefused(
            f"NOT SENT. {silence}; and {error}. Reach the nodes another way (telephone, the switch on the pole)"
        ) from error
    return (
        f"{LOUD} at {door.host}:{door.port} as {name}, because: {silence}.",
        NOT_KNOWN,
    )
