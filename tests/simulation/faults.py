"""What will go wrong, and what people will do meanwhile: drawn from a seed before time begins, so that it can be shown."""

from dataclasses import dataclass
from random import Random

from tests.simulation.oracle import clock_face

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BUSY_HOURS = (5, 6, 7, 11, 17, 18, 19)


@dataclass(frozen=True)
class Fault:
    """One thing, at one true instant; `node` is a number, or None for all of them."""

    at_ms: int
    name: str
    node: int | None = None
    lasts_ms: int = 0
    size: int = 0
    word: str = ""

    def __str__(self):
        parts = [clock_face(self.at_ms), self.name]
        parts += [f"node {self.node}"] if self.node is not None else []
        parts += [f"for {self.lasts_ms / 1000:.1f} s"] if self.lasts_ms else []
        parts += [f"size {self.size}"] if self.size else []
        return " ".join([*parts, self.word])


@dataclass(frozen=True)
class Rates:
    """How often in a node's year; people act for all nodes at once."""

    faults: float = 110
    crises: float = 26
    papers: float = 45


DENSE = Rates(faults=2_500, crises=900, papers=500)
"""Short seeds: a year's misfortunes in a fortnight or less."""

KINDS = (
    ("cut", 26),
    ("cover", 20),
    ("flap", 6),
    ("slow card", 6),
    ("full card", 8),
    ("lose memory", 2),
    ("lose files", 4),
    ("step", 8),
    ("doubt", 6),
    ("mess", 10),
    ("mute player", 4),
    ("kill broker", 5),
    ("head down", 4),
    ("restore head", 1),
    ("media down", 3),
)
MISFORTUNES = frozenset(name for name, _ in KINDS)
PAPERS = (("programme", 12), ("race", 4), ("withdraw", 1), ("station", 4), ("steal", 1), ("regrant", 2), ("provincial", 3))


def plan_of(seed: int, begin_ms: int, days: float, nodes: int, rates: Rates) -> list[Fault]:
    """Everything that this seed holds, in order of time."""
    rng = Random(f"plan {seed}")
    years = days / 365
    end_ms = begin_ms + round(days * DAY)
    faults: list[Fault] = []
    for _ in range(max(2, round(rates.faults * years * nodes))):
        name = rng.choices([kind for kind, _ in KINDS], [weight for _, weight in KINDS])[0]
        faults.append(_fault(rng, name, _when(rng, begin_ms, end_ms), nodes))
    for _ in range(max(1, round(rates.crises * years * nodes / 2))):
        faults += _crisis(rng, _when(rng, begin_ms, end_ms), nodes)
    for _ in range(round(rates.papers * years * nodes)):
        name = rng.choices([kind for kind, _ in PAPERS], [weight for _, weight in PAPERS])[0]
        faults.append(Fault(_when(rng, begin_ms, end_ms), name, size=rng.randint(1, 9)))
    faults += [Fault(at_ms, "programme") for at_ms in range(begin_ms + 9 * DAY, end_ms, 9 * DAY)]
    return sorted((fault for fault in faults if fault.at_ms < end_ms), key=lambda fault: (fault.at_ms, fault.name))


def _when(rng: Random, begin_ms: int, end_ms: int) -> int:
    """Any instant; more often one at which bulletins begin."""
    at_ms = rng.randint(begin_ms + MINUTE, max(begin_ms + 2 * MINUTE, end_ms - MINUTE))
    if rng.random() < 0.5:
        return at_ms
    midnight = at_ms - (at_ms + 7 * HOUR) % DAY
    return max(
        begin_ms + MINUTE,
        midnight + rng.choice(BUSY_HOURS) * HOUR + rng.choice((0, 5, 10, 15, 30, 45)) * MINUTE + rng.randint(-3_000, 9_000),
    )


def _length(rng: Random) -> int:
    """Seconds to weeks."""
    return rng.choice(
        (rng.randint(1_000, 60_000), rng.randint(1, 60) * MINUTE, rng.randint(1, 30) * HOUR, rng.randint(1, 12) * DAY)
    )


def _fault(rng: Random, name: str, at_ms: int, nodes: int) -> Fault:  # noqa: PLR0911, PLR0912  one arm a misfortune
    node = rng.randrange(nodes)
    match name:
        case "cut":
            off_ms = rng.choice((200, 15_000, rng.randint(1, 40) * MINUTE, rng.randint(1, 40) * HOUR))
            return Fault(
                at_ms, name, node, off_ms, rng.choice((0, 0, rng.randint(1, 60))), rng.choice(("good", "good", "unknown"))
            )
        case "cover":
            return Fault(at_ms, name, node, _length(rng))
        case "flap":
            return Fault(at_ms, name, node, rng.randint(2, 20) * MINUTE, rng.randint(3, 20))
        case "slow card":
            return Fault(at_ms, name, node, rng.randint(1, 300) * MINUTE, rng.choice((50, 200, 450)))
        case "full card":
            return Fault(at_ms, name, node, rng.choice((2_000, rng.randint(1, 90) * MINUTE)))
        case "step":
            size = rng.choice((-1, 1)) * rng.choice((150, 900, 30_000, 110_000, 10 * MINUTE, 40 * MINUTE))
            return Fault(at_ms, name, node, rng.choice((20_000, rng.randint(1, 50) * MINUTE)), size)
        case "doubt":
            return Fault(
                at_ms,
                name,
                node,
                rng.choice((3_000, rng.randint(1, 300) * MINUTE)),
                0,
                rng.choice(("unknown", "holdover", "attested")),
            )
        case "mess":
            return Fault(at_ms, name, node, rng.randint(1, 600) * MINUTE)
        case "mute player":
            return Fault(at_ms, name, node, 0, rng.randint(1, 3))
        case "kill broker":
            return Fault(at_ms, name, None, rng.choice((3_000, rng.randint(1, 90) * MINUTE)), 0, rng.choice(("keeps", "forgets")))
        case "head down" | "media down":
            return Fault(at_ms, name, None, rng.choice((9_000, rng.randint(1, 300) * MINUTE)))
        case "restore head":
            return Fault(at_ms, name, None, 0, rng.randint(1, 30))
        case _:
            return Fault(at_ms, name, node, rng.randint(5_000, 60_000))


def _crisis(rng: Random, at_ms: int, nodes: int) -> list[Fault]:
    """An emergency (or an exercise, or a STOP of everything), and what people and fate add to it within its minutes."""
    kind = rng.choices(("crisis", "drill", "hush", "forge"), (10, 3, 2, 2))[0]
    incident = rng.randint(1, 2**31)
    faults = [Fault(at_ms, kind, size=incident, lasts_ms=rng.randint(1, 40) * HOUR if kind == "hush" else 0)]
    if kind in ("crisis", "drill"):
        for name, likely, within in (
            ("update", 0.3, 60_000),
            ("second", 0.3, 90_000),
            ("stop", 0.4, 120_000),
            ("narrow stop", 0.2, 60_000),
            ("wrong stop", 0.2, 60_000),
        ):
            if rng.random() < likely:
                faults.append(Fault(at_ms + rng.randint(0, within), name, size=incident))
        if rng.random() < 0.35:
            off_ms = rng.choice((300, 20_000, 5 * MINUTE))
            cut = Fault(
                at_ms + rng.randint(0, 9_000),
                "cut",
                rng.randrange(nodes),
                off_ms,
                rng.randint(0, 25),
                rng.choice(("good", "unknown")),
            )
            faults.append(cut)
        beside = [
            name for name in ("cover", "full card", "slow card", "flap", "mute player", "doubt", "step") if rng.random() < 0.08
        ]
        faults += [_fault(rng, name, at_ms + rng.randint(-20_000, 20_000), nodes) for name in beside]
    faults += [Fault(at_ms + rng.randint(0, 6 * HOUR), "replay", rng.randrange(nodes), size=rng.randint(1, 9)) for _ in range(2)]
    return faults
