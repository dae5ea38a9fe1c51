"""Laws 1, 3, 4, 9 and 12: what is heard, by an ear under the pole."""

from collections import deque

from protocol.documents import Station
from protocol.emergency import EXERCISE_WORDS
from protocol.programme import length_ms
from protocol.seen import Slot
from tests.core.people import COMMUNE
from tests.simulation import oracle
from tests.simulation.laws import Law

FADE_MS = 12
SLACK_MS = 1_200
HEARD_MS = 1_010
"""What is interrupted in its last second has been heard (docs/what-plays-when.md); ten milliseconds for the player."""
LOOK_MS = 5_400


class SignedOrSilent(Law):
    number, words = 1, "signed or silent"

    def begun(self, pole, sound) -> None:
        if sound.signed is None:
            self.broken(pole, f"nobody signed what sounds: {sound.words}")
        why = self.world.ledger.why_not(pole, sound.signed)
        if why is not None:
            self.broken(pole, f"{sound.signed} sounds; {why}")

    def committed(self, pole, writes) -> None:
        if any(getattr(write, "slot", None) == Slot("grant", COMMUNE, "-") for write in writes):
            self.in_ms(1_000, lambda: self._review(pole))

    def _review(self, pole) -> None:
        for sound in pole.ear.values():
            why = self.world.ledger.why_not(pole, sound.signed)
            if why is not None:
                self.broken(pole, f"{sound.signed} goes on sounding; {why}")


class EmergencyFirst(Law):
    number, words = 3, "emergency first"

    def __init__(self, world) -> None:
        super().__init__(world)
        self.late: dict = {}
        self.upset: dict = {}

    def begun(self, pole, sound) -> None:
        now_ms = self.clockwork.now_ms
        others = [other for other in pole.ear.values() if other is not sound and not self._fading(pole, other)]
        if others:
            self.broken(pole, f"{sound.signed} begins while {others[0].signed} sounds, since {now_ms - others[0].begin_ms} ms")

    @staticmethod
    def _fading(pole, sound) -> bool:
        heard = pole.player.active.get(sound.play.play_id)
        return heard is None or heard.stopped

    def turned(self, pole, event) -> None:
        if not pole.card.standing:
            self.late.pop(pole, None)
            return
        if getattr(event, "how", "") == "failed":
            self.late.pop(pole, None)
        duty = self.world.ledger.duty(pole)
        if duty is None or any(sound.signed is duty for sound in pole.ear.values()):
            self.late.pop(pole, None)
            return
        digest, since_ms = self.late.get(pole, ("", 0))
        if digest != duty.digest:
            self.late[pole] = (duty.digest, self.clockwork.now_ms)
            self.in_ms(SLACK_MS + 4 * pole.save_ms, lambda: self._look(pole, duty))
            return
        if self.clockwork.now_ms - since_ms > SLACK_MS + 4 * max(pole.save_ms, 450):
            self.broken(pole, f"{duty} stands on the card for {self.clockwork.now_ms - since_ms} ms and does not sound")

    def _look(self, pole, duty) -> None:
        if pole.on and pole in self.late and self.late[pole][0] == duty.digest:
            self.turned(pole, None)

    def cut(self, pole) -> None:
        self.late.pop(pole, None)

    def clock_set(self, pole, _error_ms, _clock) -> None:
        self.upset[pole] = self.clockwork.now_ms

    # --- what was interrupted goes on or is skipped, by its own rule ---

    def over(self, pole, sound) -> None:
        playing = pole.state.plays.get(sound.play.play_id)
        if not sound.item or sound.how != "stopped" or playing is None or playing.ending != "interrupted":
            return
        if not pole.time_is_good:
            return  # without a clock plans are dropped, and this with them (docs/what-plays-when.md)
        due = playing.due
        left_ms = length_ms(due.item) - due.gone_ms - (self.clockwork.now_ms - sound.begin_ms)
        if due.item.on_interrupt == "drop" or left_ms <= HEARD_MS:
            return
        life, since_ms = pole.life, self.clockwork.now_ms
        wait_ms = due.item.grace_s * 1_000 + 15_000
        key = (sound.record.authority, sound.item, sound.record.planned_ms)
        self.in_ms(wait_ms, lambda: self._must_have_gone_on(pole, sound, key, life, since_ms))

    def _must_have_gone_on(self, pole, sound, key, life, since_ms) -> None:
        if pole.life != life or self.upset.get(pole, 0) >= since_ms - 10_000 or pole.card_fails or not pole.time_is_good:
            return
        if any(
            (rec.authority, rec.item, rec.planned_ms) == key and rec.record_id > sound.record.record_id
            for rec, _ in pole.card.records.values()
        ):
            return
        held = pole.state.documents.get(Slot("programme", sound.signed.payload.subject, key[0]))
        if held is not None and held.digest == sound.signed.digest and "storage-failed" not in pole.state.troubles:
            self.broken(
                pole, f"{sound.item} of {oracle.clock_face(key[2])} was interrupted, and neither goes on nor is told as skipped"
            )


class Quiet(Law):
    number, words = 4, "quiet is quiet"

    def __init__(self, world) -> None:
        super().__init__(world)
        self.grace_ms: dict = {}
        self.loose: set = set()
        self.new_rules_ms: dict = {}

    @staticmethod
    def _rules(pole) -> str:
        held = pole.state.documents.get(Slot("station", COMMUNE, COMMUNE))
        return held.digest if held is not None else ""

    def _body(self, pole):
        held = pole.state.documents.get(Slot("station", COMMUNE, COMMUNE))
        return self.world.office.all[held.digest].payload.body if held is not None and isinstance(held.payload, Station) else None

    def _is_open(self, pole, at_ms: int) -> bool:
        body = self._body(pole)
        return body is not None and oracle.is_open(body, at_ms, pole.chain)

    @staticmethod
    def _concerns(sound) -> bool:
        return sound.signed is not None and sound.signed.payload.kind != "order"

    def begun(self, pole, sound) -> None:
        if (
            self._concerns(sound)
            and self.clockwork.now_ms >= self.grace_ms.get(pole, 0)
            and not self._is_open(pole, pole.wall_ms)
        ):
            self.broken(
                pole, f"{sound.signed} {sound.item} begins at {oracle.clock_face(pole.wall_ms)}, when its station is closed"
            )
        if self._concerns(sound) and self.clockwork.now_ms < self.grace_ms.get(pole, 0) and not pole.time_is_good:
            self._let_loose(pole, sound)  # the player was told its instant and its ceiling just before the clock was lost

    def over(self, pole, sound) -> None:
        if not self._concerns(sound) or sound in self.loose:
            self.loose.discard(sound)
            return
        at_ms = max(pole.wall_ms - SLACK_MS, sound.begin_ms + pole.error_ms)
        calm = self.clockwork.now_ms >= max(self.grace_ms.get(pole, 0), self.new_rules_ms.get(pole, 0) + SLACK_MS)
        if calm and self._rules(pole) in pole.card_digests() and not self._is_open(pole, at_ms):
            self.broken(
                pole, f"{sound.signed} {sound.item} still sounds at {oracle.clock_face(pole.wall_ms)}, its station being closed"
            )

    def clock_set(self, pole, error_ms, _clock) -> None:
        """The old clock's part is judged now; of the new one the node learns within five seconds; without trust, its ceiling."""
        for sound in pole.ear.values():
            if self._concerns(sound) and sound not in self.loose:
                was_ms = max(self.clockwork.now_ms - SLACK_MS, sound.begin_ms) + error_ms
                if self.clockwork.now_ms >= self.grace_ms.get(pole, 0) and not self._is_open(pole, was_ms):
                    self.broken(
                        pole, f"{sound.signed} {sound.item} sounds at {oracle.clock_face(was_ms)}, its station being closed"
                    )
                if not pole.time_is_good:
                    self._let_loose(pole, sound)
        self.grace_ms[pole] = self.clockwork.now_ms + LOOK_MS

    def _let_loose(self, pole, sound) -> None:
        """No clock says what is open: the ceiling that a good one set holds."""
        self.loose.add(sound)
        over_ms = sound.begin_ms + (sound.play.max_ms or 0) + SLACK_MS
        self.in_ms(max(0, over_ms - self.clockwork.now_ms), lambda: self._ceiling(pole, sound))

    def _ceiling(self, pole, sound) -> None:
        if sound.end_ms is None:
            self.broken(pole, f"{sound.signed} {sound.item} sounds past the ceiling that was set under a good clock")

    def booted(self, pole) -> None:
        self.grace_ms.pop(pole, None)

    def committed(self, pole, writes) -> None:
        """New hours are kept within a second."""
        if any(getattr(write, "slot", None) == Slot("station", COMMUNE, COMMUNE) for write in writes):
            self.new_rules_ms[pole] = self.clockwork.now_ms
            self.in_ms(SLACK_MS, lambda: self._review(pole))

    def _review(self, pole) -> None:
        for sound in pole.ear.values():
            calm = sound not in self.loose and self.clockwork.now_ms >= self.grace_ms.get(pole, 0) and pole.time_is_good
            at_ms = max(pole.wall_ms - SLACK_MS, sound.begin_ms + pole.error_ms)
            if calm and self._concerns(sound) and not self._is_open(pole, at_ms):
                self.broken(pole, f"{sound.signed} {sound.item} goes on although its station closed")


class StopStops(Law):
    number, words = 9, "STOP stops, and only what it may"

    def __init__(self, world) -> None:
        super().__init__(world)
        self.heard: dict = {}

    def arrived(self, pole, _topic, raw) -> None:
        stop = self.world.office_by_raw(raw)
        if stop is None or stop.op != "STOP":
            return
        ledger = self.world.ledger
        good = [oracle.why_not(stop, pole.chain, states, held=False) is None for states in ledger.key_states(pole)]
        future = pole.time_is_good and stop.payload.seq > pole.wall_ms + 120_000
        others = [self.world.office.all[digest] for digest in pole.card.marks]
        same = [one for one in others if one.op == "START" and one.payload.incident == stop.payload.incident]
        if all(good) and not future and all(oracle.may_touch(stop, start) for start in same):
            life = pole.life
            self.in_ms(3_000, lambda: pole.life == life and self._silent(pole, stop))

    def _silent(self, pole, stop) -> None:
        for sound in pole.ear.values():
            if sound.signed.op and oracle.stops(stop, sound.signed):
                self.broken(pole, f"{sound.signed} sounds three seconds after {stop}")
            self._hushed(pole, sound)

    def begun(self, pole, sound) -> None:
        if sound.signed is None:
            return
        if sound.signed.op:
            self.heard.setdefault(pole, deque(maxlen=8)).append(sound)
            if self.world.ledger.silenced(pole, sound.signed):
                self.broken(pole, f"{sound.signed} sounds again after a STOP of it")
        self._hushed(pole, sound)

    def _hushed(self, pole, sound) -> None:
        if not sound.signed.op and self.world.ledger.hushed(pole, sound.signed.payload.authority):
            self.broken(pole, f"{sound.signed} {sound.item} sounds although everything was stopped and not lifted")

    def over(self, pole, sound) -> None:
        """What is live falls silent only for a reason."""
        signed = sound.signed
        if signed is None or not signed.op or signed.payload.kind != "order" or sound.how != "stopped":
            return
        life = pole.life
        spent = (
            sound.end_ms - self.world.ledger.sound_began[pole].get(signed.digest, 0) >= signed.payload.sound_max_s * 1_000 - 2_000
        )
        if not spent:
            self.in_ms(SLACK_MS + 4 * max(450, pole.save_ms), lambda: pole.life == life and self._had_reason(pole, sound))

    def _had_reason(self, pole, sound) -> None:
        ledger, signed = self.world.ledger, sound.signed
        if ledger.silenced(pole, signed) or ledger.why_not(pole, signed) is not None:
            return
        if signed.digest in pole.card.standing and signed.digest not in ledger.ended[pole]:
            return  # law 3 asks whether it sounds, or something higher does
        if self._spent_meanwhile(pole, sound):
            return
        later = [rec for rec, _ in pole.card.records.values() if rec.record_id > sound.record.record_id]
        if any(rec.digest == signed.digest and rec.ending == "failed" for rec in later):
            return  # it was interrupted, and then the player failed it
        marks = [self.world.office.all[other] for other in pole.card.marks]
        newer = [one for one in marks if one.op == "START"]
        # a later one, or one of hands that this one closes nothing to, though it came first
        updated = any(
            one.payload.incident == signed.payload.incident
            and oracle.may_touch(one, signed)
            and (one.payload.seq > signed.payload.seq or not oracle.may_touch(signed, one))
            for one in newer
        )
        if not updated and not sound.whole and signed.digest not in ledger.ended[pole]:
            self.broken(pole, f"{signed} fell silent, and nobody who may had stopped it")

    def _spent_meanwhile(self, pole, sound) -> bool:
        """Whether it gave way to one of higher rank or to its own recording, and its sound time, which nothing halts, is over."""
        signed = sound.signed
        began_ms = self.world.ledger.sound_began[pole].get(signed.digest, sound.begin_ms)
        return self.clockwork.now_ms - began_ms >= signed.payload.sound_max_s * 1_000 and any(
            oracle.rank(other.signed) >= oracle.rank(signed) and other.begin_ms >= sound.end_ms - FADE_MS
            for other in self.heard.get(pole, ())
        )


class ExerciseStaysOne(Law):
    number, words = 12, "an exercise is an exercise"

    def begun(self, pole, sound) -> None:
        kind = sound.signed.payload.kind if sound.signed is not None else ""
        purpose = {"exercise": "exercise", "order": "live"}.get(kind, "routine")
        if (EXERCISE_WORDS in sound.words) != (purpose == "exercise"):
            self.broken(pole, f"{sound.signed} sounds {'without' if purpose == 'exercise' else 'with'} the words of an exercise")
        if sound.record is None or sound.record.purpose != purpose:
            self.broken(pole, f"{sound.signed} is recorded as {sound.record and sound.record.purpose}")


LAWS = (SignedOrSilent, EmergencyFirst, Quiet, StopStops, ExerciseStaysOne)
