"""Each law's monitor can fail: a node that errs in just that way is heard, and the transcript says where."""

import pytest
from msgspec import structs

from edge_agent.commands import Acknowledge, Hush, Publish, Speak, Speech
from edge_agent.events import Arrived, MediaStored
from protocol.documents import Hours
from protocol.emergency import EXERCISE_WORDS
from protocol.envelope import payload_of
from protocol.errors import ProtocolError
from protocol.orders import Stop
from protocol.reports import Hello, Receipt
from protocol.seen import Slot
from tests.core.people import COMMUNE
from tests.simulation.faults import DENSE
from tests.simulation.world import World

SEEDS = range(1, 60)
WEEK = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def on_commands(change):
    """A node whose commands are changed on the way out."""

    def err(decide):
        def erring(state, event, now):
            after, commands, wake_ns = decide(state, event, now)
            return after, tuple(changed for command in commands if (changed := change(after, command)) is not None), wake_ns

        return erring

    return err


def before(change):
    """A node that sees another state, event or instant than the true one."""

    def err(decide):
        return lambda state, event, now: decide(*change(state, event, now))

    return err


def is_stop(event):
    return isinstance(event, Arrived) and "/order/" in event.topic and _is_live_stop(event.raw)


def _is_live_stop(raw):
    try:
        return isinstance(payload_of(raw), Stop)
    except ProtocolError:  # forged bytes are no STOP
        return False


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
