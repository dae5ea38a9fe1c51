"""The firmware from A to B and back over a bad link, a controller that lies, and power that goes at any instant of it."""

import random
import time
from bisect import bisect_left
from pathlib import Path
from typing import Final

import msgspec
import pytest

from hil.card import Card, copy_sparse
from hil.made import Made
from hil.office import Office
from hil.strategy import NodeStrategy, Status
from hil.updating import AGENT_ONLY, BAD_LINK, refusal, update
from hil.writes import Cut, Disk, Write, cut_at, read_log
from provisioning.memory import Kept, read_kept
from provisioning.pulled import taken_out

CUTS: Final = 1000
SAMPLES: Final = 5
LONG_SAMPLES: Final = 30
MIB: Final = 1 << 20
SEED: Final = 20261129
BACK_S: Final = 600
BOOTS: Final = Path(__file__).with_name("boots.json")
"""What the last thirty of them did; committed."""
SLOT_B: Final = 3
DATA: Final = 4


def test_bytes_that_are_not_the_released_ones_are_refused(node: NodeStrategy, office: Office, made: Made) -> None:
    """The controller lies: first a bundle, rightly signed, of another version; then the released one with blocks of its own."""
    node.transition("online")
    office.publish_network(node.node)
    true = made.bundle(2).read_bytes()
    middle = len(true) // 2
    lies = {
        "another manifest": made.twin(2, "2026.11.9").read_bytes(),
        "other blocks": true[:MIB] + bytes(middle - MIB) + true[middle:],
    }
    reasons = []
    for lie, content in lies.items():
        assert len(content) == len(true)
        office.release(made.bundle(2))
        with office.lying_about(made.bundle(2), content):
            reasons.append(refusal(node, office, "2026.11.2"))
        print(f"{lie}: {reasons[-1]}")
        assert node.copy() == "A"
        assert any(line in ("BOOT_ORDER=A", "BOOT_ORDER=A B") for line in node.run("fw_printenv"))
    assert ["manifest hash" in reason for reason in reasons] == [True, False]
    assert office.is_online(node.node)


class Recorded(msgspec.Struct):
    """A card before an update, and everything that was written to it until the update was good."""

    before: Path
    log: Path
    writes: list[Write]
    expected: Path
    part: float
    """Of the bundle's bytes, what came over the network."""


class Booted(msgspec.Struct):
    """A card that was cut, and how it came back."""

    cut_at: int
    of_writes: int
    copy: str
    version: str
    online_s: int


all_booted: list[Booted] = []


@pytest.fixture(scope="module")
def recorded(node: NodeStrategy, office: Office, made: Made) -> Recorded:
    """The update into a blank copy B, streamed over a bad link, with every write to the card kept in order."""
    node.transition("online")
    office.publish_network(node.node)
    if node.copy() == "B":
        update(node, office, made.bundle(1), "2026.11.1")
    node.turn_off()
    before, log = made.folder / "before.img", made.folder / "writes.log"
    with node.card.opened() as path:
        Card(path).blank(SLOT_B)  # what lies there already is not written again
        copy_sparse(path, before)
    node.record(log)
    node.turn_on()
    node.status = Status.online
    node.point_to_clock()
    office.until(lambda: office.node(node.node)["clock_state"] == "good", "a good clock", BACK_S)
    node.run(f"tc qdisc add dev eth0 root netem {BAD_LINK}")
    part = update(node, office, made.bundle(2), "2026.11.2")
    time.sleep(30)
    node.turn_off()
    node.record(None)
    return Recorded(before=before, log=log, writes=read_log(log), expected=made.built(2).rootfs, part=part)


@pytest.mark.lg_feature("virtual")
@pytest.mark.timeout(3600)
def test_an_update_streams_through_a_bad_link_into_b_and_another_back_into_a(
    recorded: Recorded, node: NodeStrategy, office: Office, made: Made
) -> None:
    assert recorded.part <= AGENT_ONLY
    node.turn_on()
    node.status = Status.online
    assert node.copy() == "B"
    node.point_to_clock()
    node.run(f"tc qdisc add dev eth0 root netem {BAD_LINK}")
    update(node, office, made.bundle(1), "2026.11.1")
    assert node.copy() == "A"


@pytest.mark.lg_feature("virtual")
@pytest.mark.timeout(5400)
def test_no_cut_of_an_update_leaves_a_half(recorded: Recorded) -> None:
    """At a thousand instants: a boot sector that holds, no choice of a copy that is not whole, no counter that went back."""
    dice = random.Random(SEED)  # noqa: S311  a draw that repeats
    replayed = recorded.before.with_name("replayed.img")
    copy_sparse(recorded.before, replayed)
    disk = Disk(replayed, recorded.log, recorded.writes)
    judge = _Judge(recorded, replayed)
    instants = sorted(dice.sample(range(1, len(recorded.writes)), min(CUTS, len(recorded.writes) - 1)))
    for number, instant in enumerate(instants):
        cut = cut_at(recorded.writes, instant, dice)
        judge.look(disk, cut)
        if number % 100 == 0:
            print(f"{number} of {len(instants)} cuts looked at, {len(judge.broken)} broken", flush=True)
    print(f"{len(instants)} cuts of {len(recorded.writes)} writes: {judge.seen}, broken: {judge.broken}")
    assert sum(each.length for each in recorded.writes) > recorded.expected.stat().st_blocks * 512 // 2
    assert judge.seen["A first"]
    assert judge.seen["B first"]
    assert not judge.broken


class _Judge:
    """Looks at one card after the other, as the instants go on."""

    def __init__(self, recorded: Recorded, replayed: Path) -> None:
        self._card = Card(replayed)
        self._expected = recorded.expected
        start, length = self._card.partition(SLOT_B)
        inside = [index for index, each in enumerate(recorded.writes) if start <= each.offset < start + length]
        self._written_to = max(inside, default=0)
        begin, extent = self._card.partition(DATA)
        self._to_data = [index for index, each in enumerate(recorded.writes) if begin <= each.offset < begin + extent]
        self._seen_data: tuple[object, Kept] | None = None
        self._is_whole: bool | None = None
        self._durable = -1
        self._last: Kept | None = None
        self.seen = {"A first": 0, "B first": 0}
        self.broken: list[str] = []

    def look(self, disk: Disk, cut: Cut) -> None:
        """One cut; what is wrong is added to `broken`."""
        if cut.durable != self._durable:
            self._durable = cut.durable
            flushed = Cut(instant=cut.durable, durable=cut.durable, partly=())
            with disk.cut(flushed):
                durable = self._kept(flushed, f"before {cut.instant}, with all flushed")
            self._forward(durable, "flushed")
            self._last = durable
        with disk.cut(cut):
            self._forward(self._kept(cut, f"at {cut.instant}"), f"cut at {cut.instant}")
            self._boots(cut)

    def _kept(self, cut: Cut, where: str) -> Kept:
        """What the data partition says; looked at anew only when it holds something else than the last time."""
        durable = bisect_left(self._to_data, cut.durable)
        data = set(self._to_data[durable : bisect_left(self._to_data, cut.instant)])
        holds = (durable, tuple(each for each in cut.partly if each[0] in data))
        if self._seen_data is None or self._seen_data[0] != holds:
            self._seen_data = (holds, self._look_at_data(where))
        return self._seen_data[1]

    def _look_at_data(self, where: str) -> Kept:
        copy = self._card.path.with_name("data.img")
        self._card.take_partition(DATA, copy)
        with taken_out(copy) as (folder, troubles):
            kept = read_kept(folder)
        if troubles or kept.troubles:
            self.broken.append(f"{where}: {troubles} {kept.troubles}")
        return kept

    def _forward(self, later: Kept, where: str) -> None:
        """No counter, floor or document that was flushed is gone."""
        earlier = self._last or later
        for name in ("boot_count", "floor_ms", "last_record_id", "acknowledged_record_id"):
            if (getattr(later, name) or 0) < (getattr(earlier, name) or 0):
                self.broken.append(f"{where}: {name} went from {getattr(earlier, name)} back to {getattr(later, name)}")
        if not later.placed:
            self.broken.append(f"{where}: the placement is gone")

    def _boots(self, cut: Cut) -> None:
        state = self._card.boot_state()
        if state is None:
            self.broken.append(f"at {cut.instant}: the boot sector does not hold")
            return
        first = next((copy for copy in state["BOOT_ORDER"].split() if int(state[f"BOOT_{copy}_LEFT"]) > 0), "A")
        self.seen[f"{first} first"] += 1
        if first == "B" and not self._is_b_whole(cut):
            self.broken.append(f"at {cut.instant}: the boot loader would start copy B, which is not whole")

    def _is_b_whole(self, cut: Cut) -> bool:
        if cut.durable <= self._written_to:
            return self._card.holds(SLOT_B, self._expected)
        if self._is_whole is None:  # nothing writes there any more
            self._is_whole = self._card.holds(SLOT_B, self._expected)
        return self._is_whole


@pytest.mark.lg_feature("virtual")
@pytest.mark.parametrize(
    "sample", [pytest.param(number, marks=[pytest.mark.long] if number >= SAMPLES else []) for number in range(LONG_SAMPLES)]
)
def test_a_card_cut_anywhere_boots_and_comes_online(node: NodeStrategy, office: Office, recorded: Recorded, sample: int) -> None:
    dice = random.Random(SEED + 1 + sample)  # noqa: S311
    instant = len(recorded.writes) * (2 * sample + 1) // (2 * LONG_SAMPLES)
    if sample < SAMPLES:
        instant = len(recorded.writes) * (2 * sample + 1) // (2 * SAMPLES)
    cut = cut_at(recorded.writes, instant, dice)
    node.transition("off")
    with node.card.opened() as path:
        copy_sparse(recorded.before, path)
        Disk(path, recorded.log, recorded.writes).lay(cut)
    began_ms, began_s = time.time() * 1000, time.monotonic()
    node.turn_on()
    node.status = Status.online
    office.until(lambda: (office.node(node.node)["heard_at_ms"] or 0) > began_ms, "a hello of this start", BACK_S)
    office.until(lambda: office.is_online(node.node), "the node online", BACK_S)
    booted = Booted(
        cut_at=instant,
        of_writes=len(recorded.writes),
        copy=node.copy(),
        version=node.run("sed -n 's/^IMAGE_VERSION=//p' /etc/os-release")[0].strip('"'),
        online_s=round(time.monotonic() - began_s),
    )
    print(f"cut at {instant} of {len(recorded.writes)}: {booted}")
    all_booted.append(booted)
    if len(all_booted) == LONG_SAMPLES:
        BOOTS.write_bytes(msgspec.json.format(msgspec.json.encode(all_booted)) + b"\n")
