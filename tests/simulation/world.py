"""One seed: a commune's poles, their broker and controller, people and misfortunes, watched by the laws."""

from dataclasses import dataclass, field
from random import Random

from protocol.envelope import payload_of
from tests.simulation.broker import Broker
from tests.simulation.clockwork import Clockwork
from tests.simulation.faults import DAY, HOUR, Rates, plan_of
from tests.simulation.head import Head
from tests.simulation.laws import all_laws
from tests.simulation.misfortune import Misfortune
from tests.simulation.office import BEGIN_MS, PLACES, Office, founding
from tests.simulation.pole import Pole
from tests.simulation.transcript import Transcript

HOOKS = (
    "booting",
    "booted",
    "cut",
    "begun",
    "over",
    "committed",
    "acknowledged",
    "arrived",
    "turned",
    "clock_set",
    "covered",
    "healed",
)
HEALING_MS = 5 * HOUR


class BrokenLaw(Exception):
    """A law does not hold; the message says which, for whom, and why."""


@dataclass
class Outcome:
    """What a seed amounted to."""

    seed: int
    node_years: float = 0.0
    plays: int = 0
    emergencies: int = 0
    faults: int = 0
    broken: str = ""
    digest: str = ""
    transcript: list[str] = field(default_factory=list)


class World:
    """`turn_decide` replaces the core by one that errs (for the tests of the laws themselves)."""

    def __init__(self, seed: int, days: float, rates: Rates, *, nodes: int = 3, aloud: bool = False, turn_decide=None) -> None:
        self.seed = seed
        self.clockwork = Clockwork(BEGIN_MS)
        self.chance = Random(f"chance {seed}")
        self.office = Office(Random(f"office {seed}"))
        self.transcript = Transcript(aloud=aloud)
        self.places = dict(list(PLACES.items())[:nodes])
        self.poles: dict[str, Pole] = {}
        self.media_down, self.head_up = False, True
        self.waiting_head: list = []
        self.broker = Broker(self)
        self.head = Head(self)
        self.plan = plan_of(seed, BEGIN_MS, days, nodes, rates)
        self.days = days
        self.plays = self.emergencies = 0
        self.laws = all_laws(self)
        self._hooks = {name: [getattr(law, name) for law in self.laws if hasattr(law, name)] for name in HOOKS}
        for number, name in enumerate(self.places):
            self.poles[name] = Pole(self, name, number)
            if turn_decide is not None:
                self.poles[name].decide = turn_decide(self.poles[name].decide)
        self.misfortune = Misfortune(self)

    # --- a seed ---

    def run(self) -> Outcome:
        """From the first day to the end, then some quiet hours in which everything heals."""
        outcome = Outcome(self.seed)
        try:
            self._begin()
            for fault in self.plan:
                self.clockwork.after_ms(fault.at_ms - BEGIN_MS, lambda fault=fault: self.misfortune.happens(fault))
            self.clockwork.run_to(BEGIN_MS + round(self.days * DAY))
            self.misfortune.heals()
            self.clockwork.run_to(self.clockwork.now_ms + HEALING_MS)
            self.told("healed")
        except BrokenLaw as broken:
            outcome.broken = str(broken)
        outcome.node_years = len(self.poles) * (self.clockwork.now_ms - BEGIN_MS) / (365 * DAY)
        outcome.plays, outcome.emergencies = self.plays, self.emergencies
        outcome.faults = self.misfortune.happened
        outcome.digest = self.transcript.digest
        if outcome.broken:
            outcome.transcript = self.story()
        return outcome

    def _begin(self) -> None:
        office, now_ms = self.office, self.clockwork.now_ms
        first = [office.grant(now_ms - DAY), office.station(now_ms, opening=((300, 480), (660, 720), (990, 1_200)))]
        first.append(office.programme(now_ms - HOUR))
        papers = [office.keep(sent, payload_of(sent.raw), names) for sent, names in self._papers()]
        for signed in [*papers, *first]:
            self.head.put(signed)
        for pole in self.poles.values():
            pole.power_on()

    def _papers(self):
        seen = set()
        for node in self.places:
            for sent, names in zip(founding(node), (("r1", "r3"), ("p1", "p2"), ("p1", "p2")), strict=True):
                if sent.topic not in seen:
                    seen.add(sent.topic)
                    yield sent, names

    # --- what is heard of it ---

    def told(self, hook: str, *what) -> None:
        for listen in self._hooks[hook]:
            listen(*what)

    def saw(self, pole, event, commands) -> None:
        self.transcript.turn(self.clockwork.now_ns, pole, event, commands)

    def note(self, pole, *words) -> None:
        self.transcript.note(self.clockwork.now_ns, pole, *words)
        if words[0] == "SOUNDS":
            self.plays += 1
            self.emergencies += words[1] is not None and words[1].payload.kind == "order"

    def turned(self, pole, event) -> None:
        for listen in self._hooks["turned"]:
            listen(pole, event)

    def acknowledged(self, pole, ref: int, event) -> None:
        arrived = pole.unacknowledged.get(ref)
        if arrived is not None:
            self.told("acknowledged", pole, arrived, event)

    def office_by_raw(self, raw: bytes):
        return self.office.by_raw.get(raw)

    def arrives(self, pole, topic: str, raw: bytes) -> None:
        if "/records" not in topic:
            self.told("arrived", pole, topic, raw)

    def broken(self, law: int, pole, why: str, words: str = "") -> None:
        who = f"node {pole.number}" if pole is not None else "all"
        raise BrokenLaw(f"law {law}{f' ({words})' if words else ''}, {who}: {why}")

    def story(self) -> list[str]:
        """The seed's misfortunes, and the last of everybody."""
        now_ms = self.clockwork.now_ms
        lines = [f"seed {self.seed}, {len(self.plan)} planned; so far:"]
        lines += [f"  {fault}" for fault in self.plan if fault.at_ms <= now_ms][-60:]
        for number in (None, *(pole.number for pole in self.poles.values())):
            lines.append("the last of the world" if number is None else f"the last of node {number}")
            lines += [f"  {line}" for line in self.transcript.tail(number)]
        return lines

    # --- between the parts ---

    def power_cut_now(self, pole) -> None:
        self.misfortune.dark(pole)

    def head_hears(self, tell) -> None:
        """The controller takes it in, or finds it at the broker when it is back."""
        if self.head_up:
            tell(self.head)
        else:
            self.waiting_head.append(tell)

    def without_clock(self, known, order) -> None:
        self.misfortune.reseal(known, order)
