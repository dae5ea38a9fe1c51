"""When a node renews and how long it waits, reckoned without a clock of its own; and how fast strangers may guess."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.enrolment import LONGEST_WAIT_S, UNLINKED_S, Dates, next_look_s, wait_s, wants_renewal

DAY_MS = 86_400_000
DATES = Dates(-DAY_MS, 90 * DAY_MS)


def test_a_certificate_of_ninety_days_is_renewed_after_sixty():
    assert not wants_renewal(DATES, 59 * DAY_MS, clock_usable=True, unlinked_s=1e6)
    assert wants_renewal(DATES, 60 * DAY_MS, clock_usable=True, unlinked_s=0)
    assert wants_renewal(DATES, 900 * DAY_MS, clock_usable=True, unlinked_s=0)


def test_without_a_clock_only_a_broker_that_shuts_us_out_for_long_is_a_reason():
    assert not wants_renewal(DATES, 900 * DAY_MS, clock_usable=False, unlinked_s=UNLINKED_S - 1)
    assert wants_renewal(DATES, 0, clock_usable=False, unlinked_s=UNLINKED_S)


@given(st.integers(1, 10_000), st.floats(0, 0.999), st.floats(0, 1e6))
def test_waits_grow_stay_bounded_and_heed_the_controller(failures, dice, asked_s):
    waited_s = wait_s(failures, dice, asked_s)
    assert 0.5 <= waited_s <= 1.5 * LONGEST_WAIT_S
    assert waited_s >= min(asked_s, LONGEST_WAIT_S)
    assert wait_s(failures + 1, dice) >= wait_s(failures, dice)


@given(st.integers(-(10**12), 10**12), st.booleans(), st.floats(0, 0.999))
def test_a_look_is_never_at_once_and_never_far_away(now_ms, usable, dice):
    assert 1.0 <= next_look_s(DATES, now_ms, clock_usable=usable, dice=dice) <= 900.0
