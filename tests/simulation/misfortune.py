"""What happens when a line of the plan comes due."""

from tests.core.people import COMMUNE, PROVINCE
from tests.simulation.faults import MISFORTUNES, Fault

SYNC_MS = 8_000


class Misfortune:
    """Carries out faults and acts; what overlaps ends with the later of the two."""

    def __init__(self, world) -> None:
        self.world = world
        self.clockwork = world.clockwork
        self.poles = list(world.poles.values())
        self.happened = 0
        self._until: dict[tuple, int] = {}
        self._dark_ms: dict[str, tuple[int, str]] = {}
        self._crises: dict[int, list] = {}
        self.healing = False
        self.upset_ms: dict[str, int] = {}
        self.head_upset_ms = 0

    def _upset(self, *poles) -> None:
        """What is told just now may not arrive."""
        for pole in poles or self.poles:
            self.upset_ms[pole.name] = self.clockwork.now_ms
        if not poles:
            self.head_upset_ms = self.clockwork.now_ms

    def happens(self, fault: Fault) -> None:
        world = self.world
        pole = self.poles[fault.node] if fault.node is not None else None
        world.note(pole, f"* {fault.name}", fault.lasts_ms or "", fault.size or "", fault.word)
        self.happened += fault.name in MISFORTUNES
        getattr(self, "_" + fault.name.replace(" ", "_"))(fault, pole)

    def heals(self) -> None:
        """The last hours of a seed: everything works again, nobody acts."""
        self.healing = True
        world = self.world
        world.note(None, "everything heals")
        self._upset()
        for pole in self.poles:
            pole.card_fails, pole.save_ms, pole.cut_after, pole.player.refuses = False, 3, None, 0
            world.broker.messy[pole.name] = False
            self._covered(pole, there=True)
            if not pole.on:
                pole.power_on()
            pole.set_clock(0, "good")
        world.media_down = False
        self._head_up()
        if not world.broker.up:
            world.broker.start()
        if world.office.key_states.get("c1") != "active":
            self._regrant(None, None)
        for pole in self.poles:
            pole.fetch_on()

    def _lasting(self, what: tuple, lasts_ms: int, end) -> None:
        until_ms = max(self._until.get(what, 0), self.clockwork.now_ms + lasts_ms)
        self._until[what] = until_ms

        def over() -> None:
            if self._until[what] == until_ms and not self.healing:
                end()

        self.clockwork.after_ms(until_ms - self.clockwork.now_ms, over)

    # --- power and memory ---

    def _cut(self, fault, pole) -> None:
        if not pole.on:
            return
        self._dark_ms[pole.name] = (fault.lasts_ms, fault.word)
        if fault.size:
            pole.cut_after = fault.size
        else:
            self.dark(pole)

    def dark(self, pole, lasts_ms: int | None = None) -> None:
        """The power goes now."""
        planned_ms, clock = self._dark_ms.get(pole.name, (10_000, "good"))
        pole.power_off()
        self._lasting(("dark", pole.name), planned_ms if lasts_ms is None else lasts_ms, lambda: self._light(pole, clock))

    def _light(self, pole, clock: str) -> None:
        if pole.on:
            return
        if clock == "unknown":
            pole.error_ms, pole.clock = -self.clockwork.now_ms + 1_600_000_000_000, "unknown"
        else:
            pole.error_ms, pole.clock = 0, "good"
        pole.power_on()
        if clock == "unknown":
            self._sync(pole)

    def _sync(self, pole) -> None:
        """Time comes over the link, some seconds after it is there."""
        life = pole.life

        def look() -> None:
            if pole.life != life or pole.clock == "good" or self.healing:
                return
            if pole.linked and self.clockwork.now_ms >= self._until.get(("clock", pole.name), 0):
                pole.set_clock(0, "good")
            else:
                self.clockwork.after_ms(60_000, look)

        self.clockwork.after_ms(SYNC_MS, look)

    def _lose_memory(self, fault, pole) -> None:
        if pole.on:
            pole.power_off()
        pole.lose_memory()
        self._lasting(("dark", pole.name), fault.lasts_ms, lambda: self._light(pole, "good"))

    def _lose_files(self, fault, pole) -> None:
        """A bad sector takes some recordings; the node finds out at its next start."""
        media = sorted(pole.card.media)
        gone = {sha256 for sha256 in media if self.world.chance.random() < 0.3}
        pole.card.media -= gone
        if pole.on and self.world.chance.random() < 0.7:
            self.dark(pole, 5_000)

    def _slow_card(self, fault, pole) -> None:
        pole.save_ms = fault.size
        self._lasting(("slow", pole.name), fault.lasts_ms, lambda: setattr(pole, "save_ms", 3))

    def _full_card(self, fault, pole) -> None:
        pole.card_fails = True
        self._lasting(("full", pole.name), fault.lasts_ms, lambda: setattr(pole, "card_fails", False))

    def _mute_player(self, fault, pole) -> None:
        pole.player.refuses = fault.size

    # --- clocks ---

    def _step(self, fault, pole) -> None:
        if pole.clock != "good":
            return
        pole.set_clock(fault.size, "good")
        self._lasting(("step", pole.name), fault.lasts_ms, lambda: pole.clock == "good" and pole.set_clock(0, "good"))

    def _doubt(self, fault, pole) -> None:
        pole.set_clock(pole.error_ms, fault.word)
        self._until["clock", pole.name] = self.clockwork.now_ms + fault.lasts_ms
        self.clockwork.after_ms(fault.lasts_ms, lambda: self._sync(pole))

    # --- links ---

    def _covered(self, pole, *, there: bool) -> None:
        self.world.broker.covered[pole.name] = there
        self.world.broker.cover_changed(pole)
        self.world.told("covered", pole)

    def _cover(self, fault, pole) -> None:
        self._covered(pole, there=False)
        self._lasting(("cover", pole.name), fault.lasts_ms, lambda: self._covered(pole, there=True))

    def _flap(self, fault, pole) -> None:
        for number in range(fault.size):
            at_ms = fault.lasts_ms * number // fault.size
            self.clockwork.after_ms(
                at_ms, lambda: self.healing or self.world.broker.link_lost(pole) or self._covered(pole, there=True)
            )

    def _mess(self, fault, pole) -> None:
        self._messy(pole, there=True)
        self._lasting(("mess", pole.name), fault.lasts_ms, lambda: self._messy(pole, there=False))

    def _messy(self, pole, *, there: bool) -> None:
        self._upset(pole)
        self.world.broker.messy[pole.name] = there

    def _kill_broker(self, fault, _pole) -> None:
        self._upset()
        if self.world.broker.up:
            self.world.broker.kill(forgets=fault.word == "forgets")
        self._lasting(("broker",), fault.lasts_ms, self._broker_up)

    def _broker_up(self) -> None:
        self._upset()
        self.world.broker.start()

    def _head_down(self, fault, _pole) -> None:
        self._upset()
        self.world.head_up = False
        self._lasting(("head",), fault.lasts_ms, self._head_up)

    def _head_up(self) -> None:
        self._upset()
        self.world.head_up = True
        waiting, self.world.waiting_head[:] = list(self.world.waiting_head), []
        if self.world.broker.up:
            self.world.head.broker_is_back()
        for tell in waiting:
            tell(self.world.head)

    def _restore_head(self, fault, _pole) -> None:
        self.world.head.restored(fault.size)

    def _media_down(self, fault, _pole) -> None:
        self.world.media_down = True
        self._lasting(("media",), fault.lasts_ms, self._media_up)

    def _media_up(self) -> None:
        self.world.media_down = False
        for pole in self.poles:
            pole.fetch_on()

    # --- people ---

    def _send(self, signed) -> None:
        self.world.note(None, "sent:", signed)
        self.world.head.order(signed)

    def _crisis(self, fault, _pole, *, exercise: bool = False) -> None:
        signed = self.world.office.start(self.clockwork.now_ms, exercise=exercise)
        self._crises[fault.size] = [signed]
        self._send(signed)

    def _drill(self, fault, pole) -> None:
        self._crisis(fault, pole, exercise=True)

    def _update(self, fault, _pole) -> None:
        first = self._crises[fault.size][0]
        exercise = first.payload.kind == "exercise"
        again = self.world.office.start(self.clockwork.now_ms, exercise=exercise, again=first)
        self._crises[fault.size].append(again)
        self._send(again)

    def _second(self, _fault, _pole) -> None:
        self._send(self.world.office.start(self.clockwork.now_ms))

    def _stop(self, fault, _pole) -> None:
        last = self._crises[fault.size][-1]
        exercise = last.payload.kind == "exercise"
        self._send(self.world.office.stop(self.clockwork.now_ms, last, exercise=exercise))

    def _narrow_stop(self, fault, _pole) -> None:
        last = self._crises[fault.size][-1] if self.world.chance.random() < 0.6 else None
        self._send(self.world.office.stop(self.clockwork.now_ms, last, narrow=True))

    def _wrong_stop(self, fault, _pole) -> None:
        """The STOP of an exercise under a live incident's number, or under none."""
        last = self._crises[fault.size][-1] if self.world.chance.random() < 0.6 else None
        self._send(self.world.office.stop(self.clockwork.now_ms, last, exercise=True))

    def _hush(self, fault, _pole) -> None:
        area = self.world.chance.choice((None, None, *self.world.places.values()))
        stop = self.world.office.stop(self.clockwork.now_ms, area=area)
        self._send(stop)
        self.clockwork.after_ms(
            fault.lasts_ms, lambda: self.healing or self._send(self.world.office.lift(self.clockwork.now_ms, stop))
        )

    def _forge(self, _fault, _pole) -> None:
        chance = self.world.chance
        wrong = chance.choice(("stranger", "alone", "long", "narrow"))
        signed = self.world.office.start(
            self.clockwork.now_ms, forged=wrong, exercise=chance.random() < 0.2 and wrong == "stranger"
        )
        self.world.note(None, "forged:", signed)
        for pole in self.poles:
            self.world.broker.hostile(pole, signed.topic, signed.raw)

    def _replay(self, fault, pole) -> None:
        """Whoever holds the broker says old things again."""
        chance, office = self.world.chance, self.world.office
        for _ in range(fault.size):
            signed = chance.choice(office.replayable)
            topic = signed.topic
            if signed.op and chance.random() < 0.3:
                topic = f"loa/1/node/{pole.name}/order/{topic.rsplit('/', 1)[1]}"
            raw = signed.raw
            if chance.random() < 0.1:
                raw = raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:]
            self.world.broker.hostile(pole, topic, raw)

    def _put(self, signed) -> None:
        self.world.note(None, "put:", signed)
        self.world.head.put(signed)

    def _programme(self, _fault, _pole) -> None:
        self._put(self.world.office.programme(self.clockwork.now_ms))

    def _provincial(self, _fault, _pole) -> None:
        self._put(self.world.office.programme(self.clockwork.now_ms, PROVINCE))

    def _race(self, _fault, _pole) -> None:
        """Two leaders approve at the same time; either may be the first at a node."""
        office, now_ms = self.world.office, self.clockwork.now_ms
        good = [name for name in ("c1", "c2") if office.key_states.get(name, "active") == "active"]
        seq = office.seq(now_ms)
        both = [office.programme(now_ms, by=good[0], seq=seq), office.programme(now_ms, by=good[-1], seq=seq)]
        for signed in sorted(both, key=lambda signed: signed.digest, reverse=self.world.chance.random() < 0.5):
            self._put(signed)

    def _withdraw(self, _fault, _pole) -> None:
        office = self.world.office
        self._put(office.programme(self.clockwork.now_ms, empty=True))
        self.clockwork.after_ms(6 * 3_600_000, lambda: self.healing or self._programme(None, None))

    def _station(self, _fault, _pole) -> None:
        self._put(self.world.office.station(self.clockwork.now_ms))

    def _steal(self, _fault, _pole) -> None:
        """The first leader's key is gone; some minutes later the second signs everything anew."""
        office = self.world.office
        self._put(office.grant(self.clockwork.now_ms, self.world.chance.choice(("stolen", "retired"))))
        self.world.head.withdraw_stolen("c1")
        self.clockwork.after_ms(self.world.chance.randint(1, 120) * 60_000, self._sign_anew)

    def _sign_anew(self) -> None:
        if not self.healing:
            self._station(None, None)
            self._programme(None, None)

    def _regrant(self, _fault, _pole) -> None:
        office = self.world.office
        self._put(office.grant(self.clockwork.now_ms))
        self._put(office.station(self.clockwork.now_ms, by="c2"))
        self._put(office.programme(self.clockwork.now_ms, by="c2"))

    # --- the controller's own answer to a node without a clock ---

    def reseal(self, known, order) -> None:
        """The page signs the same again, answering the nonces of nodes that have no clock."""
        office = self.world.office
        signed = office.all[order.mark.digest]
        if self.healing or not known.nonce or order.accept_until_ms <= self.clockwork.now_ms or "h1" in signed.names:
            return
        if len(self._crises.setdefault(hash_of(order.mark.digest), [])) < 3 and signed.payload.authority == COMMUNE:
            again = office.again(self.clockwork.now_ms, signed, known.nonce)
            self._crises[hash_of(order.mark.digest)].append(again)
            self._send(again)


def hash_of(digest: str) -> int:
    return -int(digest[:8], 16) - 1
