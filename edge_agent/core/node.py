"""`decide`: one event in, the next state and the commands out. Pure; the one place where a node makes up its mind."""

from typing import assert_never

from msgspec import structs

from edge_agent.commands import Acknowledge, Command
from edge_agent.core import boot, clock, content, inbox, plan, playback, reports
from edge_agent.core.state import MS_NS, State, Turn
from edge_agent.events import (
    Arrived,
    Booted,
    ClockChecked,
    DriverFailed,
    Event,
    Instant,
    LinkDown,
    LinkUp,
    MachineChecked,
    MediaFailed,
    MediaStored,
    PartSounding,
    PlayEnded,
    PlayerLost,
    PlayerReady,
    PlayerReplaced,
    RecordsRecalled,
    Saved,
    SaveFailed,
    Sounding,
    Woke,
)

DISK_LOW_BYTES = 64 * 2**20
HOT_CC = 8_000
LONGEST_SLEEP_NS = 5_000 * MS_NS


def decide(state: State, event: Event, now: Instant) -> tuple[State, tuple[Command, ...], int]:
    """What follows from an event: the next state, commands in order, and the CLOCK_MONOTONIC ns to wake at."""
    turn = Turn(state, now)
    if clock.watch(turn):
        turn.set(planned_to_ms=0)
    _happened(turn, event)
    inbox.take_collected(turn)
    if turn.state.booted:
        content.promote(turn)
        playback.settle(turn)
        reports.say(turn)
    return turn.state, tuple(turn.commands), _next_wake_ns(turn)


def _happened(turn: Turn, event: Event) -> None:  # noqa: C901, PLR0912  one arm an event, so that mypy refuses a forgotten one
    match event:
        case Arrived():
            inbox.arrived(turn, event)
        case Saved():
            _saved(turn, event.ref)
        case SaveFailed():
            _save_failed(turn, event)
        case Sounding():
            playback.sounding(turn, event)
        case PartSounding():
            playback.part_sounding(turn, event)
        case PlayEnded():
            playback.ended(turn, event)
        case LinkUp():
            turn.set(link_up=True, filters=frozenset())
            reports.link_came_back(turn)
            inbox.subscribe(turn)
        case LinkDown():
            turn.set(link_up=False, collected=(), collect_until_ns=None)
        case MediaStored():
            content.media_stored(turn, event.sha256)
        case MediaFailed():
            turn.trouble("media-failed", there=True)
        case PlayerLost():
            turn.trouble("player-lost", there=True)
            _count_restart(turn, "player")
        case PlayerReady() | PlayerReplaced():
            turn.trouble("player-lost", there=False)
        case MachineChecked():
            _machine(turn, event)
        case DriverFailed():
            turn.set(restarts={**turn.state.restarts, event.driver: event.restarts})
            turn.trouble(f"{event.driver}-failed", there=True)
        case RecordsRecalled():
            again = {record.record_id: record for record in event.records}
            turn.set(records=again | dict(turn.state.records), sent_records=turn.state.sent_records - set(again))
        case Booted():
            boot.recall(turn, event.memory)
        case ClockChecked() | Woke():
            pass
        case _:
            assert_never(event)


def _saved(turn: Turn, ref: int) -> None:
    after = turn.state.after.get(ref)
    if after is None:
        return
    turn.set(after={number: other for number, other in turn.state.after.items() if number != ref})
    if after.play_id is not None:
        playback.recorded(turn, after.play_id)
    if after.acknowledge is not None:
        turn.tell(Acknowledge(after.acknowledge))
    if after.order is not None:
        key = (after.order.incident, after.order.seq, after.order.op)
        if key not in turn.state.results:
            reports.note(turn, after.order, "received")
    turn.trouble("storage-failed", there=False)


def _save_failed(turn: Turn, event: SaveFailed) -> None:
    """Nothing of it is on disk, so nothing of it takes effect: an order is refused, unacknowledged; a play is not begun."""
    after = turn.state.after.get(event.ref)
    turn.trouble("storage-failed", there=True)
    if after is None:
        return
    turn.set(after={number: other for number, other in turn.state.after.items() if number != event.ref})
    if after.order is not None:
        mark = after.order
        orders = {key: held for key, held in turn.state.seen.orders.items() if held.digest != mark.digest}
        alarms = {key: alarm for key, alarm in turn.state.alarms.items() if alarm.mark.digest != mark.digest}
        turn.set(seen=structs.replace(turn.state.seen, orders=orders), alarms=alarms)
        reports.note(turn, mark, "refused", reason=f"storage: {event.reason}")
    if after.play_id is not None:
        plays = {key: playing for key, playing in turn.state.plays.items() if key != after.play_id}
        turn.set(plays=plays, current=None if turn.state.current == after.play_id else turn.state.current)


def _count_restart(turn: Turn, name: str) -> None:
    turn.set(restarts={**turn.state.restarts, name: turn.state.restarts.get(name, 0) + 1})


def _machine(turn: Turn, event: MachineChecked) -> None:
    turn.set(disk_free_bytes=event.disk_free_bytes, temperature_cc=event.temperature_cc, uptime_s=event.uptime_s)
    turn.trouble("disk-low", there=event.disk_free_bytes < DISK_LOW_BYTES)
    turn.trouble("hot", there=event.temperature_cc is not None and event.temperature_cc >= HOT_CC)
    if turn.state.health_sent_ns is None and turn.state.health_due_ns is None:
        turn.set(health_due_ns=turn.now.mono_ns)


def _next_wake_ns(turn: Turn) -> int:
    state = turn.state
    wakes = [turn.now.mono_ns + LONGEST_SLEEP_NS, *reports.next_wake_ns(turn), *plan.next_wake_ns(turn)]
    if state.collect_until_ns is not None:
        wakes.append(state.collect_until_ns)
    begun = [alarm for alarm in state.alarms.values() if alarm.sounded_ns]
    wakes += [alarm.sounded_ns + alarm.start.sound_max_s * 1_000 * MS_NS for alarm in begun]
    return max(turn.now.mono_ns + MS_NS, min(wakes))
