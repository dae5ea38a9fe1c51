"""Each law's monitor can fail: a node that errs in just that way is heard, and the transcript says where."""

import re
from functools import wraps

import pytest
from msgspec import structs

from edge_agent.commands import Acknowledge, Hush, Publish, Save, Speak, Speech
from edge_agent.events import Arrived, Booted, MediaStored
from protocol.documents import Hours
from protocol.emergency import EXERCISE_WORDS
from protocol.envelope import payload_of
from protocol.errors import ProtocolError
from protocol.orders import Start, Stop
from protocol.reports import Hello, Receipt
from protocol.seen import Slot
from tests.core.people import COMMUNE
from tests.simulation.faults import DENSE, HOUR, MINUTE, Fault
from tests.simulation.office import BEGIN_MS
from tests.simulation.world import World

SEEDS = range(1, 60)
WEEK = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def on_commands(change):
    """A node whose commands are changed on the way out."""

    @wraps(change)
    def err(decide):
        def erring(state, event, now):
            after, commands, wake_ns = decide(state, event, now)
            return after, tuple(changed for command in commands if (changed := change(after, command)) is not None), wake_ns

        return erring

    return err


def before(change):
    """A node that sees another state, event or instant than the true one."""

    @wraps(change)
    def err(decide):
        return lambda state, event, now: decide(*change(state, event, now))

    return err


def is_stop(event):
    return isinstance(_order_of(event), Stop)


def _order_of(event):
    if not isinstance(event, Arrived) or "/order/" not in event.topic:
        return None
    try:
        return payload_of(event.raw)
    except ProtocolError:  # forged bytes are no order
        return None


@on_commands
def says_what_nobody_signed(state, command):
    if isinstance(command, Speak):
        return Speak(structs.replace(command.play, parts=(Speech("vi", "ai noi"),), from_part=0, skip_samples=0))
    return command


def forgets_what_was_played(decide):
    def erring(state, event, now):
        after, commands, wake_ns = decide(state, event, now)
        return structs.replace(after, played={}, plan_stale=True), commands, min(wake_ns, now.mono_ns + 20_000_000_000)

    return erring


@on_commands
def keeps_emergencies_to_itself(state, command):
    playing = state.plays.get(command.play.play_id) if isinstance(command, Speak) else None
    return None if playing is not None and playing.alarm else command


@before
def is_open_all_day(state, event, now):
    slot = Slot("station", COMMUNE, COMMUNE)
    held = state.documents.get(slot)
    if held is None or len(held.payload.body.hours) == 1:
        return state, event, now
    body = structs.replace(held.payload.body, hours=(Hours(days=WEEK, from_min=0, to_min=1_440),), session_max_min=None)
    opened = structs.replace(held, payload=structs.replace(held.payload, body=body))
    return structs.replace(state, documents={**state.documents, slot: opened}), event, now


def clings_to_the_old_set(decide):
    def erring(state, event, now):
        if isinstance(event, MediaStored) and any(slot.kind == "programme" for slot in state.documents):
            return state, (), now.mono_ns + 1_000_000_000
        return decide(state, event, now)

    return erring


@on_commands
def tells_no_plays(state, command):
    if isinstance(command, Publish) and isinstance(command.message, Receipt):
        return Publish(structs.replace(command.message, plays=()))
    return command


def ignores_stops(decide):
    def erring(state, event, now):
        if is_stop(event):
            return state, (Acknowledge(event.ref),), now.mono_ns + 1_000_000
        return decide(state, event, now)

    return erring


def is_silenced_by_anyone(decide):
    def erring(state, event, now):
        after, commands, wake_ns = decide(state, event, now)
        if is_stop(event) and after.current is not None and after.current == state.current:
            commands = (*commands, Hush(after.current))
        return after, commands, wake_ns

    return erring


@before
def believes_any_clock(state, event, now):
    return state, event, structs.replace(now, clock="good", error_ms=20)


@on_commands
def hides_its_troubles(state, command):
    if isinstance(command, Publish) and isinstance(command.message, Hello):
        return Publish(structs.replace(command.message, troubles=()))
    if isinstance(command, Publish) and not isinstance(command.message, Receipt):
        return None
    return command


@on_commands
def forgets_the_words_of_an_exercise(state, command):
    if isinstance(command, Speak):
        kept = tuple(part for part in command.play.parts if not (isinstance(part, Speech) and part.text == EXERCISE_WORDS))
        return Speak(structs.replace(command.play, parts=kept))
    return command


def floor_falls(decide):
    def erring(state, event, now):
        lower = structs.replace(state, floor_ms=0) if state.floor_ms else state
        early = structs.replace(now, wall_ms=now.wall_ms - 4_000_000) if int(now.dice[:2], 16) < 8 else now
        return decide(lower, event, early)

    return erring


@pytest.mark.parametrize(
    ("law", "error"),
    [
        (1, says_what_nobody_signed),
        (2, forgets_what_was_played),
        (3, keeps_emergencies_to_itself),
        (4, is_open_all_day),
        (6, clings_to_the_old_set),
        (7, tells_no_plays),
        (9, ignores_stops),
        (9, is_silenced_by_anyone),
        (10, believes_any_clock),
        (10, floor_falls),
        (11, hides_its_troubles),
        (12, forgets_the_words_of_an_exercise),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_node_that_errs_breaks_its_law(law, error):
    heard = []
    for seed in SEEDS:
        outcome = World(seed, 1.0, DENSE, nodes=2, turn_decide=error).run()
        if outcome.broken:
            heard.append(outcome.broken)
        if outcome.broken.startswith(f"law {law} "):
            assert outcome.transcript, "a broken law comes with its story"
            return
    pytest.fail(f"law {law} was not heard in {len(SEEDS)} seeds, but: {heard[:5]}")


# --- what a monitor lets pass, it lets pass in that case alone ---


def ends(alarm, after, commands, now):
    """The node ends an emergency by itself, as it would one whose time is over."""
    left = {incident: other for incident, other in after.alarms.items() if other is not alarm}
    after = structs.replace(after, alarms=left)
    return after, (*commands, Save(after.next_ref + 1_000_000, (alarm.put("ended"),))), now.mono_ns + 1_000_000


@before
def counts_sound_time_from_acceptance(state, event, now):
    if not isinstance(event, Booted):
        return state, event, now
    orders = tuple(
        structs.replace(kept, state="ended")
        if kept.state == "accepted" and now.wall_ms - kept.accepted_ms > payload_of(kept.raw).sound_max_s * 1_000
        else kept
        for kept in event.memory.orders
    )
    return state, Booted(structs.replace(event.memory, orders=orders)), now


def forgets_what_it_interrupted(decide):
    def erring(state, event, now):
        after, commands, wake_ns = decide(state, event, now)
        return structs.replace(after, queue=tuple(due for due in after.queue if due.key not in after.played)), commands, wake_ns

    return erring


def gives_up_before_its_time(decide):
    def erring(state, event, now):
        after, commands, wake_ns = decide(state, event, now)
        for alarm in after.alarms.values():
            if alarm.sounded_ns is not None:
                gives_up_ns = alarm.sounded_ns + (alarm.start.sound_max_s * 1_000 - 2_500) * 1_000_000
                if now.mono_ns >= gives_up_ns:
                    return ends(alarm, after, commands, now)
                wake_ns = min(wake_ns, gives_up_ns)
        return after, commands, wake_ns

    return erring


def ends_what_gives_way(decide):
    def erring(state, event, now):
        after, commands, wake_ns = decide(state, event, now)
        for playing in after.plays.values():
            gives_way = after.alarms.get(playing.alarm) if playing.ending == "interrupted" and len(after.alarms) > 1 else None
            if gives_way is not None and gives_way.mark.digest == playing.record.digest:
                return ends(gives_way, after, commands, now)
        return after, commands, wake_ns

    return erring


def lets_an_older_start_take_over(decide):
    """One of the same authority, that is."""

    def erring(state, event, now):
        order = _order_of(event)
        if not isinstance(order, Start):
            return decide(state, event, now)
        orders = state.seen.orders
        own = {key: mark for key, mark in orders.items() if (mark.incident, mark.authority) == (order.incident, order.authority)}
        known = {key: mark for key, mark in orders.items() if key not in own or mark.seq <= order.seq}
        after, commands, wake_ns = decide(structs.replace(state, seen=structs.replace(state.seen, orders=known)), event, now)
        return structs.replace(after, seen=structs.replace(after.seen, orders={**orders, **after.seen.orders})), commands, wake_ns

    return erring


@on_commands
def tells_no_ceiling(state, command):
    playing = state.plays.get(command.play.play_id) if isinstance(command, Speak) else None
    if playing is None or playing.due is None:
        return command
    return Speak(structs.replace(command.play, max_ms=None))


FIVE = BEGIN_MS + 5 * HOUR
CUT_AT_ITS_FIRST_SAMPLE = (
    Fault(FIVE - MINUTE, "slow card", 0, lasts_ms=MINUTE, size=450),
    Fault(FIVE - 50_000, "crisis", size=1),
    Fault(FIVE - 49_300, "cut", 0, lasts_ms=70_000, word="good"),
)
INTERRUPTED = tuple(
    fault
    for number, at_ms in enumerate(range(FIVE, FIVE + HOUR, 5 * MINUTE))
    for fault in (
        Fault(at_ms + 5_000, "behind its floor", 0, lasts_ms=2 * MINUTE, size=25_000),
        Fault(at_ms + 20_000, "crisis", size=number),
    )
)
TWO_EMERGENCIES = (Fault(FIVE - MINUTE, "crisis", size=1), Fault(FIVE - MINUTE + 17_300, "second", size=1))
ITS_RECORDING_COMES_LATE = tuple(
    fault
    for number, at_ms in enumerate(range(BEGIN_MS + 10 * MINUTE, BEGIN_MS + 142 * MINUTE, 11 * MINUTE))
    for fault in (Fault(at_ms - 1_000, "media down", lasts_ms=51_000), Fault(at_ms, "crisis", size=number))
)
OUT_OF_ORDER = (
    Fault(FIVE - 3 * MINUTE, "mess", 0, lasts_ms=2 * MINUTE),
    Fault(FIVE - 2 * MINUTE, "crisis", size=1),
    Fault(FIVE - 2 * MINUTE + 1_000, "update", size=1),
)
CLOCK_LOST_IN_THE_LEAD = (Fault(FIVE - 500, "doubt", 0, lasts_ms=20 * MINUTE, word="unknown"),)


def behind_its_floor(fault, pole):
    """A clock that nobody believes, until it has run so far by itself."""
    pole.set_clock(pole.card.numbers["floor_ms"] - fault.size - pole.clockwork.now_ms, "good")
    pole.clockwork.after_ms(fault.lasts_ms, lambda: pole.set_clock(0, "good"))


def scene(seed, faults, error=None):
    """A morning of two nodes in which this happens and nothing else."""
    world = World(seed, 0.4, DENSE, nodes=2, turn_decide=error)
    world.plan = list(faults)
    world.misfortune._behind_its_floor = behind_its_floor
    return world.run().broken


@pytest.mark.parametrize(
    ("faults", "error", "words"),
    [
        (CUT_AT_ITS_FIRST_SAMPLE, counts_sound_time_from_acceptance, "law 3 .* stands on the card for .* and does not sound"),
        (INTERRUPTED, forgets_what_it_interrupted, "law 3 .* neither goes on nor is told as skipped"),
        (CLOCK_LOST_IN_THE_LEAD, tells_no_ceiling, "law 4 .* past the ceiling that was set under a good clock"),
        (TWO_EMERGENCIES, gives_up_before_its_time, "law 9 .* fell silent, and nobody who may had stopped it"),
        (TWO_EMERGENCIES, ends_what_gives_way, "law 9 .* fell silent, and nobody who may had stopped it"),
        (ITS_RECORDING_COMES_LATE, gives_up_before_its_time, "law 9 .* fell silent, and nobody who may had stopped it"),
        (OUT_OF_ORDER, lets_an_older_start_take_over, "law 9 .* fell silent, and nobody who may had stopped it"),
    ],
    ids=lambda value: getattr(value, "__name__", " "),
)
def test_what_may_happen_is_let_pass_and_what_only_looks_like_it_is_heard(faults, error, words):
    heard = []
    for seed in range(1, 41):
        assert not scene(seed, faults)
        heard.append(scene(seed, faults, error))
    assert any(re.match(words, why) for why in heard), heard
