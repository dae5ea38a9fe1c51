"""What every keeper of two slots keeps: a fake, and the driver of RAUC against its documented interface on a private D-Bus."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_agent.commands import Install
from edge_agent.drivers.slots.image import running
from edge_agent.drivers.slots.rauc import RaucSlots
from edge_agent.errors import SlotsUnavailable
from edge_agent.events import Event, InstallEnded, InstallProgressed, SlotConfirmed, SlotsChecked, SlotsFailed
from tests.fakes.ab_machine import STARTS, Image, Machine
from tests.fakes.rauc import Service, private_bus
from tests.fakes.slots import MANIFEST, FakeSlots
from tests.waiting import until

OLD, NEW = Image(build=6), Image(build=7)
BUNDLE = Install(sha256="7c" * 32, bytes=178_000_000, manifest=MANIFEST)


class PlainSource:
    """A bundle's address is its SHA-256."""

    def __init__(self) -> None:
        self.held = False
        self.opened: list[Install] = []
        self.why = ""

    def open(self, wanted: Install) -> str:
        self.opened.append(wanted)
        return f"http://127.0.0.1/{wanted.sha256}"

    def hold(self, *, held: bool) -> None:
        self.held = held

    def close(self, *, keep: bool) -> str:
        self.kept = keep
        return self.why


class Stage:
    """A machine, what keeps its slots, and what was told."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.events: list[Event] = []
        self.told = asyncio.Event()
        self.source = PlainSource()
        self.service: Service | None = None
        self.slots: FakeSlots | RaucSlots = FakeSlots(machine, self.emit)

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self.told.set()

    async def told_of(self, kind: type, count: int = 1) -> list[Event]:
        """The events of a kind, once there are so many."""
        async with asyncio.timeout(30):
            while len(found := [event for event in self.events if isinstance(event, kind)]) < count:
                self.told.clear()
                await self.told.wait()
        return found

    def offer(self, image: Image, manifest: str = MANIFEST) -> None:
        """A bundle with this image lies at the source."""
        if self.service is None:
            self.slots.bundles[BUNDLE.sha256] = (image, manifest)
        else:
            self.service.installer.bundles[f"http://127.0.0.1/{BUNDLE.sha256}"] = (image, manifest)

    def break_loader(self, why: str) -> None:
        keeper = self.slots if self.service is None else self.service.installer
        keeper.broken = why

    async def begun(self) -> None:
        """An installation is under way, and the bundle is opened."""
        self.slots.install(BUNDLE)
        await self.told_of(InstallProgressed)

    def go_on(self, *, fail: str = "") -> None:
        keeper = self.slots if self.service is None else self.service.installer
        keeper.go_on(fail=fail)


@pytest.fixture(params=["fake", "rauc"])
async def stage(request, tmp_path) -> AsyncIterator[Stage]:
    machine = Machine(slots={"A": OLD, "B": Image(build=5)})
    machine.boot()
    made = Stage(machine)
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "rauc":
            if shutil.which("dbus-daemon") is None:
                pytest.skip("dbus-daemon carries what RAUC says (apt: dbus)")
            address = await stack.enter_async_context(private_bus())
            made.service = Service(machine)
            await made.service.open(address)
            word = tmp_path / "restart"
            made.slots = RaucSlots(
                made.emit, made.source, bus_address=address, os_release=os_release(tmp_path), restart_word=word
            )
            stack.callback(asyncio.create_task(restarts(machine, word)).cancel)
        task = asyncio.create_task(made.slots.run())
        await made.told_of(SlotsChecked)
        yield made
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, SlotsUnavailable):
            await task
        if made.service is not None:
            made.service.die()


async def restarts(machine: Machine, word: Path) -> None:
    """What loa-restart.path does."""
    await until(word.exists, within_s=100)
    machine.boot()


def os_release(folder: Path) -> Path:
    path = folder / "os-release"
    path.write_text('ID=debian\nIMAGE_ID=loa-node\nIMAGE_VERSION="2026.11.6"\nBUILD_ID=6\n', encoding="utf-8")
    return path


async def test_the_first_word_is_what_runs_and_what_boots_next(stage: Stage):
    assert stage.events[0] == SlotsChecked(compatible="loa-node", version="2026.11.6", build=6, booted="A", next="A")


async def test_an_install_fills_the_other_slot_and_changes_nothing_of_what_boots(stage: Stage):
    stage.offer(NEW)
    await stage.begun()
    assert (stage.machine.busy, stage.machine.left["B"]) == (True, 0)
    stage.go_on()
    assert await stage.told_of(InstallEnded) == [InstallEnded()]
    assert (stage.machine.slots["B"], stage.machine.next, stage.machine.booted) == (NEW, "A", "A")
    done = [event.bytes_done for event in stage.events if isinstance(event, InstallProgressed)]
    assert done == sorted(done)
    assert done[-1] == BUNDLE.bytes


async def test_an_install_that_breaks_off_says_why_and_may_be_tried_again(stage: Stage):
    stage.offer(NEW)
    await stage.begun()
    stage.go_on(fail="Failed to read from the stream: timed out")
    (ended,) = await stage.told_of(InstallEnded)
    assert (ended.reason, ended.lasting) == ("Failed to read from the stream: timed out", False)
    assert stage.machine.next == "A"
    stage.slots.install(BUNDLE)
    await stage.told_of(InstallProgressed, 2)
    stage.go_on()
    assert (await stage.told_of(InstallEnded, 2))[1] == InstallEnded()


async def test_a_bundle_with_another_manifest_is_refused_for_good_and_touches_no_slot(stage: Stage):
    stage.offer(NEW, manifest="ee" * 32)
    stage.slots.install(BUNDLE)
    (ended,) = await stage.told_of(InstallEnded)
    assert ended.lasting
    assert "manifest hash" in ended.reason
    assert stage.machine.slots["B"] == Image(build=5)
    if stage.service is not None:
        assert not stage.source.kept, "what came of it would be refused again, whatever the controller gives by then"


async def test_nothing_else_is_done_while_an_install_is_under_way_and_it_goes_on(stage: Stage):
    stage.offer(NEW)
    await stage.begun()
    stage.slots.install(BUNDLE)
    stage.slots.activate()
    stage.slots.confirm()
    assert len(await stage.told_of(SlotsFailed, 2)) == 2
    stage.go_on()
    assert await stage.told_of(InstallEnded) == [InstallEnded()]
    assert (stage.machine.slots["B"], stage.machine.next) == (NEW, "A")


async def test_what_is_activated_boots_next_and_is_said_to(stage: Stage):
    stage.slots.activate()
    checked = (await stage.told_of(SlotsChecked, 2))[1]
    assert (checked.booted, checked.next, stage.machine.left["B"]) == ("A", "B", STARTS)


async def test_a_confirmed_slot_has_all_its_starts_again(stage: Stage):
    assert stage.machine.left["A"] == STARTS - 1
    stage.slots.confirm()
    await stage.told_of(SlotConfirmed)
    assert stage.machine.left["A"] == STARTS


@pytest.mark.parametrize("ask", ["activate", "confirm"])
async def test_a_boot_loader_that_cannot_be_written_is_told(stage: Stage, ask: str):
    stage.break_loader("Failed to run fw_setenv")
    getattr(stage.slots, ask)()
    (failed,) = await stage.told_of(SlotsFailed)
    assert "fw_setenv" in failed.reason


async def test_a_restart_after_activation_runs_the_other_slot(stage: Stage):
    stage.offer(NEW)
    await stage.begun()
    stage.go_on()
    await stage.told_of(InstallEnded)
    stage.slots.activate()
    await stage.told_of(SlotsChecked, 2)
    stage.slots.restart()
    await until(lambda: stage.machine.booted == "B")
    assert stage.machine.runs == NEW


async def test_a_slot_that_does_not_start_is_left_after_three_tries(stage: Stage):
    stage.offer(Image(build=7, starts=False))
    await stage.begun()
    stage.go_on()
    await stage.told_of(InstallEnded)
    stage.slots.activate()
    await stage.told_of(SlotsChecked, 2)
    stage.slots.restart()
    await until(lambda: stage.machine.history.count("B") == STARTS)
    assert (stage.machine.booted, stage.machine.next) == ("A", "A")


async def test_power_that_goes_in_the_middle_of_an_install_leaves_what_ran(stage: Stage):
    stage.offer(NEW)
    await stage.begun()
    stage.machine.boot()
    assert (stage.machine.booted, stage.machine.runs, stage.machine.next) == ("A", OLD, "A")
    assert "B" not in stage.machine.history


# --- the driver of RAUC alone ---


ALONE = pytest.mark.parametrize("stage", ["rauc"], indirect=True)


@ALONE
async def test_rauc_is_given_the_sources_address_and_the_manifest_that_was_released(stage: Stage):
    stage.offer(NEW)
    await stage.begun()
    assert stage.source.opened == [BUNDLE]
    stage.slots.hold(held=True)
    assert stage.source.held


@ALONE
async def test_what_the_source_knows_of_a_failure_is_told_rather_than_what_rauc_saw_of_it(stage: Stage):
    stage.offer(NEW)
    stage.source.why = "budget: the SIM has nothing left for firmware"
    await stage.begun()
    stage.go_on(fail="signature: short read")
    (ended,) = await stage.told_of(InstallEnded)
    assert (ended.reason, ended.lasting) == (stage.source.why, False)


@ALONE
async def test_a_rauc_that_dies_in_the_middle_ends_the_install(stage: Stage):
    stage.offer(NEW)
    await stage.begun()
    stage.service.die()
    (ended,) = await stage.told_of(InstallEnded)
    assert "RAUC ended" in ended.reason
    assert not ended.lasting


@pytest.mark.parametrize("stage", ["rauc"], indirect=True)  # the other fake takes its bundle at one time
async def test_a_bundle_that_is_another_one_once_it_was_looked_at_is_refused_when_it_was_written(stage: Stage):
    stage.offer(NEW)
    stage.service.installer.swapped[f"http://127.0.0.1/{BUNDLE.sha256}"] = (NEW, "ee" * 32)
    await stage.begun()
    stage.go_on()
    (ended,) = await stage.told_of(InstallEnded)
    assert "manifest hash" in ended.reason
    assert ended.lasting


async def test_a_program_that_starts_in_the_middle_of_an_install_says_busy_and_has_it_done_again(tmp_path):
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon carries what RAUC says (apt: dbus)")
    machine = Machine(slots={"A": OLD, "B": None})
    machine.boot()
    async with private_bus() as address:
        service = Service(machine)
        await service.open(address)
        service.installer.bundles["somewhere"] = (NEW, MANIFEST)
        service.installer._open("somewhere")
        made = Stage(machine)
        slots = RaucSlots(made.emit, made.source, bus_address=address, os_release=os_release(tmp_path))
        task = asyncio.create_task(slots.run())
        (checked,) = await made.told_of(SlotsChecked)
        assert (checked.busy, checked.booted, checked.next) == (True, "A", "A")
        service.installer.go_on()
        (ended,) = await made.told_of(InstallEnded)
        assert ended.reason
        assert not ended.lasting
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        service.die()


async def test_without_a_rauc_the_driver_fails_aloud(tmp_path):
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon carries what RAUC says (apt: dbus)")
    async with private_bus() as address:
        slots = RaucSlots(lambda event: None, PlainSource(), bus_address=address, os_release=os_release(tmp_path))
        with pytest.raises(SlotsUnavailable):
            await slots.run()


@pytest.mark.parametrize("words", ["", "IMAGE_VERSION=2026.11\n", "IMAGE_VERSION=2026.11\nBUILD_ID=nightly\n", "BUILD_ID=7\n"])
def test_an_image_that_does_not_say_which_build_it_is_is_named(tmp_path, words):
    path = tmp_path / "os-release"
    path.write_text(words, encoding="utf-8")
    with pytest.raises(SlotsUnavailable, match="BUILD_ID"):
        running(path)
