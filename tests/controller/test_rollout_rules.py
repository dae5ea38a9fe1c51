"""The rules of a fleet upgrade, on simulated nodes: never two neighbours, never past the bound, the same after a restart."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from controller.core.rollout import Around, Bounds, Told, abort, begin, decide, failures, pause, resume, under_way
from controller.core.rollout_waves import both_ways, order_of, waves_of
from tests.controller.rollout_fleet import HOUR_MS, RELEASE, T0, Fleet, Pole, drawn_fleet

NAMES = [f"N{number}" for number in range(12)]


def fleet(kinds: dict[str, str] | None = None, names=NAMES, pairs=None, **bounds) -> Fleet:
    poles = {name: Pole(name, (kinds or {}).get(name, "good"), 300_000) for name in names}
    made = Fleet(poles=poles, neighbours=both_ways(pairs or {}), bounds=Bounds(**bounds))
    made.start()
    return made


def tell(rollout, listening_ms: int | None = T0, **states: str) -> Around:
    told = {node: Told(reachable=True, heard_ms=T0) for node in rollout.members}
    for node, state in states.items():
        told[node] = Told(reachable=state != "gone", heard_ms=T0, release=RELEASE, state="" if state == "gone" else state)
    return Around(told=told, neighbours={}, listening_ms=listening_ms)


# --- waves ---


@given(
    count=st.integers(1, 60),
    pairs=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=80),
    canaries=st.integers(1, 5),
    reachable=st.sets(st.integers(0, 59)),
)
def test_every_node_is_in_one_wave_and_no_neighbour_is_in_the_same(count, pairs, canaries, reachable) -> None:
    names = [f"N{number}" for number in range(count)]
    named: dict[str, list[str]] = {}
    for one, other in pairs:
        named.setdefault(f"N{one % count}", []).append(f"N{other % count}")
    neighbours = both_ways(named)
    order = order_of(RELEASE, names, {f"N{number}" for number in reachable})
    waves = waves_of(order, neighbours, Bounds(canaries=canaries))
    assert sorted(node for wave in waves for node in wave) == sorted(names)
    assert all(not (neighbours.get(node, frozenset()) & set(wave)) for wave in waves for node in wave)
    assert all(waves)


def test_the_shares_are_of_all_selected_and_whoever_is_there_goes_first() -> None:
    names = [f"N{number}" for number in range(100)]
    order = order_of(RELEASE, names, set(names[:30]))
    waves = waves_of(order, {}, Bounds(canaries=2))
    assert [len(wave) for wave in waves] == [2, 3, 15, 80]
    assert {node for wave in waves[:3] for node in wave} <= set(names[:30])


def test_named_canaries_are_the_first_wave() -> None:
    order = order_of(RELEASE, NAMES, set(NAMES), ("N7", "N3"))
    assert waves_of(order, {}, Bounds(), canaries=2)[0] == ("N7", "N3")


@pytest.mark.parametrize("percents", [(5, 20), (20, 5, 100), (100, 100)])
def test_waves_that_do_not_rise_to_everybody_are_refused(percents) -> None:
    with pytest.raises(ValueError, match="rising percents"):
        Bounds(waves_percent=percents)


# --- going on ---


def test_it_goes_from_the_canary_through_the_waves_to_the_end() -> None:
    made = fleet()
    assert made.step().offers == made.rollout.waves[0]
    assert made.run().phase == "ended"
    assert made.stands("good") == set(NAMES)
    nodes = [node for _, node in made.offers]
    assert sorted(nodes) == sorted(NAMES)
    assert nodes == [node for wave in made.rollout.waves for node in wave]


def test_a_node_that_runs_the_build_counts_as_done_and_is_offered_nothing() -> None:
    made = fleet()
    made.poles["N4"].runs = True
    assert made.run().phase == "ended"
    assert "N4" not in [node for _, node in made.offers]
    assert "N4" in made.stands("good")


def test_who_is_not_there_holds_no_wave_back_and_is_given_up_at_the_deadline() -> None:
    made = fleet({"N1": "dead", "N2": "dead"}, deadline_s=48 * 3_600)
    while made.stands("good") != set(NAMES) - {"N1", "N2"}:
        made.step()
        assert made.now_ms < T0 + 12 * HOUR_MS
    assert made.rollout.phase == "running"
    assert made.run().phase == "ended"
    assert made.stands("unreached") == {"N1", "N2"}
    assert made.rollout.ended_ms == T0 + 48 * HOUR_MS


def test_who_comes_back_before_the_deadline_is_offered_it_then() -> None:
    made = fleet()
    late = made.poles["N5"]
    late.away = ((T0, T0 + 30 * HOUR_MS),)
    made.start()
    assert made.run().phase == "ended"
    assert made.stands("good") == set(NAMES)
    assert dict(map(reversed, made.offers))["N5"] >= T0 + 30 * HOUR_MS


def test_a_canary_that_is_not_there_is_waited_for() -> None:
    made = fleet()
    canary = made.rollout.waves[0][0]
    made.poles[canary].away = ((T0, T0 + 20 * HOUR_MS),)
    for _ in range(19 * 60):
        made.step()
    assert made.offers == []
    assert made.run().phase == "ended"


def test_a_later_wave_of_which_nobody_is_there_is_passed_after_an_hour() -> None:
    made = fleet(waves_percent=(25, 100), canaries=1)
    for node in made.rollout.waves[1]:
        made.poles[node].away = ((T0, T0 + 100 * HOUR_MS),)
    while len(made.offers) < 2:
        made.step()
    begun_ms = made.offers[1][0]
    assert made.offers[1][1] in made.rollout.waves[2]
    assert HOUR_MS <= begun_ms - made.offers[0][0] < 2 * HOUR_MS


def test_while_the_broker_is_away_nothing_begins_and_nobody_is_judged() -> None:
    rollout = begin(RELEASE, (("N0",), ("N1",)), Bounds(), T0)
    deaf = decide(rollout, tell(rollout, listening_ms=None), T0 + 1)
    assert (deaf.offers, deaf.rollout.phase) == ((), "running")
    offered = decide(rollout, tell(rollout), T0 + 2).rollout
    begun = decide(offered, tell(offered, N0="installing"), T0 + 3).rollout
    gone = structs.replace(tell(begun, listening_ms=None), told={})
    assert decide(begun, gone, T0 + 20 * HOUR_MS).rollout.members["N0"].stand == "begun"
    listening = structs.replace(gone, listening_ms=T0 + 20 * HOUR_MS)
    assert decide(begun, listening, T0 + 20 * HOUR_MS).wake_ms == T0 + 21 * HOUR_MS
    assert decide(begun, listening, T0 + 26 * HOUR_MS).rollout.members["N0"].reason == "silent"


def test_no_more_are_under_way_at_once_than_the_bound() -> None:
    made = fleet(under_way_max=3)
    while made.rollout.phase == "running":
        made.step()
        assert len(under_way(made.rollout)) <= 3
    assert made.stands("good") == set(NAMES)


# --- stopping ---


def test_one_of_nine_is_more_than_five_percent_and_pauses_it() -> None:
    made = fleet()
    last = made.rollout.waves[-1][0]
    made.poles[last].kind, made.poles[last].fetch_ms = "bad", 60_000
    assert made.run().phase == "paused"
    assert made.rollout.why == f"1 of {len(made.rollout.waves[-1])} reached in wave {len(made.rollout.waves) - 1} failed: {last}"
    made.rollout = resume(made.rollout)
    assert made.run().phase == "ended"
    assert (made.stands("failed"), len(made.stands("good"))) == ({last}, 11)


def test_two_failures_pause_it_however_large_the_wave() -> None:
    names = [f"N{number:03d}" for number in range(200)]
    made = fleet(names=names)
    for node in made.rollout.waves[-1][:2]:
        made.poles[node].kind, made.poles[node].fetch_ms = "bad", 60_000
    assert made.run().phase == "paused"
    assert made.rollout.why.startswith("2 failures")


def test_a_node_that_vanishes_while_installing_is_a_failure_and_a_late_word_mends_it() -> None:
    made = fleet()
    canary = made.rollout.waves[0][0]
    made.poles[canary].kind = "bricked"
    assert made.run().phase == "paused"
    assert made.rollout.members[canary].reason == "silent"
    made.poles[canary].kind = "good"
    made.step()
    made.run(most=20)
    for _ in range(10):
        made.step()
    assert made.rollout.members[canary].stand == "good"


def test_paused_offers_nothing_and_lets_who_has_it_go_on() -> None:
    made = fleet()
    made.step()
    made.rollout = pause(made.rollout, "by an")
    for _ in range(60):
        assert made.step().offers == ()
    assert len(made.stands("good")) == 1
    made.rollout = resume(made.rollout)
    assert made.run().phase == "ended"


def test_abort_takes_back_what_did_not_begin_and_who_installs_finishes() -> None:
    made = fleet(canaries=4)
    made.step()
    first, second, *others = made.rollout.waves[0]
    made.poles[second].window = (0, 0)
    while made.poles[first].state != "installing":
        made.step()
    for name in others:
        made.poles[name].kind = "good"
    ending = abort(made.rollout, "by an", made.now_ms)
    assert second in ending.withdrawals
    assert first not in ending.withdrawals
    made.rollout = ending.rollout
    for node in ending.withdrawals:
        made.poles[node].withdrawn()
    for _ in range(60):
        assert made.step().offers == ()
    assert first in made.stands("good")
    assert second in made.stands("withdrawn")
    assert (made.rollout.phase, made.rollout.ended_ms is not None) == ("aborted", True)


def test_an_installation_cut_short_is_an_offer_again_and_an_aborted_one_takes_it_back() -> None:
    rollout = begin(RELEASE, (("N0",), ("N1",)), Bounds(), T0)
    offered = decide(rollout, tell(rollout), T0 + 1).rollout
    begun = decide(offered, tell(offered, N0="installing"), T0 + 2).rollout
    assert decide(begun, tell(begun, N0="waiting"), T0 + 3).rollout.members["N0"].stand == "offered"
    ending = abort(begun, "by an", T0 + 3)
    assert (ending.withdrawals, ending.rollout.ended_ms) == ((), None)
    over = decide(ending.rollout, tell(begun, N0="waiting"), T0 + 4)
    assert over.withdrawals == ("N0",)
    assert (over.rollout.phase, over.rollout.ended_ms) == ("aborted", T0 + 4)


def test_a_node_busy_for_another_rollout_bars_its_neighbours_here() -> None:
    rollout = begin(RELEASE, (("N0",),), Bounds(), T0)
    around = structs.replace(tell(rollout), neighbours=both_ways({"N0": ["X"]}), busy=frozenset({"X"}))
    assert decide(rollout, around, T0 + 1).offers == ()
    assert decide(rollout, structs.replace(around, busy=frozenset()), T0 + 1).offers == ("N0",)


# --- many ---


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_nodes_of_which_thirty_are_bad_stop_where_the_rule_says(seed: int) -> None:
    bounds = Bounds(under_way_max=50)
    made = drawn_fleet(seed, 1_000, bad=0.03, bounds=bounds)
    made.start()
    assert made.run(ms=300_000).phase == "paused"
    failed, going = failures(made.rollout), under_way(made.rollout)
    assert 1 <= len(failed) <= bounds.failures_max + bounds.under_way_max
    assert len(made.stands("good")) < 400
    offered = len(made.offers)
    for _ in range(12 * 24):
        made.step(300_000)
    assert len(made.offers) == offered
    assert failures(made.rollout) <= failed | going


@pytest.mark.parametrize("seed", range(2))
def test_a_thousand_good_nodes_with_outages_and_night_windows_all_end_good(seed: int) -> None:
    made = drawn_fleet(seed, 1_000, bad=0.0, bounds=Bounds(silent_s=24 * 3_600), windows=True)
    made.start()
    assert made.run(ms=300_000).phase == "ended"
    assert len(made.stands("good")) == 1_000
    assert made.seen_pairs > 1_000


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(2, 30),
    bad=st.sampled_from([0.0, 0.1, 0.4]),
    most=st.integers(1, 10),
    failures_max=st.integers(1, 4),
)
def test_never_two_neighbours_never_past_the_bound_and_the_same_after_any_restart(seed, count, bad, most, failures_max) -> None:
    bounds = Bounds(under_way_max=most, failures_max=failures_max, failures_percent=50, deadline_s=5 * 86_400)
    whole, restarted = (drawn_fleet(seed, count, bad=bad, bounds=bounds) for _ in range(2))
    restarted.restarts = True
    for made in (whole, restarted):
        made.start()
        for _ in range(6):
            made.run(most=12 * 24 * 6, ms=300_000)
            if made.rollout.phase == "paused":
                assert len(failures(made.rollout)) <= failures_max - 1 + most
                made.rollout = resume(made.rollout)
    assert (whole.offers, whole.rollout) == (restarted.offers, restarted.rollout)
    assert whole.rollout.phase in ("ended", "running")
