"""Who signs in these tests, and what: the vectors' world, dated so that this program's floor of time lies behind it."""

from msgspec import structs

from protocol.bulletins import Media, Variant
from protocol.documents import NetworkBody
from tests.protocol import vector_world as world
from tests.protocol.vector_world import COMMUNE, DAY_MS, HAMLET, NODE, PROVINCE, Sent

MIDNIGHT = 1_798_999_200_000 + (-(1_798_999_200_000 + 7 * 3_600_000)) % DAY_MS
"""00:00 of a day in January 2027, in Viet Nam."""
HOUR_MS = 3_600_000
NOON = MIDNIGHT + 12 * HOUR_MS
ISSUED = MIDNIGHT - 2 * DAY_MS
CLIP = "c1" * 32
MEDIA = "5a" * 32
ALL_DAY = ((0, 1440),)


def province(seq=ISSUED):
    return world.signed(world.grant(PROVINCE, "root", world.province_body(), seq), "r1", "r2")


def commune(seq=ISSUED, first="active", **more):
    return world.signed(world.grant(COMMUNE, PROVINCE, world.commune_body(first, **more), seq), "p1", "p2")


def hamlet(seq=ISSUED):
    return world.signed(world.grant(HAMLET, PROVINCE, world.small_body("h1"), seq), "p1", "p2")


def placement(node=NODE, seq=ISSUED):
    return world.signed(world.placement(node, seq=seq), "r1", "r3")


def station(hours=ALL_DAY, seq=ISSUED, by="c1", rules=None, **more):
    """`rules`: more of its body than the hours."""
    made = world.station(seq, hours, **more)
    return world.signed(structs.replace(made, body=structs.replace(made.body, **(rules or {}))), by)


def item(name, at, **more):
    """A bulletin at some times of the day ("07:30" or "07:30 19:30"), two parts of a minute each unless told."""
    hours = ",".join(dict.fromkeys(time.split(":")[0] for time in at.split()))
    minutes = ",".join(dict.fromkeys(time.split(":")[1] for time in at.split()))
    made = world.item(name, f"FREQ=DAILY;BYHOUR={hours};BYMINUTE={minutes}")
    variants = more.pop("variants", None)
    fields = {"grace_s": 300, "on_interrupt": "restart"} | more
    return structs.replace(made, variants=variants or made.variants, **fields)


def sound(letters, size=1_000_000, minutes=1, lang="vi"):
    """One language of a bulletin, with a file of its own (`letters`: two hexadecimal ones) and size."""
    made = Media(sha256=letters * 32, bytes=size, samples=48_000 * 60 * minutes, loudness_clufs=-1_600)
    return Variant(lang=lang, media=made)


def network(seq=ISSUED, by=("c1", "c2"), node=NODE, valid=None, **body):
    made = world.network(node, seq, body=NetworkBody(**body), **(valid or {}))
    return world.signed(made, *by)


def programme(*items, seq=ISSUED, by="c1", order=(), **more):
    fields = {"valid_from_ms": ISSUED, "valid_until_ms": ISSUED + 40 * DAY_MS} | more
    made = world.programme(seq, **fields)
    return world.signed(structs.replace(made, body=structs.replace(made.body, items=items, order=order)), by)


def start(seq, incident="a1", *, area=HAMLET, authority=COMMUNE, by=("c1",), **more):
    return world.signed(world.start(area, authority, seq, _incident(incident), **more), *by)


def drill(seq, incident="e1", *, area=HAMLET, authority=COMMUNE, by=("c1",), **more):
    return world.signed(world.drill(area, authority, seq, _incident(incident), **more), *by)


def stop(seq, incident="a1", *, area=HAMLET, authority=COMMUNE, by=("c1",)):
    return world.signed(world.stop(area, authority, seq, _incident(incident)), *by)


def drill_stop(seq, incident="e1", *, area=HAMLET, authority=COMMUNE, by=("c1",)):
    return world.signed(world.drill_stop(area, authority, seq, _incident(incident)), *by)


def lift(seq, incident=None, *, area=HAMLET, authority=COMMUNE, by=("c1",)):
    return world.signed(world.lift(area, authority, seq, _incident(incident)), *by)


def suspend(name, seq, *, area=COMMUNE, authority=PROVINCE, by="p1", hours=24):
    """Suspend the key of this name; no hours at all lift what was suspended."""
    return world.signed(world.suspend(name, seq, area, authority, seq + hours * HOUR_MS), by)


def _incident(short):
    return None if short is None else short.rjust(16, "0")


def settled(*more: Sent, node=NODE, hours=ALL_DAY, rules=None):
    """What a node holds after its first days: authority, its place, its station's rules."""
    return [placement(node), province(), commune(), hamlet(), station(hours, rules=rules), *more]


def time_token(nonce, at_ms, *, node=NODE, by="t1"):
    return world.signed(world.time_token(node, nonce, at_ms), by)
