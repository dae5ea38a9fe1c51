"""Power, card, clock, enrolment, firmware: what each figure is called at the pole."""

from __future__ import annotations

import contextlib
import os
import shutil

import pytest
from msgspec import structs

from edge_agent.check import parts
from edge_agent.config import Board
from edge_agent.drivers import system
from edge_agent.events import Instant
from edge_agent.status import Enrolled
from tests.fakes.ab_machine import Image, Machine
from tests.fakes.rauc import Service, private_bus

NOW_MS = 1_900_000_000_000
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ((None, None, None), "unknown"),
        ((False, False, None), "good"),
        ((False, None, None), "good"),
        ((True, None, None), "bad"),
        ((False, True, False), "bad"),
        ((False, False, True), "bad"),
        ((None, None, True), "bad"),
        ((None, None, False), "good"),
    ],
)
def test_the_supply_is_bad_when_it_sags_or_did_or_slows_the_board(figures, verdict):
    found = parts.power(*figures)
    assert found.verdict == verdict
    assert bool(found.todo) == (verdict != "good")


def test_the_kernels_log_tells_a_supply_that_sagged_since_boot(tmp_path):
    log = tmp_path / "kmsg"
    log.write_text("6,1,0,-;Booting\n")
    assert system.power_sagged(log) is False
    log.write_text("6,1,0,-;Booting\n1,2,0,-;hwmon hwmon1: Undervoltage detected!\n")
    assert system.power_sagged(log) is True
    assert system.power_sagged(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("word", "slowed"), [("0\n", False), ("50000\n", False), ("50005\n", True), ("2\n", True), ("4\n", True), ("x", None)]
)
def test_the_firmwares_word_tells_a_board_that_slows_down_now(tmp_path, word, slowed):
    file = tmp_path / "get_throttled"
    file.write_text(word)
    assert system.slowed_down(file) is slowed
    assert system.slowed_down(tmp_path / "none") is None


def test_errors_of_a_folders_own_file_system_are_counted(tmp_path):
    device = tmp_path.stat().st_dev
    block = tmp_path / "sys/devices/mmcblk0p4"
    block.mkdir(parents=True)
    (tmp_path / "sys/dev/block").mkdir(parents=True)
    (tmp_path / f"sys/dev/block/{os.major(device)}:{os.minor(device)}").symlink_to(block)
    assert system.file_system_errors(tmp_path, tmp_path / "sys") is None
    (tmp_path / "sys/fs/ext4/mmcblk0p4").mkdir(parents=True)
    (tmp_path / "sys/fs/ext4/mmcblk0p4/errors_count").write_text("3\n")
    assert system.file_system_errors(tmp_path, tmp_path / "sys") == 3


def test_a_card_that_takes_what_is_written_is_good_and_nothing_is_left_on_it(tmp_path):
    found = parts.storage(tmp_path)
    assert found.verdict == "good"
    assert "MiB" in found.seen
    assert " ms" in found.seen
    assert not list(tmp_path.iterdir())


def test_a_card_with_errors_counted_is_bad(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "file_system_errors", lambda _folder: 2)
    found = parts.storage(tmp_path)
    assert (found.verdict, "2 lỗi ext4" in found.seen) == ("bad", True)


def test_a_card_that_is_nearly_full_is_bad(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "DISK_LOW_BYTES", shutil.disk_usage(tmp_path).free * 2)
    assert parts.storage(tmp_path).verdict == "bad"


def test_a_folder_that_is_not_there_or_takes_nothing_is_bad(tmp_path):
    assert parts.storage(tmp_path / "none").verdict == "bad"
    assert parts.storage(parts.Path("/proc/self")).verdict == "bad"


def instant(**more) -> Instant:
    return Instant(**({"wall_ms": NOW_MS, "mono_ns": 1, "clock": "good", "dice": "0" * 16, "error_ms": 400} | more))


@pytest.mark.parametrize(
    ("now", "verdict", "seen"),
    [
        (instant(), "good", "400 ms"),
        (instant(error_ms=5_000), "unknown", "5000 ms"),
        (instant(clock="holdover"), "unknown", "holdover"),
        (instant(error_ms=70_000), "bad", "70000 ms"),
        (instant(clock="unknown", error_ms=None, rtc_apart_ms=1_200), "bad", "1.2 s"),
        (instant(wall_ms=0), "bad", "unknown"),
    ],
)
def test_the_time_is_judged_as_the_agent_judges_it(now, verdict, seen, config):
    found = parts.clock(config, now)
    assert found.verdict == verdict
    assert seen in found.seen


@pytest.mark.parametrize(
    ("enrolled", "verdict", "todo"),
    [
        (Enrolled("new"), "bad", "start the agent"),
        (Enrolled("asking", "481 902"), "bad", "loa node expect"),
        (Enrolled("pending", "481 902", NOW_MS + 60 * DAY_MS), "bad", "481 902"),
        (Enrolled("placed", "481 902", NOW_MS + 60 * DAY_MS), "good", ""),
        (Enrolled("placed", "481 902", NOW_MS + 5 * DAY_MS), "unknown", "renews"),
        (Enrolled("placed", "481 902", NOW_MS - DAY_MS), "bad", "renews"),
    ],
)
def test_enrolment_says_how_far_it_is_and_what_comes_next(enrolled, verdict, todo):
    found = parts.enrolment(enrolled, NOW_MS, clock_usable=True)
    assert found.verdict == verdict
    assert todo in found.todo


def test_without_a_clock_no_certificate_is_called_over():
    late = Enrolled("placed", "481 902", NOW_MS - DAY_MS)
    assert parts.enrolment(late, NOW_MS, clock_usable=False).verdict == "good"


@contextlib.asynccontextmanager
async def rauc(machine: Machine):
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon carries what RAUC says (apt: dbus)")
    async with private_bus() as address:
        service = Service(machine)
        await service.open(address)
        yield address
        service.die()


def two_copies() -> Machine:
    machine = Machine(slots={"A": Image(build=6), "B": Image(build=5)})
    machine.boot()
    machine.confirm()
    return machine


async def test_two_good_copies_are_good():
    async with rauc(two_copies()) as address:
        found = await parts.firmware(has_slots=True, bus_address=address)
    assert found.verdict == "good"
    assert "runs A; A tốt / good, B tốt / good" in found.seen


async def test_a_copy_that_cannot_be_gone_back_to_is_told():
    machine = two_copies()
    machine.left["B"] = 0
    async with rauc(machine) as address:
        found = await parts.firmware(has_slots=True, bus_address=address)
    assert (found.verdict, "B hỏng / bad" in found.seen) == ("unknown", True)


async def test_a_running_copy_that_is_not_good_is_bad():
    machine = two_copies()
    machine.left["A"] = 0
    async with rauc(machine) as address:
        assert (await parts.firmware(has_slots=True, bus_address=address)).verdict == "bad"


async def test_while_rauc_installs_nothing_is_judged():
    machine = two_copies()
    machine.busy = True
    async with rauc(machine) as address:
        found = await parts.firmware(has_slots=True, bus_address=address)
    assert (found.verdict, "installing" in found.seen) == ("unknown", True)


async def test_a_rauc_that_does_not_answer_is_bad_and_one_copy_is_no_fault():
    async with rauc(two_copies()) as address:
        pass
    assert (await parts.firmware(has_slots=True, bus_address="unix:path=/nonexistent/bus")).verdict == "bad"
    assert (await parts.firmware(has_slots=False, bus_address=address)).verdict == "unknown"


@pytest.fixture
def config(plain_config):
    return structs.replace(plain_config, board=Board(clock="chrony"))
