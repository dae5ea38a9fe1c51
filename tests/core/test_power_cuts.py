"""The power goes at any instant: nothing acknowledged is lost, nothing plays twice, every play is counted once."""

import pytest
from msgspec import structs

from tests.core.card import Card
from tests.core.harness import Node
from tests.core.people import COMMUNE, MEDIA, NOON, item, programme, settled, start, stop


def fresh(*items, at_ms=NOON - 60_000, **more):
    node = Node(at_ms, *settled(programme(*items)), **more)
    node.fetched(MEDIA)
    return node.online()


def day(node):
    """Bulletin, emergency, its update, a second one, STOP of one, another bulletin. Returns what was given."""
    given = []

    def give(sent):
        given.append((sent, node.give(sent)))

    node.run_to(NOON + 20_000)
    give(start(node.true_ms, "a1", repeats=2))
    node.run(3)
    give(start(node.true_ms, "a1", repeats=1))
    node.run(2)
    give(start(node.true_ms, "b2", repeats=100, risk=5))
    node.run(8)
    give(stop(node.true_ms, "b2"))
    node.run(1)
    give(programme(item("tin", "12:00 12:10", on_interrupt="resume"), item("moi", "12:08"), seq=node.true_ms))
    node.run_to(NOON + 12 * 60_000)
    return given


@pytest.fixture(scope="module")
def undisturbed():
    node = fresh(item("tin", "12:00 12:10", on_interrupt="resume"))
    began = len(node.card.journal)
    given = day(node)
    return node, given, began


def cut_after(undisturbed, kept):
    """A node that boots with what the undisturbed one had on its card after so many transactions."""
    node, given, _ = undisturbed
    card = Card.replayed(node.card.journal[:kept], boots=1, media=frozenset({MEDIA}))
    again = Node(NOON + 40_000, card=card)
    return again, [(sent, node.acknowledged[ref] <= kept) for sent, ref in given]


def instants(undisturbed):
    node, _, began = undisturbed
    return range(began, len(node.card.journal) + 1)


def test_no_order_is_lost_after_its_acknowledgement_and_none_is_taken_twice(undisturbed):
    for kept in instants(undisturbed):
        node, given = cut_after(undisturbed, kept)
        digests = set(node.card.marks) | {document.digest for document in node.card.documents.values()}
        for sent, was_acknowledged in given:
            journal = len(node.card.journal)
            node.give(sent)
            node.run(0.05)
            if was_acknowledged:
                added = [write for writes in node.card.journal[journal:] for write in writes]
                assert not any(type(write).__name__ in ("PutMark", "PutDocument") for write in added), (kept, added)
        node.online()
        node.run(200)
        assert len(node.card.marks) == 4, (kept, digests)


def test_what_was_stopped_stays_stopped_and_what_was_not_over_is_heard(undisturbed):
    for kept in instants(undisturbed):
        node, given = cut_after(undisturbed, kept)
        acknowledged = [sent for sent, was in given if was]
        states = {order.mark.incident.lstrip("0"): order.state for order in node.card.orders.values()}
        node.run(5)
        if given[3][0] in acknowledged:
            assert node.sounds() != "b2"
        elif given[2][0] in acknowledged:
            assert node.sounds() == "b2", (kept, states)
        node.run(600)
        for sent, _ in given:
            node.give(sent)
        node.run(100)
        assert all(order.state in ("ended", "stopped") for order in node.card.orders.values()), kept


def test_every_play_has_one_number_and_no_number_is_missing(undisturbed):
    for kept in instants(undisturbed):
        node, given = cut_after(undisturbed, kept)
        for sent, _ in given:
            node.give(sent)
        node.online()
        node.run_to(NOON + 15 * 60_000)
        assert sorted(node.controller.records) == list(range(1, len(node.card.records) + 1)), kept
        assert not [number for number, (_, is_open) in node.card.records.items() if is_open]
        occurrences = [
            (record.item, record.planned_ms)
            for record, _ in node.card.records.values()
            if record.incident is None and record.ending in ("played", "cut")
        ]
        assert len(set(occurrences)) == len(occurrences), (kept, node.story())


def test_an_open_record_closes_as_cut_and_its_bulletin_does_not_begin_again():
    node = fresh(item("tin", "12:00", grace_s=3_600))
    node.run_to(NOON + 30_000)
    node.power_cut()
    node.online()
    node.run(600)
    assert node.story() == ["tin 12:00:00 cut"]
    assert node.controller.records[1].ending == "cut"


def test_a_record_is_told_only_once_it_is_on_the_card():
    node = fresh()
    node.give(start(node.true_ms, repeats=1))
    node.run(2)
    node.save_ms = 1_000
    node.run(7.2)
    assert not node.player.active
    assert node.controller.records == {}
    node.run(3)
    assert set(node.controller.records) == {1}


def test_a_number_that_a_failing_card_lost_is_told_as_lost():
    node = fresh(item("tin", "12:00"))
    node.give(start(node.true_ms, repeats=1))
    node.run(30)
    node.card.records[3] = (structs.replace(node.card.records[1][0], record_id=3), False)
    node.power_cut()
    node.online()
    assert sorted(node.controller.records) == [1, 2, 3]
    assert node.controller.records[2].item == "lost"


def test_an_emergency_resumes_after_the_cut_for_what_is_left_of_its_time():
    node = fresh()
    node.give(start(node.true_ms, repeats=100, sound_max_s=120))
    node.run(30)
    node.power_cut(off_ms=50_000)
    node.online()
    assert node.sounds() == "a1"
    node.run(33)
    assert node.sounds() == "a1"
    node.run(6)
    assert node.sounds() is None
    assert [line.split()[-1] for line in node.story()] == ["cut", "max"]


def test_sound_time_counts_anew_when_the_power_goes_before_the_first_sample_is_on_the_card():
    node = fresh()
    node.save_ms = 200
    node.give(start(node.true_ms, repeats=100, sound_max_s=60))
    node.run(0.3)
    assert node.sounds() == "a1"
    node.power_cut(off_ms=80_000)
    node.run(58)
    assert node.sounds() == "a1"
    node.run(6)
    assert node.sounds() is None
    assert [line.split()[-1] for line in node.story()] == ["cut", "max"]


def test_sound_time_that_ended_in_the_dark_is_over():
    node = fresh()
    node.give(start(node.true_ms, repeats=100, sound_max_s=60))
    node.run(10)
    node.power_cut(off_ms=60_000)
    node.online()
    assert node.sounds() is None
    assert node.controller.results_of("a1")[-1] == "ended"
    assert [order.state for order in node.card.orders.values()] == ["ended"]


def test_without_a_clock_it_is_heard_once_more():
    node = fresh()
    node.give(start(node.true_ms, repeats=3))
    node.run(4)
    node.power_cut(off_ms=3_600_000, clock="unknown")
    node.run(2)
    assert node.sounds() == "a1"
    assert len([part for part in node.spoken[-1].parts if getattr(part, "lang", "") == "vi"]) == 2, "one text and the call sign"
    node.run(100)
    node.power_cut(clock="unknown")
    node.run(10)
    assert not node.spoken


def test_an_order_accepted_without_a_clock_is_not_forgotten_when_the_clock_is_found():
    node = Node(NOON, *settled(), clock="unknown")
    node.step(-40 * 365 * 86_400_000)
    node.online()
    node.give(start(NOON, repeats=100, answers=node.state.nonces))
    node.run(3)
    assert node.sounds() == "a1"
    node.error_ms = 0
    node.power_cut(off_ms=5_000, clock="good")
    node.run(3)
    assert node.sounds() == "a1"


def test_an_updated_emergency_never_falls_back_to_its_older_version():
    node = fresh()
    node.give(start(node.true_ms, "a1", repeats=100))
    node.run(3)
    node.give(start(node.true_ms, "a1", repeats=1))
    node.run(60)
    node.power_cut()
    node.run(10)
    assert not node.spoken


def test_a_lift_and_a_stop_of_everything_outlive_the_cut():
    node = fresh(item("tin", "12:00"))
    node.give(stop(node.true_ms, None, area=COMMUNE))
    node.run(1)
    node.power_cut()
    node.run_to(NOON + 10_000)
    assert not node.spoken


def test_what_waited_waits_on_after_the_cut():
    node = Node(NOON - 60_000, *settled(programme(item("tin", "12:00"))))
    node.power_cut()
    node.online()
    node.run_to(NOON + 10_000)
    assert not node.spoken
    node.fetched(MEDIA)
    node.run(2)
    assert node.sounds() == "tin"


def test_a_memory_of_two_thousand_orders_is_taken_up_quickly_and_keeps_its_order():
    node = fresh()
    seen = node.state.seen
    node.give(start(node.true_ms))
    node.run(60)
    (mark,) = [mark for mark in node.state.seen.orders.values() if mark not in seen.orders.values()]
    for number in range(2_000):
        digest = f"{number:064x}"
        node.card.marks[digest] = structs.replace(mark, incident=f"{number:016x}", seq=NOON - 100_000_000 + number, digest=digest)
    node.power_cut()
    assert len(node.state.seen.orders) == 256
    assert max(node.state.seen.evicted_seq.values()) == NOON - 100_000_000 + 2_000 - 256
