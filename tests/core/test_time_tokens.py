"""A time told to a node without one: good for a START, for nothing timed and for no floor; only at once, and only for a while."""

from tests.core.harness import Node
from tests.core.people import DAY_MS, MEDIA, NOON, item, programme, settled, start, time_token

LOST_YEARS_MS = 20 * 365 * DAY_MS


def lost(*items, **more) -> Node:
    """A node that started twenty years in the past, and is heard. The first hello is on its way."""
    node = Node(NOON - 60_000, *settled(programme(*items)), clock="unknown", **more)
    node.error_ms = -LOST_YEARS_MS
    node.power_cut(clock="unknown")
    node.fetched(MEDIA)
    node.connect()
    node.run(1)
    return node


def nonce(node) -> str:
    return node.controller.hellos[-1].nonce


def answered(node) -> Node:
    node.give(time_token(nonce(node), node.true_ms))
    node.run(3)
    return node


def test_a_start_counts_as_soon_as_the_time_was_told():
    node = lost()
    node.give(start(node.true_ms))
    assert node.state.refused == {"clock-unusable": 1}
    answered(node)
    assert node.controller.hellos[-1].clock_state == "attested"
    assert abs(node.controller.hellos[-1].at_ms - node.true_ms) < 10_000
    node.give(start(node.true_ms))
    node.run(1)
    assert node.sounds() == "a1"


def test_an_old_start_is_refused_by_an_attested_clock():
    node = answered(lost())
    node.give(start(node.true_ms - 11 * 60_000))
    assert node.state.refused == {"expired": 1}


def test_nothing_timed_plays_and_the_floor_stays():
    node = lost(item("tin", "12:00 12:05"))
    floor_ms = node.state.floor_ms
    answered(node)
    node.run_to(NOON + 6 * 60_000)
    assert node.spoken == []
    assert node.state.floor_ms == floor_ms
    assert node.card.numbers.get("floor_ms", 0) == floor_ms


def test_a_time_that_comes_late_is_ignored_also_for_a_hello_that_was_said_again():
    node = lost()
    kept = time_token(nonce(node), node.true_ms)
    node.run(11)
    node.give(kept)
    assert node.state.clock == "unknown"
    node.controller.answers_marks = False
    told = nonce(node)
    node.run(90)
    assert nonce(node) == told
    node.give(kept)
    node.run(1)
    assert node.state.clock == "unknown"
    assert node.state.refused == {}


def test_the_next_nonce_is_another_chance():
    node = lost()
    node.run(601)
    answered(node)
    assert node.state.clock == "attested"


def test_a_replayed_time_moves_nothing():
    node = lost()
    kept = time_token(nonce(node), node.true_ms)
    node.give(kept)
    node.run(8)
    node.give(kept)
    assert abs(node.state.attested.wall_ms - node.true_ms) <= node.state.attested.error_ms
    node.run(60)
    before = node.state.attested
    node.give(kept)
    assert node.state.attested == before


def test_a_time_below_the_floor_is_no_time():
    node = lost()
    node.give(time_token(nonce(node), node.state.floor_ms - 1))
    assert node.state.clock == "unknown"


def test_a_time_for_a_sibling_or_by_an_officer_is_refused():
    node = lost()
    node.give(time_token(nonce(node), node.true_ms, by="c1"))
    node.give(time_token("ab" * 8, node.true_ms))
    assert node.state.clock == "unknown"
    assert node.state.refused == {"not-empowered": 1, "expired": 1}


def test_a_good_clock_is_never_told_the_time():
    node = Node(NOON - 60_000, *settled())
    node.online()
    node.give(time_token(nonce(node), node.true_ms + 60_000))
    assert node.state.clock == "good"
    assert node.state.attested is None


def test_it_drifts_out_after_days_and_is_asked_for_again_before():
    node = answered(lost())
    node.longest_sleep_s = 3_600
    hellos = len(node.controller.hellos)
    node.run(2 * 86_400)
    assert len(node.controller.hellos) == hellos
    node.run(86_400 + 43_200 + 700)
    assert node.state.clock == "attested"
    assert len(node.controller.hellos) > hellos
    node.run(4 * 86_400)
    assert node.state.clock == "unknown"


def test_asked_again_it_goes_on():
    node = answered(lost())
    node.longest_sleep_s = 3_600
    told = nonce(node)
    while nonce(node) == told:
        node.run(1)
    answered(node)
    node.run(5 * 86_400)
    assert node.state.clock == "attested"
    assert abs(node.state.clock_error_ms) < 60_000


def test_a_power_cut_loses_it():
    node = answered(lost())
    node.power_cut(clock="unknown")
    assert node.state.clock == "unknown"


def test_a_time_source_takes_over():
    node = answered(lost())
    node.find_time_source()
    assert node.state.clock == "good"
    assert node.state.attested is None
    node.run(1)
    assert node.state.offset_ms == node.true_ms - node.mono_ns // 1_000_000


def test_a_stopped_clock_in_step_below_the_floor_is_attested_all_the_same():
    node = lost()
    node.clock = "good"
    answered(node)
    assert node.state.clock == "attested"
