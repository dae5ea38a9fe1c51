"""Laws 2, 6, 7, 10 and 11: what is kept, counted, timed and told."""

from edge_agent.commands import DropDocument, PutDocument, PutNumber, PutOrder
from edge_agent.events import SaveFailed
from protocol.seen import Slot
from tests.core.people import COMMUNE
from tests.simulation import oracle
from tests.simulation.laws import Law

SEEN_WITHIN_MS = 100_000


class OnceAndInOrder(Law):
    number, words = 2, "once and in order"

    def __init__(self, world) -> None:
        super().__init__(world)
        self.begun_once: dict = {}
        self.may_go_on: dict = {}
        self.seqs: dict = {}
        self.over_on_card: dict = {}

    def booting(self, pole) -> None:
        self.may_go_on[pole] = set()
        self.over_on_card.setdefault((pole, pole.memories), set())

    def begun(self, pole, sound) -> None:
        if sound.signed is None or sound.record is None:
            return
        if sound.signed.op:
            ledger = self.world.ledger
            if sound.signed.digest in ledger.ended[pole] or sound.signed.digest in self.over_on_card[pole, pole.memories]:
                self.broken(pole, f"{sound.signed} was over and sounds again")
            if sound.signed.digest not in pole.card.marks:
                self.broken(pole, f"{sound.signed} sounds and is not on the card")
            return
        key = (pole, pole.memories, sound.record.authority, sound.item, sound.record.planned_ms)
        if key in self.begun_once and key not in self.may_go_on[pole]:
            self.broken(pole, f"{sound.item} of {oracle.clock_face(sound.record.planned_ms)} begins a second time")
        self.begun_once[key] = sound
        self.may_go_on[pole].discard(key)

    def over(self, pole, sound) -> None:
        playing = pole.state.plays.get(sound.play.play_id)
        if sound.item and playing is not None and playing.ending == "interrupted" and playing.due.item.on_interrupt != "drop":
            self.may_go_on[pole].add((pole, pole.memories, sound.record.authority, sound.item, sound.record.planned_ms))

    def committed(self, pole, writes) -> None:
        for write in writes:
            if isinstance(write, PutDocument):
                self._document(pole, write)
            elif isinstance(write, DropDocument):
                # its signers lost their power: the highest of those who still have any counts now, and that may be an older one
                for pending in (False, True):
                    self.seqs.pop((pole, pole.memories, write.slot, pending), None)
            elif isinstance(write, PutOrder):
                self._order(pole, write.order)

    def _document(self, pole, write) -> None:
        """In force is never older than what was; what waits is newer than both."""
        in_force, waits = ((pole, pole.memories, write.slot, pending) for pending in (False, True))
        seq = self.world.office.all[write.document.digest].payload.seq
        before = max(self.seqs.get(in_force, 0), self.seqs.get(waits, 0) if write.document.pending else 0)
        if seq < before:
            self.broken(pole, f"an older {write.slot.kind} took the place of a newer one")
        self.seqs[waits if write.document.pending else in_force] = seq

    def _order(self, pole, order) -> None:
        over = self.over_on_card[pole, pole.memories]
        if order.state in ("ended", "stopped"):
            over.add(order.mark.digest)
        elif order.mark.digest in over:
            # by rule only: the STOP of an update that never sounded gives the older version back
            incident = order.mark.incident
            updates = [
                kept for kept in pole.card.orders.values() if kept.mark.incident == incident and kept.mark.seq > order.mark.seq
            ]
            if not any(kept.state == "stopped" for kept in updates):
                self.broken(pole, f"order {order.mark.digest[:6]} was over on the card and stands again")
            over.discard(order.mark.digest)

    def acknowledged(self, pole, arrived, event) -> None:
        """PUBACK after the act itself is on the card, unless it was refused in the turn in which it came."""
        signed = self.world.office_by_raw(arrived.raw)
        if signed is None or not signed.op or type(event).__name__ != "Saved":
            return
        if signed.digest not in pole.card.marks:
            self.broken(pole, f"{signed} is acknowledged and not on the card")

    def healed(self) -> None:
        """Racing approvers converge: whatever order things came in, every node ends with the highest."""
        head = self.world.head
        for pole in self.world.poles.values():
            holds = {stored.digest for table in (pole.state.documents, pole.state.waiting) for stored in table.values()}
            for held in head.map.due(pole.name, self.clockwork.now_ms):
                signed = self.world.office.all[held.digest]
                if held.digest not in holds and (
                    signed.payload.kind not in ("programme", "station") or not self.world.ledger.why_not(pole, signed)
                ):
                    self.broken(pole, f"hours after everything healed it does not hold {signed}")


class CompleteOrOld(Law):
    number, words = 6, "complete or old"

    def begun(self, pole, sound) -> None:
        if sound.signed is None or sound.signed.op:
            return
        missing = sound.signed.media - pole.card.ever
        if missing:
            self.broken(pole, f"{sound.signed} plays and {len(missing)} of its files never came")
        slot = Slot("programme", COMMUNE, sound.signed.payload.authority)
        for digest in {held.digest for (at, _), held in pole.card.documents.items() if at == slot}:
            other = self.world.office.all[digest]
            whole = other.media <= pole.card.media and other.payload.valid_from_ms <= pole.wall_ms - 6_000
            if other.payload.seq > sound.signed.payload.seq and whole and pole.time_is_good and not self._lately(pole, digest):
                self.broken(pole, f"{sound.signed} plays although {other} is complete")

    def __init__(self, world) -> None:
        super().__init__(world)
        self.came: dict = {}

    def committed(self, pole, writes) -> None:
        for write in writes:
            if isinstance(write, PutDocument):
                self.came[pole, write.document.digest] = self.clockwork.now_ms

    def _lately(self, pole, digest) -> bool:
        return self.clockwork.now_ms - self.came.get((pole, digest), 0) < 2_000


class CountedOnce(Law):
    number, words = 7, "every play is counted once"

    def __init__(self, world) -> None:
        super().__init__(world)
        self.heard: dict = {}
        self.failing: set = set()

    def begun(self, pole, sound) -> None:
        if sound.record is None:
            self.broken(pole, f"{sound.signed} sounds without a record")
        key = (pole, pole.memories, sound.record.record_id)
        if pole.card_fails or "storage-failed" in pole.state.troubles:
            self.failing.add(key)
            return
        if sound.record.record_id not in pole.card.records:
            self.broken(pole, f"{sound.signed} sounds before its record is on the card")
        if key in self.heard:
            self.broken(pole, f"two plays under number {sound.record.record_id}")
        self.heard[key] = sound

    def healed(self) -> None:
        for pole in self.world.poles.values():
            known = self.world.head.nodes[pole.name]
            counted = {number: record for (epoch, number), record in known.plays.items() if epoch == known.epoch}
            last = max(pole.card.records, default=0)
            open_now = {number for number, (_, is_open) in pole.card.records.items() if is_open}
            missing = [number for number in range(1, last + 1) if number not in counted and number not in open_now]
            if missing:
                self.broken(pole, f"plays {missing[:9]} of {last} never reached the controller, whose mark is {known.upto}")
            for (who, memory, number), sound in self.heard.items():
                if who is pole and memory == pole.memories and number not in open_now:
                    self._agrees(pole, sound, counted[number])

    def _agrees(self, pole, sound, record) -> None:
        same = (record.digest, record.item, record.planned_ms) == (
            sound.record.digest,
            sound.record.item,
            sound.record.planned_ms,
        )
        key = (pole, pole.memories, record.record_id)
        if not same and record.item != "lost" and key not in self.failing:
            self.broken(
                pole,
                f"number {record.record_id} was {sound.signed} {sound.item} to the ear and is {record.item} {record.digest[:6]}",
            )


class TimeIsKnown(Law):
    number, words = 10, "say what you know of time"

    def __init__(self, world) -> None:
        super().__init__(world)
        self.floors: dict = {}
        self.touched: dict = {}

    def begun(self, pole, sound) -> None:
        if sound.signed is None or sound.signed.payload.kind == "order" or pole.last is None:
            return
        floor_ms = pole.card.numbers.get("floor_ms", 0)
        if pole.last.clock not in ("good", "holdover") or pole.last.wall_ms < floor_ms:
            self.broken(pole, f"{sound.signed} {sound.item} begins under a clock that is {pole.last.clock}")

    def clock_set(self, pole, _error_ms, _clock) -> None:
        self.touched[pole] = self.clockwork.now_ms

    def committed(self, pole, writes) -> None:
        for write in writes:
            if isinstance(write, PutNumber) and write.name == "floor_ms":
                key = (pole, pole.memories)
                if write.value < self.floors.get(key, 0):
                    self.broken(pole, "the floor of time fell")
                self.floors[key] = write.value
            elif isinstance(write, PutOrder) and write.order.state == "accepted":
                self._fresh(pole, self.world.office.all[write.order.mark.digest].payload)

    def _fresh(self, pole, start) -> None:
        late_ms = 2_000 + 64 * pole.save_ms
        if self.clockwork.now_ms - self.touched.get(pole, 0) < late_ms + 5_000 or set(start.answers) & set(pole.state.nonces):
            return
        if pole.last is None or self.world.ledger.sound_began[pole].get(start):
            return
        if pole.last.clock == "unknown" and not start.answers:
            self.broken(pole, "a START was accepted without a clock and without an answer to the nonce")
        if pole.last.clock in ("good", "holdover") and start.seq > pole.wall_ms + 121_000:
            self.broken(pole, "a START from the future was accepted")


class LossIsSeen(Law):
    number, words = 11, "silence is seen"

    def __init__(self, world) -> None:
        super().__init__(world)
        self.linked_ms: dict = {}

    def turned(self, pole, event) -> None:
        if type(event).__name__ == "LinkUp":
            self.linked_ms[pole] = self.clockwork.now_ms
        elif isinstance(event, SaveFailed):
            life = pole.life
            self.in_ms(SEEN_WITHIN_MS, lambda: pole.life == life and pole.card_fails and self._told(pole, "storage-failed"))

    def clock_set(self, pole, _error_ms, _clock) -> None:
        life = pole.life
        if not pole.time_is_good:
            self.in_ms(SEEN_WITHIN_MS, lambda: pole.life == life and not pole.time_is_good and self._told(pole, "clock-unknown"))

    def _told(self, pole, trouble: str) -> None:
        since_ms = self.clockwork.now_ms - SEEN_WITHIN_MS
        clean = not self.world.broker.messy.get(pole.name)
        calm = (
            clean
            and pole.linked
            and self.linked_ms.get(pole, 0) < since_ms
            and self.world.misfortune.upset_ms.get(pole.name, 0) < since_ms - 60_000
        )
        if calm and self.world.head_up and self.world.broker.up and trouble in pole.state.troubles:
            if trouble not in self.world.head.nodes[pole.name].troubles:
                self.broken(pole, f"{trouble} for {SEEN_WITHIN_MS // 1_000} s, and the controller does not know")
        elif calm and trouble not in pole.state.troubles:
            self.broken(pole, f"{trouble} for {SEEN_WITHIN_MS // 1_000} s, and the node does not know itself")

    def cut(self, pole) -> None:
        self._must_be_missed(pole)

    def covered(self, pole) -> None:
        if not pole.linked:
            self._must_be_missed(pole)

    def _must_be_missed(self, pole) -> None:
        birth, since_ms = pole.birth, self.clockwork.now_ms

        def look() -> None:
            calm = self.world.misfortune.head_upset_ms < since_ms - 1_000 and self.world.head_up
            if pole.birth == birth and not pole.linked and calm and self.world.head.nodes[pole.name].online == "online":
                self.broken(pole, "gone for 100 s, and the board shows it as there")

        self.in_ms(SEEN_WITHIN_MS, look)


LAWS = (OnceAndInOrder, CompleteOrOld, CountedOnce, TimeIsKnown, LossIsSeen)
