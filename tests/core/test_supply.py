"""What is fetched when: at once what is due, at night what can wait; within the SIM's month and the card's quota."""

import pytest

from edge_agent.core.night import SPREAD, night_at
from edge_agent.events import MachineChecked, MediaFailed, MediaReceived
from protocol.documents import NetworkBody
from protocol.orders import Clip
from tests.core.harness import Node
from tests.core.people import CLIP, HOUR_MS, ISSUED, MIDNIGHT, NOON, item, network, programme, settled, sound, start
from tests.protocol.vector_world import DAY_MS

MB = 1_000_000
OLD = programme(item("cu", "06:00 18:00", variants=(sound("0a"),)))
MORNING = MIDNIGHT + 30 * HOUR_MS


def told(node):
    return [want.sha256[:2] for want in node.wants]


def settled_node(*documents, at_ms=NOON, clock="good"):
    """A node at work, its old programme whole."""
    node = Node(at_ms, *settled(OLD, *documents), clock=clock)
    node.fetched("0a" * 32)
    return node.online()


def newer(node, *items, **more):
    return programme(*items, seq=node.true_ms, **more)


def of_tomorrow(letters="0b", at="06:00", **more):
    """What the old programme has today, and something new from tomorrow morning on."""
    return (item("cu", "06:00 18:00", variants=(sound("0a"),)), item("moi", at, variants=(sound(letters, **more),)))


# --- the night ---


def test_the_window_crosses_midnight_and_each_node_enters_it_at_its_own_instant():
    body = NetworkBody()
    nodes = [f"4QX0Y7K{number:03}" for number in range(300)]
    nights = [night_at(body, node, NOON) for node in nodes]
    assert {(night.begin_ms, night.end_ms) for night in nights} == {(MIDNIGHT + 22 * HOUR_MS, MIDNIGHT + 29 * HOUR_MS)}
    entries = sorted(night.enter_ms - night.begin_ms for night in nights)
    assert entries[0] >= 0
    assert entries[-1] < 7 * HOUR_MS // SPREAD
    fullest = max(sum(at <= other < at + 600_000 for other in entries) for at in entries)
    assert fullest < 60, "a fifth of them in ten minutes would be a crowd"
    assert night_at(body, nodes[0], MIDNIGHT + 28 * HOUR_MS) == nights[0], "the small hours belong to the evening before"
    tomorrow = night_at(body, nodes[0], MIDNIGHT + 30 * HOUR_MS)
    assert tomorrow.begin_ms == nights[0].begin_ms + DAY_MS
    assert tomorrow.enter_ms - tomorrow.begin_ms != nights[0].enter_ms - nights[0].begin_ms


def test_a_window_inside_a_day_and_one_of_the_whole_day():
    night = night_at(NetworkBody(fetch_from_min=60, fetch_to_min=240), "N", NOON)
    assert (night.begin_ms, night.end_ms) == (MIDNIGHT + 25 * HOUR_MS, MIDNIGHT + 28 * HOUR_MS)
    whole = night_at(NetworkBody(fetch_from_min=0, fetch_to_min=1440), "N", NOON)
    assert (whole.begin_ms, whole.end_ms) == (MIDNIGHT, MIDNIGHT + DAY_MS)


def test_what_can_wait_comes_at_night_and_is_not_called_missing_before():
    node = settled_node()
    node.give(newer(node, *of_tomorrow()))
    node.run(60)
    assert told(node) == []
    assert node.controller.hellos[-1].missing_media == 0
    assert any(held.kind == "programme" and held.pending for held in node.controller.hellos[-1].holds)
    night = night_at(NetworkBody(), node.name, node.true_ms)
    ((at_ms, _sha256),) = node.run_fetching(MORNING - 1)
    assert night.enter_ms <= at_ms <= night.enter_ms + 301_000
    node.run_to(MORNING + 5_000 + 70_000)
    assert [line for line in node.story() if "06:0" in line] == ["cu 06:00:00 played", "moi 06:01:00 open"]


def test_what_is_due_before_the_night_is_over_is_fetched_at_once():
    node = settled_node()
    node.give(newer(node, *of_tomorrow(at="18:00")))
    assert told(node) == ["0b"]


def test_a_bulletin_that_is_taken_out_is_as_urgent_as_one_that_is_new():
    node = settled_node()
    node.give(newer(node, item("moi", "06:30", variants=(sound("0b"),))))
    assert told(node) == ["0b"], "at 18:00 the old one must not sound any more"


def test_the_soonest_needed_comes_first():
    node = settled_node(network(fetch_from_min=0, fetch_to_min=1440), at_ms=NOON - 60_000)
    node.run_to(MIDNIGHT + 16 * HOUR_MS)
    node.give(newer(node, item("cu", "06:00 18:00", variants=(sound("0a"),)), item("sau", "20:00", variants=(sound("0c"),))))
    early = item("som", "17:00", variants=(sound("0b"),))
    node.give(programme(early, seq=node.true_ms, area="52", authority="52", area_no=52, subject="52", by="p1"))
    assert told(node) == ["0b", "0c"]


def test_a_fetch_that_the_night_did_not_finish_waits_for_the_next_one():
    node = settled_node()
    later = newer(node, *of_tomorrow(), valid_from_ms=MIDNIGHT + 3 * DAY_MS)
    node.give(later)
    node.run_to(MIDNIGHT + 25 * HOUR_MS)
    assert told(node) == ["0b"]
    node.run_to(MIDNIGHT + 29 * HOUR_MS + 10_000)
    assert told(node) == []
    node.run_to(MIDNIGHT + 49 * HOUR_MS)
    assert told(node) == ["0b"]


def test_half_the_files_at_midnight_and_yesterdays_whole_set_plays_on():
    node = settled_node()
    node.give(newer(node, *of_tomorrow("0b"), item("ba", "06:30", variants=(sound("0c"),))))
    node.run_to(MIDNIGHT + 25 * HOUR_MS)
    assert sorted(told(node)) == ["0b", "0c"]
    node.fetched("0b" * 32)
    node.disconnect()
    node.run_to(MORNING + 3 * HOUR_MS)
    assert [line for line in node.story() if "06:" in line] == ["cu 06:00:00 played"]


def test_without_a_good_clock_there_is_no_night_and_what_is_missing_comes_at_once():
    node = settled_node(clock="unknown")
    node.give(newer(node, *of_tomorrow()))
    assert told(node) == ["0b"]
    node.trust_clock("good")
    assert told(node) == []


def test_tomorrows_programme_does_not_take_todays_place_at_a_boot_whose_clock_is_not_in_step_yet():
    node = settled_node()
    node.give(programme(item("mai", "18:00", variants=(sound("0a"),)), seq=node.true_ms, valid_from_ms=MIDNIGHT + DAY_MS))
    node.run(2)
    node.power_cut(clock="unknown")
    node.run(60)
    node.trust_clock("good")
    node.run_to(MIDNIGHT + 18 * HOUR_MS + 5_000)
    assert node.sounds() == "cu"


# --- the SIM's month ---


def test_a_used_up_month_lets_content_wait_and_says_so():
    node = settled_node(network(month_bytes=10 * MB))
    node.give(newer(node, *of_tomorrow(at="18:00", size=20 * MB)))
    assert (told(node), node.budget_bytes) == (["0b"], 9 * MB)
    node.happen(MediaReceived(8 * MB))
    node.happen(MediaFailed("0b" * 32, "the connection ended"))
    assert "data-budget" not in node.state.troubles
    node.happen(MediaReceived(1 * MB))
    assert told(node) == []
    node.run(5)
    assert "data-budget" in node.controller.hellos[-1].troubles
    assert node.controller.hellos[-1].missing_media == 1
    node.run_to(MIDNIGHT + 18 * HOUR_MS + 5_000)
    assert node.sounds() == "cu", "yesterday's set plays on"


def test_the_next_month_begins_with_its_whole_budget_at_midnight():
    day = MIDNIGHT + 20 * DAY_MS
    node = Node(day, *settled(OLD, network(month_bytes=10 * MB)))
    node.fetched("0a" * 32)
    node.online()
    node.happen(MediaReceived(10 * MB))
    month = node.state.spent_month
    node.give(newer(node, *of_tomorrow()))
    while node.state.spent_month == month:
        assert told(node) == []
        node.run(1_800)
    assert node.true_ms % DAY_MS < 17 * HOUR_MS + 1_900_000, "midnight in Viet Nam"
    assert node.state.spent_bytes == 0
    node.run_to(node.true_ms + 5 * HOUR_MS)
    assert "data-budget" not in node.state.troubles
    assert told(node) == ["0b"]


def test_what_was_spent_outlives_a_power_cut_and_is_written_seldom():
    node = settled_node(network(month_bytes=100 * MB))
    node.give(newer(node, *of_tomorrow(at="18:00", size=90 * MB)))
    before = len(node.card.journal)
    for _ in range(50):
        node.happen(MediaReceived(MB))
    node.run(1)
    assert len(node.card.journal) - before <= 12
    node.power_cut()
    assert 47 * MB <= node.state.spent_bytes <= 51 * MB
    node.online()
    assert node.budget_bytes == 100 * MB - node.state.spent_bytes


def test_an_emergencys_recordings_have_the_link_to_themselves_and_a_reserve():
    node = settled_node(network(month_bytes=10 * MB, emergency_reserve_bytes=3 * MB))
    node.give(newer(node, *of_tomorrow(at="18:00")))
    node.happen(MediaReceived(10 * MB))
    assert told(node) == []
    clip = Clip(lang="jra", sha256=CLIP, bytes=1_000, duration_ms=5_000, purpose="live")
    node.give(start(node.true_ms, clips=(clip,)))
    node.run(1)
    assert told(node) == ["c1"]
    assert 0 < node.budget_bytes <= 3 * MB
    node.happen(MediaReceived(3 * MB))
    assert told(node) == []


# --- the card ---


def test_a_withdrawn_set_stays_until_room_is_needed_and_then_the_least_recently_needed_goes():
    node = settled_node(network(cache_bytes=5 * MB))
    for letters in ("0b", "0c", "0d"):
        node.give(newer(node, item("tin", "18:00", variants=(sound(letters, size=MB),))))
        node.run_fetching(node.true_ms + 60_000, 10)
    assert {sha256[:2] for sha256 in node.card.media} == {"0a", "0b", "0c", "0d"}
    node.give(newer(node, item("tin", "18:00", variants=(sound("0e", size=3 * MB),))))
    node.run_fetching(node.true_ms + 60_000, 10)
    assert {sha256[:2] for sha256 in node.card.media} == {"0c", "0d", "0e"}
    assert sum(node.state.media.values()) <= 5 * MB


def test_of_two_that_nobody_needs_the_one_that_was_needed_until_lately_stays():
    node = settled_node(network(cache_bytes=4 * MB))
    for sets in ("0a 0b", "0a 0c", "0d", "0e"):
        items = [item(f"tin-{letters}", "18:00", variants=(sound(letters, size=MB),)) for letters in sets.split()]
        node.give(newer(node, *items))
        node.run_fetching(node.true_ms + 60_000, 10)
    assert {sha256[:2] for sha256 in node.card.media} == {"0a", "0c", "0d", "0e"}, "0a came first and was needed longer than 0b"


def test_what_is_due_is_never_dropped_and_a_set_beyond_the_quota_is_said_aloud():
    node = settled_node(network(cache_bytes=2 * MB))
    node.give(newer(node, *of_tomorrow(at="18:00", size=3 * MB)))
    assert told(node) == []
    node.run(5)
    assert "storage-full" in node.controller.hellos[-1].troubles
    node.run_to(MIDNIGHT + 18 * HOUR_MS + 5_000)
    assert node.sounds() == "cu"
    assert node.card.media == {"0a" * 32}
    node.give(network(seq=node.true_ms, cache_bytes=0))
    node.run(5)
    assert node.card.media == {"0a" * 32}
    node.give(network(seq=node.true_ms, cache_bytes=9 * MB))
    node.run(5)
    assert told(node) == ["0b"]
    assert "storage-full" not in node.state.troubles


def test_a_card_that_runs_low_gives_up_what_nobody_needs():
    node = settled_node()
    node.give(newer(node, item("tin", "18:00", variants=(sound("0b", size=MB),))))
    node.run_fetching(node.true_ms + 60_000, 10)
    node.happen(MachineChecked(2**30, None, 1))
    assert {sha256[:2] for sha256 in node.card.media} == {"0a", "0b"}
    node.happen(MachineChecked(60 * 2**20, None, 1))
    assert {sha256[:2] for sha256 in node.card.media} == {"0b"}


@pytest.mark.parametrize("cut", [False, True], ids=["at once", "after a power cut"])
def test_a_file_that_went_and_is_named_again_is_fetched_again(cut):
    node = settled_node(network(cache_bytes=2 * MB))
    for letters in ("0b", "0c", "0d"):
        node.give(newer(node, item("tin", "18:00", variants=(sound(letters, size=MB),))))
        node.run_fetching(node.true_ms + 60_000, 10)
    assert {sha256[:2] for sha256 in node.card.media} == {"0c", "0d"}
    node.give(newer(node, item("lai", "18:00", variants=(sound("0b", size=MB),))))
    if cut:
        node.power_cut()
        node.online()
    assert told(node) == ["0b"]
    node.run_fetching(node.true_ms + 60_000, 10)
    node.run_to(MIDNIGHT + 18 * HOUR_MS + 5_000)
    assert node.sounds() == "lai"


def test_a_file_that_the_card_lost_is_fetched_again_before_its_bulletin():
    node = settled_node()
    node.run(1)
    node.card.media = frozenset()
    node.power_cut()
    node.online()
    assert told(node) == ["0a"]


# --- budgets as documents ---


def test_one_person_cannot_empty_a_nodes_budget():
    node = settled_node()
    node.give(network(seq=node.true_ms, by=("c1",), month_bytes=0))
    node.run(2)
    assert node.controller.results[-1].reason.startswith("too-few-persons")
    assert node.state.fetch_limit is None
    assert not any(held.kind == "network" for held in node.controller.hellos[-1].holds)


def test_budgets_outlive_a_power_cut_are_named_in_the_hello_and_end_with_their_days():
    node = settled_node(network(month_bytes=MB, valid={"valid_until_ms": NOON + HOUR_MS}))
    node.run(1)
    node.power_cut()
    node.online()
    assert any(held.kind == "network" for held in node.controller.hellos[-1].holds)
    assert node.state.fetch_limit == MB
    node.run(2 * 3_600)
    node.give(newer(node, *of_tomorrow(at="18:00")))
    assert node.state.fetch_limit is None


def test_a_document_dated_ahead_of_its_day_leaves_the_old_budgets_in_force():
    node = settled_node(network(month_bytes=MB))
    fresh = network(
        seq=node.true_ms, month_bytes=2 * MB, valid={"valid_from_ms": NOON + HOUR_MS, "valid_until_ms": ISSUED + 90 * DAY_MS}
    )
    node.give(fresh)
    node.run(60)
    assert node.state.fetch_limit == MB
    node.run(3_600)
    assert node.state.fetch_limit == 2 * MB
