"""How far the clock is trusted, the floor that it never runs below, and the nonce for when it cannot be trusted."""

from typing import Final

from msgspec import structs

from edge_agent.commands import PutNumber
from edge_agent.core import health
from edge_agent.core.state import MS_NS, Attested, Turn
from protocol.passing import TimeToken
from protocol.units import ClockState

FLOOR_BUILD_MS: Final = 1_793_491_200_000
"""01/11/2026 00:00 UTC: this program cannot run before it was written."""
STEP_MS: Final = 100
FLOOR_EVERY_MS: Final = 3_600_000
NONCE_LIFE_NS: Final = 600_000_000_000
GOOD_MS: Final = 1_000
"""A clock in step that can be off by no more is good. An exchange over 3G is bounded by half its way and what the server itself
does not know, 0.2 to 0.6 s: a tighter bound would come and go there. A looser one would be heard, where two horns are in earshot.
"""
HOLDOVER_MS: Final = 60_000
"""Up to here a clock may start what is timed (docs/contract.md); signers and nodes allow each other 120 s."""
RTC_AGREES_MS: Final = 2_000
"""The kernel sets the clock from the RTC at boot, and both count whole seconds there."""
RTC_PPM: Final = 100
"""The RTC's own drift with the power off. A DS3231 keeps 5 ppm, but a plain 32 kHz crystal has 20 ppm of make and loses 0.034 ppm
for each square of a degree away from 25 °C: 75 ppm and more in a box in the sun. So an RTC is good for a week without power."""

TOKEN_AGE_MS: Final = 10_000
"""A time comes within this of the nonce that it answers, or not at all: its error is half of the way; no broker can keep it."""
ATTESTED_PPM: Final = 100
"""CLOCK_MONOTONIC by itself: a computer's crystal is within 50 ppm, and a box in the sun adds as much again. So an attested time
holds for six days; no power cut carries it."""
ASK_AGAIN_MS: Final = 30_000
"""From this error on the node says its new nonces again: three days before the time would be lost."""


def watch(turn: Turn) -> None:
    """Judge the clock at this instant: a step or a new trust lets everything timed be planned anew."""
    changed = judge(turn)
    _renew_nonce(turn)
    state, now = turn.state, turn.now
    if not state.booted:
        return
    if changed:
        turn.ask_hello(delay_ms=0)
    health.tell_clock(turn, changed=changed)
    turn.trouble("clock-unknown", there=not state.clock_usable)
    if state.clock == "good" and now.wall_ms - state.floor_ms > FLOOR_EVERY_MS:
        raise_floor(turn, now.wall_ms)
    if state.clock_usable and state.seen.amnesia_since_ms is None:
        _date_memory(turn)


def judge(turn: Turn) -> bool:
    """Say how far the clock is trusted at this instant. Returns whether that changed."""
    state, now = turn.state, turn.now
    if now.clock != "unknown" and state.rtc_from_ms is not None:
        turn.set(rtc_from_ms=None)  # a time source took over
    error_ms = _error_ms(turn)
    clock = judged(turn.now.clock, error_ms)
    if clock == "unknown":
        clock, error_ms = _attested(turn, error_ms)
    elif state.attested is not None:
        turn.set(attested=None)
    state, now = turn.state, turn.now
    if error_ms != state.clock_error_ms:
        turn.set(clock_error_ms=error_ms)
    offset_ms = now.wall_ms - now.mono_ns // MS_NS
    if clock == state.clock and abs(offset_ms - state.offset_ms) <= STEP_MS:
        return False
    turn.set(clock=clock, offset_ms=offset_ms, plan_stale=True)
    return clock != state.clock


def _error_ms(turn: Turn) -> int | None:
    """By how much the wall clock can be off: as its time source knows, else as the RTC lets us reckon; None when nobody knows.

    The RTC's error: what it was off when it was last seen to agree with a good clock, its drift since, and how far our clock is
    from it now.
    """
    state, now = turn.state, turn.now
    if now.wall_ms < max(state.floor_ms, FLOOR_BUILD_MS):
        return None
    if now.clock != "unknown":
        return now.error_ms
    if state.rtc_from_ms is None or now.rtc_apart_ms is None or now.wall_ms < state.rtc_from_ms:
        return None
    drifted_ms = (now.wall_ms - state.rtc_from_ms) * RTC_PPM // 1_000_000 + 1
    return GOOD_MS + RTC_AGREES_MS + drifted_ms + now.rtc_apart_ms


def judged(source: ClockState, error_ms: int | None) -> ClockState:
    """Good is in step and within a second; holdover is within a minute, in step or not; all else is no clock."""
    if error_ms is None or error_ms > HOLDOVER_MS:
        return "unknown"
    return "good" if source == "good" and error_ms <= GOOD_MS else "holdover"


def _attested(turn: Turn, error_ms: int | None) -> tuple[ClockState, int | None]:
    """Without a clock of its own: go by what a timekeeper told and CLOCK_MONOTONIC since, as long as that is within a minute.

    From here on this turn's wall time is that time. It says whether a START is fresh, and nothing else hangs on it.
    """
    attested, now = turn.state.attested, turn.now
    if attested is None:
        return "unknown", error_ms
    gone_ms = (now.mono_ns - attested.at_ns) // MS_NS
    bound_ms = attested.error_ms + gone_ms * ATTESTED_PPM // 1_000_000
    if bound_ms > HOLDOVER_MS:
        turn.set(attested=None)
        return "unknown", error_ms
    wall_ms = attested.wall_ms + gone_ms
    turn.now = structs.replace(now, wall_ms=wall_ms, clock="unknown", error_ms=None, rtc_apart_ms=None)
    return "attested", bound_ms


def take_time(turn: Turn, token: TimeToken) -> None:
    """A timekeeper answered. Ignored: under a usable clock, after 10 s, and below the floor; it raises no floor either."""
    state, now = turn.state, turn.now
    told_ns = state.nonces_told_ns.get(token.nonce)
    if state.clock_usable or told_ns is None or token.at_ms < max(state.floor_ms, FLOOR_BUILD_MS):
        return
    way_ms = (now.mono_ns - told_ns) // MS_NS
    if way_ms > TOKEN_AGE_MS:
        return
    half_ms = way_ms // 2 + 1
    turn.set(attested=Attested(token.at_ms + half_ms, now.mono_ns, half_ms + GOOD_MS))
    if judge(turn):
        turn.ask_hello(delay_ms=0)
        health.tell_clock(turn, changed=True)


def trust_rtc(turn: Turn, rtc_good_ms: int | None) -> None:
    """At boot, before any synchronisation: go by the RTC if it agrees with our clock and was seen to agree with a good one.

    What is assumed: while the power was off nobody set the RTC, and a chip that lost its battery or its beat says so (the kernel
    then gives no time, or one below the floor). An RTC that was set back shows, as time before it was last seen good; one that
    was set forward by more than a week shows, as a bound above a minute. One set forward by less does not show: it is a lie that
    the bound cannot know of, until a time source speaks. Whoever can do that has opened the box.
    """
    apart_ms = turn.now.rtc_apart_ms
    if rtc_good_ms is not None and apart_ms is not None and apart_ms <= RTC_AGREES_MS:
        turn.set(rtc_from_ms=rtc_good_ms)


def raise_floor(turn: Turn, to_ms: int) -> None:
    """The floor rises with our own good clock and with documents that several persons signed; it is kept on disk.

    Never above what the time is at the least by a clock that can be used: a signer whose clock is a minute ahead would take our
    own from us for that minute, and so would we ourselves when a clock that is ahead is put right.
    """
    state, now = turn.state, turn.now
    if state.clock_usable and state.clock_error_ms is not None:
        to_ms = min(to_ms, now.wall_ms - state.clock_error_ms)
    if to_ms <= state.floor_ms:
        return
    turn.set(floor_ms=to_ms)
    writes = [PutNumber("floor_ms", to_ms)]
    if state.clock == "good" and now.rtc_apart_ms is not None and now.rtc_apart_ms <= RTC_AGREES_MS:
        writes.append(PutNumber("rtc_good_ms", now.wall_ms))
    turn.save(*writes)


def reset_floor(turn: Turn, to_ms: int) -> None:
    """Only a root lowers it."""
    turn.set(floor_ms=to_ms)
    turn.save(PutNumber("floor_ms", to_ms))


def _date_memory(turn: Turn) -> None:
    """The store was made while the clock was unusable: from now on STARTs older than this instant are replays to us."""
    turn.set(seen=structs.replace(turn.state.seen, amnesia_since_ms=turn.now.wall_ms))
    turn.save(PutNumber("created_ms", turn.now.wall_ms))


def _renew_nonce(turn: Turn) -> None:
    """A nonce lives ten minutes and its predecessor stays valid: an order that answers one cannot be withheld for long.

    It is renewed under a good clock too (else a START sealed for it could be kept back for days); only then nobody is told.
    """
    state, now = turn.state, turn.now
    age_ns = now.mono_ns - state.nonce_drawn_ns
    if state.nonces and age_ns < NONCE_LIFE_NS:
        return
    previous = state.nonces[:1] if age_ns < 2 * NONCE_LIFE_NS else ()
    turn.set(nonces=(now.dice, *previous), nonce_drawn_ns=now.mono_ns)
    if state.booted and (state.clock == "unknown" or (state.clock == "attested" and (state.clock_error_ms or 0) > ASK_AGAIN_MS)):
        turn.ask_hello(delay_ms=0)


def next_wake_ns(turn: Turn) -> list[int]:
    """When a new nonce is to be told, or a clock that is in step comes above the floor.

    Under a good clock nobody is told: the nonce is renewed before anything that arrives is judged by it.
    """
    state, now = turn.state, turn.now
    if state.clock_usable:
        return []
    wakes, floor_ms = [state.nonce_drawn_ns + NONCE_LIFE_NS], max(state.floor_ms, FLOOR_BUILD_MS)
    if now.clock != "unknown" and now.wall_ms < floor_ms:
        wakes.append(turn.mono_ns_of(floor_ms))
    if state.attested is not None:
        left_ms = (HOLDOVER_MS - state.attested.error_ms + 1) * (1_000_000 // ATTESTED_PPM)
        wakes.append(state.attested.at_ns + left_ms * MS_NS)
    return [max(wake, now.mono_ns + MS_NS) for wake in wakes]
