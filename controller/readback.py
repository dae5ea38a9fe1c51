"""What the broker still holds is compared with what the database says it should, and mended."""

from controller.core.suspends import retained
from controller.parts import Parts
from controller.store import nodes, orders, outbox, rollouts
from controller.store.database import Transaction
from controller.store.outbox import Parcel
from protocol import topics

OWN: tuple[str, ...] = (
    f"{topics.ROOT}/trust/#",
    topics.topic("programme", area="+", authority="+"),
    topics.topic("station", area="+"),
    topics.topic("placement", node="+"),
    topics.topic("network", node="+"),
    topics.topic("release", node="+"),
    topics.topic("order", area="+", incident="+"),
    topics.topic("suspend", area="+", key="+"),
)
"""The topics that only we write and that the broker keeps."""
REPORTS: tuple[str, ...] = (
    topics.topic("hello", node="+"),
    topics.topic("receipt", node="+"),
    topics.topic("health", node="+"),
    topics.topic("alive", node="+"),
)
UPTIME = "$SYS/broker/uptime"


async def mend(parts: Parts, found: dict[str, bytes]) -> int:
    """Queue what is missing or other at the broker, and clear what should not be there; give how many."""
    now_ms = parts.now_ms()
    expected = dict(parts.world.retained(now_ms))
    suspends = retained(parts.world.suspends.values(), now_ms)
    expected |= {topic: held.raw for topic, held in suspends.items()}

    def work(tx: Transaction) -> int:
        for order in orders.retained_stops(tx, now_ms):
            expected[order.topic] = order.raw
        for node, raw in rollouts.on_topics(tx).items():
            expected[topics.topic("release", node=node)] = raw
        parcels = [
            Parcel(
                topic=topic,
                payload=raw,
                rank=outbox.REPUBLISH_RANK,
                retain=True,
                expires_ms=suspends[topic].what.forgotten_ms if topic in suspends else None,
            )
            for topic, raw in expected.items()
            if found.get(topic) != raw
        ]
        parcels += [
            Parcel(topic=topic, payload=b"", rank=outbox.REPUBLISH_RANK, retain=True) for topic in found if topic not in expected
        ]
        outbox.put(tx, parcels, now_ms)
        return len(parcels)

    count = await parts.database.run(work)
    if count:
        parts.wake.set()
    return count


async def believe(parts: Parts, births: dict[str, int], uptime_s: int) -> None:
    """Nodes that the broker remembers and that were heard since it started: had they gone, it would have sent their wills.

    A broker that started after a node was last heard knows nothing of it, whatever it keeps on disk.
    """
    started_ms = parts.now_ms() - uptime_s * 1000
    changed = await parts.database.run(lambda tx: nodes.believe_births(tx, births, started_ms))
    for node in changed:
        parts.live.changed("node", node)


async def forget_presence(parts: Parts) -> None:
    """The link is gone: of no node can it be said that it is there."""
    await parts.database.run(nodes.all_unknown)
    parts.live.changed("reload")
