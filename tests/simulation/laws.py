"""The laws as monitors: each hears what happens and speaks when its law is broken. Sound and power (5), updates (8), secrets (13)
and dying parts (14) need real parts and are judged elsewhere.
"""

from tests.core.people import COMMUNE
from tests.simulation import oracle


class Law:
    """One law: its number and words, and hooks named as the world tells them."""

    number = 0
    words = ""

    def __init__(self, world) -> None:
        self.world = world
        self.clockwork = world.clockwork

    def broken(self, pole, why: str) -> None:
        self.world.broken(self.number, pole, why, self.words)

    def in_ms(self, delay_ms: int, do) -> None:
        self.clockwork.after_ms(delay_ms, do)


class Ledger(Law):
    """No law: what each node has been given, kept for the laws beside it."""

    def __init__(self, world) -> None:
        super().__init__(world)
        self.stops: dict = {}
        self.lifts: dict = {}
        self.ended: dict = {}
        self.excused: dict = {}
        self.sound_began: dict = {}

    def booting(self, pole) -> None:
        """Only what the card holds outlives the power."""
        marks = pole.card.marks
        for table in (self.stops, self.lifts):
            held = table.get(pole, {})
            table[pole] = {digest: signed for digest, signed in held.items() if digest in marks}
        if not marks:
            self.sound_began[pole] = {}
        self.ended[pole], self.excused[pole] = set(), set()
        self.sound_began.setdefault(pole, {})

    def turned(self, pole, event) -> None:
        """A STOP or LIFT that arrived was taken in if the node now knows it."""
        known = pole.unacknowledged
        if not known and not pole.state.after:
            return
        for arrived in known.values():
            signed = self.world.office_by_raw(arrived.raw)
            if signed is None or signed.op not in ("STOP", "LIFT"):
                continue
            table = self.stops if signed.op == "STOP" else self.lifts
            if signed.digest not in table[pole] and pole.state.collect_until_ns is None and self._is_accepted(pole, signed):
                table[pole][signed.digest] = signed

    def acknowledged(self, pole, arrived, event) -> None:
        signed = self.world.office_by_raw(arrived.raw)
        if signed is not None and signed.op in ("STOP", "LIFT") and signed.digest in pole.card.marks:
            (self.stops if signed.op == "STOP" else self.lifts)[pole][signed.digest] = signed

    def _is_accepted(self, pole, signed) -> bool:
        return any(mark.digest == signed.digest for mark in pole.state.seen.orders.values())

    def silenced(self, pole, start) -> bool:
        """Whether a STOP reaches it. What one stopped stays stopped; what a void key's STOP only held back may come again."""
        ended = start.digest in self.ended[pole]
        return any(oracle.stops(stop, start) for stop in self.stops[pole].values() if ended or self.counts(pole, stop))

    def counts(self, pole, order) -> bool:
        """Whether those who signed it are still believed: a key called stolen holds nothing back any more."""
        return self.why_not(pole, order) is None

    def hushed(self, pole, authority: str) -> bool:
        """Whether a STOP of everything keeps this authority's programme silent."""
        lifts = [lift for lift in self.lifts[pole].values() if self.counts(pole, lift)]
        return any(
            stop.payload.incident is None
            and stop.payload.kind == "order"
            and oracle.below(authority, stop.payload.authority)
            and not oracle.lifted(stop, lifts)
            for stop in self.stops[pole].values()
            if self.counts(pole, stop)
        )

    def key_states(self, pole):
        """Of the commune's keys, as the grant on this node's card says; and as the node itself believes."""
        digests = [
            doc.digest for (slot, _), doc in pole.card.documents.items() if (slot.kind, slot.subject) == ("grant", COMMUNE)
        ]
        believed = pole.state.trust.grants.get(COMMUNE)
        states = [self.world.office.all[digest].key_states for digest in digests]
        if believed is not None:
            states.append(self.world.office.grants[believed.seq])
        return states or [{"c1": "unknown", "c2": "unknown", "page": "unknown"}]

    def why_not(self, pole, signed, *, held: bool = True):
        """Why this may not sound on a node; None if any grant that it holds at present allows it."""
        whys = [oracle.why_not(signed, pole.chain, states, held=held) for states in self.key_states(pole)]
        return None if None in whys else whys[0]

    def duty(self, pole):
        """The live START that has to sound on this node now, if any: of those that stand on its card the first in rank."""
        if not pole.card.standing:
            return None
        found = []
        for digest in pole.card.standing:
            signed = self.world.office.all.get(digest)
            if signed is None or signed.payload.kind != "order" or digest in self.ended[pole] | self.excused[pole]:
                continue
            began_ms = self.sound_began[pole].get(digest)
            spent = began_ms is not None and self.clockwork.now_ms >= began_ms + signed.payload.sound_max_s * 1_000
            if not spent and not self.silenced(pole, signed) and self.why_not(pole, signed) is None:
                found.append(signed)
        return max(found, key=oracle.rank, default=None)

    def begun(self, pole, sound) -> None:
        if sound.signed is not None and sound.signed.op:
            self.sound_began[pole].setdefault(sound.signed.digest, self.clockwork.now_ms)

    def over(self, pole, sound) -> None:
        """Heard to its end: nothing but a power cut before the card knows may begin it again."""
        if sound.signed is not None and sound.signed.op and sound.how in ("ended", "max"):
            self.ended[pole].add(sound.signed.digest)

    def booted(self, pole) -> None:
        """What stood on the card and whose time ran out in the dark need not sound; without a clock nobody can tell: it does.

        Of a first sample that the card never heard of the node knows nothing: while it may be accepted, its time counts anew.
        """
        if not pole.time_is_good:
            for digest in pole.card.standing:
                self.sound_began[pole].pop(digest, None)
            return
        for digest, write in pole.card.standing.items():
            signed, order = self.world.office.all[digest], write.order
            if order.state == "accepted" and pole.wall_ms <= signed.payload.accept_until_ms:
                self.sound_began[pole].pop(digest, None)
                continue
            began_ms = self.sound_began[pole].get(digest)
            since_ms = order.accepted_ms if began_ms is None else began_ms
            out_of_time = pole.wall_ms - since_ms >= signed.payload.sound_max_s * 1_000 - 3_000
            if out_of_time:
                self.excused[pole].add(digest)


def all_laws(world):
    """Every monitor; the ledger hears first."""
    from tests.simulation import laws_memory, laws_sound

    ledger = world.ledger = Ledger(world)
    return [ledger, *(law(world) for law in (*laws_sound.LAWS, *laws_memory.LAWS))]
