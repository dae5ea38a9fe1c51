"""How the controller itself is."""

from importlib.metadata import version

from controller.actions.asking import ask_somewhere
from controller.actions.views import StatusView
from controller.errors import SignerAbsent
from controller.parts import Actor, Parts
from controller.store import nodes, outbox
from controller.store.database import Transaction


async def now(parts: Parts, who: Actor) -> StatusView:
    """Time, links, keys and counts."""
    ask_somewhere(who, "see")
    root = parts.world.root_held()

    def read(tx: Transaction) -> tuple[int, int, int]:
        states = nodes.presence(tx)
        return sum(states.values()), states.get("online", 0), outbox.waiting(tx)

    known, online, waiting = await parts.database.read(read)
    keys: tuple[str, ...] = ()
    trouble = ""
    try:
        keys = tuple(key.area for key in await parts.signer.keys())
    except SignerAbsent as absent:
        trouble = absent.sentence
    return StatusView(
        now_ms=parts.now_ms(),
        version=version("loa"),
        province=parts.config.settings.province,
        broker_connected=parts.broker.connected,
        broker_since_ms=parts.broker.since_ms,
        broker_trouble=parts.broker.trouble,
        signer_keys=keys,
        signer_trouble=trouble,
        root_digest=root.digest if root else None,
        nodes=known,
        online=online,
        outbox=waiting,
        https_port=parts.ports.https,
        broker_port=parts.ports.broker,
        audit_trouble=parts.audit_trouble,
    )
