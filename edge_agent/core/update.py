"""A firmware update, step by step: each state is on disk before what it stands for is done, so a power cut leaves no half.

    waiting ─> fetching ─> installing ─> installed ─> trial ─> good        refused: never on this machine
       └───────────┴────────────┘ (failed, cut)          └─> rolled-back: never again until a newer release

The other slot is written while this one runs. `trial` is saved before the boot loader is told, and told again at most twice. The
new build proves its health within a deadline; only then is its slot marked good. If not, the machine restarts without that mark,
and the boot loader, which counts the starts of an unmarked slot, goes back to the old one.
"""

from typing import Final, assert_never

from msgspec import structs

from edge_agent.commands import Activate, Command, Confirm, HoldInstall, Install, PutUpdate, Restart
from edge_agent.core import health, update_view
from edge_agent.core import update_vetoes as vetoes
from edge_agent.core.state import MS_NS, Turn
from edge_agent.events import InstallEnded, InstallProgressed, KeptUpdate, SlotConfirmed, SlotsChecked, SlotsFailed

MINUTE_NS: Final = 60_000 * MS_NS
LOOK_NS: Final = MINUTE_NS
ASK_AGAIN_NS: Final = 2 * MINUTE_NS
TRY_AGAIN_NS: Final = 30 * MINUTE_NS
INSTALL_LONGEST_NS: Final = 180 * MINUTE_NS
GATE_NS: Final = 10 * MINUTE_NS
"""A 4G modem registers within 2 minutes, chrony is in step within 5."""
TRIES: Final = 2
"""A power cut between telling the boot loader and seeing that it knows leaves that unknown: then it is told once more."""
CLOCK_RANK: Final = {"unknown": 0, "attested": 1, "holdover": 2, "good": 3}


# --- what happened ---


def kept(turn: Turn, saved: KeptUpdate) -> None:
    """A step is on disk."""
    if saved == turn.state.update:
        turn.set(update_kept=True)


def happened(turn: Turn, event: SlotsChecked | InstallProgressed | InstallEnded | SlotConfirmed | SlotsFailed) -> None:
    """The slots' driver told something."""
    match event:
        case SlotsChecked():
            _slots_checked(turn, event)
        case InstallProgressed():
            _progressed(turn, event)
        case InstallEnded():
            _install_ended(turn, event)
        case SlotConfirmed():
            _confirmed(turn)
        case SlotsFailed():
            _slots_failed(turn, event)
        case _:
            assert_never(event)


def _slots_checked(turn: Turn, event: SlotsChecked) -> None:
    """What runs, and what the boot loader takes next. The first one after a start says what became of an update."""
    if turn.state.slots is None:
        turn.set(settled_ns=turn.now.mono_ns + GATE_NS)
    turn.set(slots=event)
    turn.trouble("slots-failed", there=False)
    if turn.state.update_recalled:
        turn.set(update_recalled=False)
        _weigh(turn, event)
    elif (under := _trying(turn)) is not None and event.booted == under.from_slot and event.next != event.booted:
        _step(turn, structs.replace(under, ready=True))


def _progressed(turn: Turn, event: InstallProgressed) -> None:
    """The bundle is opened, and so much of it is done."""
    turn.set(update_bytes=event.bytes_done)
    under = turn.state.update
    if under is not None and under.state == "fetching" and turn.state.update_asked_ns is not None:
        asked_ns = turn.state.update_asked_ns
        _step(turn, structs.replace(under, state="installing"))
        turn.set(update_asked_ns=asked_ns)


def _install_ended(turn: Turn, event: InstallEnded) -> None:
    """The other slot is whole, or not."""
    state, under = turn.state, turn.state.update
    if state.slots is not None:
        turn.set(slots=structs.replace(state.slots, busy=False))
    if event.reason:
        turn.set(bundle_brought="")  # what was brought went with it, and the link has its night and its budget
    if under is None or under.state not in ("fetching", "installing"):
        return
    if not event.reason:
        turn.set(update_again_ns=0)  # that was for what failed before, of an older release perhaps
        _step(turn, structs.replace(under, state="installed", reason=""))
    elif event.lasting:
        _step(turn, structs.replace(under, state="refused", reason=f"install: {event.reason}"[:300]))
    else:
        turn.set(update_again_ns=turn.now.mono_ns + TRY_AGAIN_NS)
        _step(turn, structs.replace(under, state="waiting", reason=f"install: {event.reason}"[:300]))


def _confirmed(turn: Turn) -> None:
    """The slot that runs is marked good."""
    turn.set(slot_confirmed=True)
    under = turn.state.update
    if under is not None and under.state == "trial" and under.passed and _runs_on_trial(turn):
        _step(turn, structs.replace(under, state="good", reason=""))


def _slots_failed(turn: Turn, event: SlotsFailed) -> None:
    """What was asked could not be done: it is asked again, of the boot loader at most twice."""
    turn.trouble("slots-failed", there=True)
    under = _trying(turn)
    if under is None or _runs_on_trial(turn) or under.ready:
        return
    if under.tries < TRIES:
        turn.set(update_again_ns=turn.now.mono_ns + TRY_AGAIN_NS)
        _step(turn, structs.replace(under, state="installed"))
    else:
        _step(turn, structs.replace(under, state="rolled-back", reason=f"boot-loader: {event.reason}"[:300]))


def _weigh(turn: Turn, slots: SlotsChecked) -> None:
    """After a start: what the step that was saved before it has come to."""
    under = turn.state.update
    if under is None:
        return
    runs_new = slots.booted != under.from_slot
    if under.state in ("fetching", "installing"):
        if slots.busy:
            turn.set(update_asked_ns=turn.now.mono_ns)
        else:
            _step(turn, structs.replace(under, state="waiting", reason="interrupted"))
    elif under.state in ("installed", "trial") and runs_new:
        _step(turn, structs.replace(under, state="trial", starts=under.starts + 1))
    elif under.state == "trial":
        _weigh_old_slot(turn, under, slots)
    elif under.state == "good" and under.build != slots.build:
        # power that came and went thrice within a start makes the boot loader leave a good slot: what it holds is tried again
        _step(turn, structs.replace(under, state="installed", from_slot=slots.booted, tries=0, passed=False))


def _weigh_old_slot(turn: Turn, under: KeptUpdate, slots: SlotsChecked) -> None:
    """The old build runs though the new one was to be tried: not yet, never told, or tried in vain."""
    if slots.next != slots.booted:
        _step(turn, structs.replace(under, ready=True))
    elif under.ready or under.starts or under.tries >= TRIES:
        why = under.reason or "fell-back: the new build did not start, or was cut off before it proved its health"
        _step(turn, structs.replace(under, state="rolled-back", reason=why))
    else:
        _step(turn, structs.replace(under, state="installed"))


# --- what follows ---


def keep_up(turn: Turn) -> None:
    """Take the next step, if it may be taken; called at the end of every turn."""
    state, under = turn.state, turn.state.update
    if state.slots is None:
        if under is None and not any(slot.kind == "release" for slot in state.documents):
            return
        _wait(turn, "no-slots")
    elif state.update_kept and not state.update_recalled:
        if under is None or under.state not in update_view.UNDER_WAY:
            _consider(turn)
        elif under.state == "installed":
            _begin_trial(turn, under)
        elif under.state == "trial":
            _go_on_with_trial(turn, under)
        else:
            _install(turn, under)
    _lend_link(turn)
    _keep_slot(turn)
    _say(turn)


def _lend_link(turn: Turn) -> None:
    """While an emergency stands the link belongs to it, also when its recordings are still to come."""
    hold = bool(turn.state.alarms) and turn.state.slots is not None
    if hold != turn.state.install_held:
        turn.set(install_held=hold)
        turn.tell(HoldInstall(hold))


def _keep_slot(turn: Turn) -> None:
    """The boot loader counts the starts of a good slot down as well: once a start, the slot that is not on trial is confirmed."""
    state = turn.state
    if state.slots is None or state.slot_confirmed or state.update_recalled or _runs_on_trial(turn):
        return
    asked_ns = state.confirm_asked_ns
    if asked_ns is None or turn.now.mono_ns - asked_ns >= ASK_AGAIN_NS:
        turn.set(confirm_asked_ns=turn.now.mono_ns)
        turn.tell(Confirm())


def _consider(turn: Turn) -> None:
    """Whether the release in force is to be installed, and whether now."""
    state, before, found = turn.state, turn.state.update, update_view.candidate(turn)
    if found is None or state.slots is None:
        return
    if before is not None and before.release == found.digest and before.state != "waiting":
        _wait(turn, "")
        return
    body = found.release.body
    fresh = KeptUpdate(release=found.digest, build=body.build, state="fetching", from_slot=state.slots.booted)
    if why := vetoes.why_refused(turn, found):
        _step(turn, structs.replace(fresh, state="refused", reason=why))
        return
    if body.build == state.slots.build:
        _step(turn, structs.replace(fresh, state="good", reason="runs-already", from_slot=""))
        return
    failed = before is not None and before.release == found.digest
    if failed and turn.now.mono_ns < state.update_again_ns:  # a newer release does not wait for what became of this one
        return
    waits = vetoes.why_not_install(turn, found)
    if waits:
        _wait(turn, waits)
    else:
        _step(turn, fresh)


def _install(turn: Turn, under: KeptUpdate) -> None:
    state, found = turn.state, update_view.candidate(turn)
    if state.update_asked_ns is not None:
        if turn.now.mono_ns - state.update_asked_ns >= INSTALL_LONGEST_NS:
            turn.set(update_again_ns=turn.now.mono_ns + TRY_AGAIN_NS)
            _step(turn, structs.replace(under, state="waiting", reason="install: no end within three hours"))
        return
    if found is None or found.digest != under.release or vetoes.why_not_install(turn, found):
        _step(turn, structs.replace(under, state="waiting"))  # it changed while the step was being written
        return
    body = found.release.body
    turn.set(update_asked_ns=turn.now.mono_ns, update_bytes=0)
    budget = vetoes.budget_bytes(turn)
    turn.tell(Install(sha256=body.bundle.sha256, bytes=body.bundle.bytes, manifest=body.manifest, budget_bytes=budget))


def _begin_trial(turn: Turn, under: KeptUpdate) -> None:
    """The restart is due: note how things stand, then tell the boot loader."""
    found = update_view.candidate(turn)
    if found is None or found.digest != under.release:
        _step(turn, structs.replace(under, state="waiting", reason="superseded"))
        return
    if turn.now.mono_ns < turn.state.update_again_ns:
        return
    waits = vetoes.why_refused(turn, found) or vetoes.why_not_restart(turn, found)
    waits = waits or ("" if _is_settled(turn) else "settling")
    _wait(turn, waits)
    if not waits:
        trial = structs.replace(under, state="trial", tries=under.tries + 1, ready=False, starts=0, reason="")
        _step(turn, structs.replace(trial, clock=turn.state.clock, linked=_was_linked(turn)))


def _is_settled(turn: Turn) -> bool:
    """Whether this start has come as far as it can: sooner, how things stand would excuse a new build that does no better."""
    state = turn.state
    return (state.link_up and state.clock == "good") or turn.now.mono_ns >= state.settled_ns


def _was_linked(turn: Turn) -> bool:
    """Whether the broker is reached, or was a moment ago."""
    lost_ns = turn.state.link_lost_ns
    return turn.state.link_up or (lost_ns is not None and turn.now.mono_ns - lost_ns < GATE_NS)


def _go_on_with_trial(turn: Turn, under: KeptUpdate) -> None:
    if _runs_on_trial(turn):
        _prove(turn, under)
        return
    waits = vetoes.why_not_restart(turn, None)
    _wait(turn, waits)
    if not waits:
        _ask(turn, Restart() if under.ready else Activate())


def _prove(turn: Turn, under: KeptUpdate) -> None:
    """The health gate. Past its deadline the machine restarts unmarked, as soon as nobody speaks; a late proof still counts."""
    if under.passed:
        _ask(turn, Confirm())
        return
    missing = lacking(turn, under)
    if not missing:
        _step(turn, structs.replace(under, passed=True, reason=""))
    elif turn.now.mono_ns >= turn.state.settled_ns:
        if not under.reason:
            _step(turn, structs.replace(under, reason=f"gate: {', '.join(missing)}"))
        elif not vetoes.why_loud(turn):
            _ask(turn, Restart())


def lacking(turn: Turn, under: KeptUpdate) -> list[str]:
    """What the new build has not proved yet: that it is the one released, sounds, is heard, keeps time and writes."""
    state = turn.state
    proofs = {
        "build": state.slots is not None and state.slots.build == under.build,
        "sound": state.sounded_once and "player-lost" not in state.troubles,
        "broker": state.linked_once or not under.linked,
        "clock": CLOCK_RANK[state.clock] >= CLOCK_RANK[under.clock],
        "storage": "storage-failed" not in state.troubles,  # that this start was written down is why we are here
    }
    return [name for name, proved in proofs.items() if not proved]


# --- in common ---


def _trying(turn: Turn) -> KeptUpdate | None:
    under = turn.state.update
    return under if under is not None and under.state == "trial" else None


def _runs_on_trial(turn: Turn) -> bool:
    """Whether the new slot runs, unconfirmed."""
    under, slots = turn.state.update, turn.state.slots
    return under is not None and under.state in ("installed", "trial") and slots is not None and slots.booted != under.from_slot


def _wait(turn: Turn, why: str) -> None:
    """Not now, and why; "" for nothing in the way."""
    if turn.state.update_waits != why:
        turn.set(update_waits=why)


def _step(turn: Turn, step: KeptUpdate) -> None:
    """Save the next state; what it stands for follows when it is on disk."""
    turn.set(update=step, update_kept=False, update_asked_ns=None, update_waits="")
    turn.save(PutUpdate(step), update=step)


def _ask(turn: Turn, command: Command) -> None:
    """Ask it of the slots, and again when nothing came of it."""
    asked_ns = turn.state.update_asked_ns
    if asked_ns is None or turn.now.mono_ns - asked_ns >= ASK_AGAIN_NS:
        turn.set(update_asked_ns=turn.now.mono_ns)
        turn.tell(command)


def _say(turn: Turn) -> None:
    """Tell health of a change; of bytes only when health is sent anyway."""
    seen = update_view.of(turn)
    said = seen if seen is None else structs.replace(seen, bytes_done=0)
    if said != turn.state.update_said:
        turn.set(update_said=said)
        health.ask(turn)


def next_wake_ns(turn: Turn) -> list[int]:
    """When a release that waits, or an update under way, is looked at again."""
    state, under = turn.state, turn.state.update
    if state.slots is None or not state.update_kept:
        return []
    if under is not None and under.state not in update_view.UNDER_WAY and under.state != "waiting":
        found = update_view.candidate(turn)
        if found is None or found.digest == under.release:
            return []
    elif under is None and update_view.candidate(turn) is None:
        return []
    return [turn.now.mono_ns + LOOK_NS]
