"""`decide`: one event in, the next state and the commands out. Pure; the one place where a node makes up its mind."""

from typing import Final, assert_never

from edge_agent.commands import Command
from edge_agent.core import (
    alarms,
    boot,
    cache,
    clock,
    content,
    disk,
    health,
    inbox,
    plan,
    playback,
    reach,
    reports,
    supply,
    suspends,
    update,
)
from edge_agent.core.state import MS_NS, State, Turn
from edge_agent.events import (
    Arrived,
    Booted,
    BundleBrought,
    ClockChecked,
    DriverFailed,
    Event,
    InstallEnded,
    InstallProgressed,
    Instant,
    LinkDown,
    LinkUp,
    MachineChecked,
    MediaEvicted,
    MediaFailed,
    MediaReceived,
    MediaStored,
    PartSounding,
    PlayEnded,
    PlayerLost,
    PlayerReady,
    PlayerReplaced,
    RecordsRecalled,
    Saved,
    SaveFailed,
    SlotConfirmed,
    SlotsChecked,
    SlotsFailed,
    Sounding,
    Woke,
)

DISK_LOW_BYTES: Final = 64 * 2**20
HOT_CC: Final = 8_000
IDLE_NS: Final = 3_600_000 * MS_NS


def decide(state: State, event: Event, now: Instant) -> tuple[State, tuple[Command, ...], int]:
    """What follows from an event: the next state, commands in order, and the CLOCK_MONOTONIC ns to wake at.

    That is the next instant at which something is due; until then nothing changes by itself, but for a clock that is set: who
    calls looks at it more often.
    """
    turn = Turn(state, now)
    clock.watch(turn)
    _happened(turn, event)
    if inbox.quiet_has_come(turn):
        inbox.take_collected(turn)
    if turn.state.booted:
        suspends.keep_up(turn)
        content.promote(turn)
        playback.settle(turn)
        content.lend_link(turn)
        supply.keep_up(turn)
        update.keep_up(turn)
        reach.keep_up(turn)
        disk.try_again(turn)
        reports.say(turn)
    return turn.state, tuple(turn.commands), _next_wake_ns(turn)


def _happened(turn: Turn, event: Event) -> None:  # noqa: C901, PLR0912, PLR0915  one arm an event: mypy refuses a forgotten one
    match event:
        case Arrived():
            inbox.arrived(turn, event)
        case Saved():
            disk.saved(turn, event)
        case SaveFailed():
            disk.failed(turn, event)
        case Sounding():
            playback.sounding(turn, event)
        case PartSounding():
            playback.part_sounding(turn, event)
        case PlayEnded():
            playback.ended(turn, event)
        case LinkUp():
            _link_up(turn)
        case LinkDown():
            turn.set(link_up=False, link_lost_ns=turn.now.mono_ns)
            reach.link_lost(turn)
            inbox.take_collected(turn)  # what is in hand is not to wait for the next connection
        case MediaStored():
            content.media_stored(turn, event.sha256)
            turn.trouble("fetcher-failed", there=False)
        case MediaFailed():
            cache.kept(turn, event.sha256)
            turn.trouble("media-failed", there=True)
        case MediaReceived():
            supply.received(turn, event.bytes)
        case MediaEvicted():
            cache.evicted(turn, event.sha256)
        case PlayerLost():
            turn.trouble("player-lost", there=True)
            _count_restart(turn, "player", turn.state.restarts.get("player", 0) + 1)
        case PlayerReady() | PlayerReplaced():
            turn.trouble("player-lost", there=False)
            turn.set(sounded_once=True)
        case SlotsChecked() | InstallProgressed() | InstallEnded() | SlotConfirmed() | SlotsFailed():
            update.happened(turn, event)
        case BundleBrought():
            turn.set(bundle_brought=event.sha256)
        case MachineChecked():
            _machine(turn, event)
        case DriverFailed():
            _count_restart(turn, event.driver, event.restarts)
            turn.trouble(f"{event.driver}-failed", there=True)
        case RecordsRecalled():
            reports.recalled(turn, event.records)
        case Booted():
            boot.recall(turn, event.memory)
        case ClockChecked():
            turn.trouble("clock-failed", there=False)
        case Woke():
            pass
        case _:
            assert_never(event)


def _link_up(turn: Turn) -> None:
    turn.set(link_up=True, linked_once=True, filters=frozenset(), linked_ns=turn.now.mono_ns, answered=False)
    turn.trouble("broker-failed", there=False)
    reports.link_came_back(turn)
    inbox.subscribe(turn)


def _count_restart(turn: Turn, driver: str, restarts: int) -> None:
    turn.set(restarts={**turn.state.restarts, driver: restarts})
    health.ask(turn)


def _machine(turn: Turn, event: MachineChecked) -> None:
    turn.set(disk_free_bytes=event.disk_free_bytes, temperature_cc=event.temperature_cc, uptime_s=event.uptime_s)
    turn.set(power_low=event.power_low)
    turn.set(supply_stale=True)
    turn.trouble("machine-failed", there=False)
    turn.trouble("disk-low", there=event.disk_free_bytes < DISK_LOW_BYTES)
    turn.trouble("hot", there=event.temperature_cc is not None and event.temperature_cc >= HOT_CC)
    if turn.state.health_sent_ns is None:
        health.ask(turn)


def _next_wake_ns(turn: Turn) -> int:
    state = turn.state
    wakes = [turn.now.mono_ns + IDLE_NS, *reports.next_wake_ns(turn), *plan.next_wake_ns(turn)]
    wakes += [*clock.next_wake_ns(turn), *disk.next_wake_ns(turn), *suspends.next_wake_ns(turn), *supply.next_wake_ns(turn)]
    wakes += [*update.next_wake_ns(turn), *reach.next_wake_ns(turn)]
    if state.collect_until_ns is not None:
        wakes.append(state.collect_until_ns)
    wakes += [ends_ns for alarm in state.alarms.values() if (ends_ns := alarms.ends_ns(alarm)) is not None]
    return max(turn.now.mono_ns + MS_NS, min(wakes))
