"""What the node says: every order answered, refusals counted and bounded, records until they are had, nothing for ever."""

import json
import unicodedata
from itertools import pairwise

import pytest

from edge_agent.commands import HoldFetch, Publish
from edge_agent.events import Arrived, DriverFailed, MachineChecked
from protocol.envelope import claimed
from protocol.orders import Text
from protocol.reports import Health, Hello, Receipt
from tests.core.harness import Node
from tests.core.people import COMMUNE, MEDIA, NOON, item, programme, settled, start, stop
from tests.protocol import vector_world as world

DECOMPOSED = "e\u0301" * 20


def fresh(*items, at_ms=NOON - 60_000, **more):
    node = Node(at_ms, *settled(programme(*items)), **more)
    node.fetched(MEDIA)
    node.online()
    node.run(20)
    return node


def said(node, kind=Receipt):
    return [command.message for command in node.commands if isinstance(command, Publish) and isinstance(command.message, kind)]


def throw(node, topic, raw):
    node.happen(Arrived(next(node.refs), topic, raw))


# --- refusals ---


def test_a_refusal_changes_nothing_and_is_acknowledged_counted_and_told():
    node = fresh()
    journal = len(node.card.journal)
    seen = node.state.seen
    ref = node.give(start(node.true_ms, by=("d1",)))
    node.run(1)
    assert ref in node.acknowledged
    assert node.state.seen == seen
    assert len(node.card.journal) == journal
    told = node.controller.results[-1]
    assert told.result == "refused"
    assert told.reason.startswith("bad-signature")
    assert told.incident == "00000000000000a1"
    assert node.state.refused == {"bad-signature": 1}


def test_an_order_that_was_truly_signed_and_yet_refused_is_named_so_that_its_row_shows_it():
    node = fresh()
    late = start(node.true_ms - 7_200_000)
    node.give(late)
    node.run(1)
    told = node.controller.results[-1]
    assert (told.result, told.reason.partition(":")[0]) == ("refused", "superseded")
    assert (told.digest, told.order_seq) == claimed(late.raw)


def test_a_forgery_never_speaks_for_the_order_it_imitates():
    node = fresh()
    forged = start(node.true_ms, by=("d1",))
    node.give(forged)
    node.run(1)
    told = node.controller.results[-1]
    assert told.order_seq is None
    assert told.digest != claimed(forged.raw)[0]


def test_a_flood_of_refusals_is_counted_and_told_once_in_five_seconds():
    node = fresh()
    forged = start(node.true_ms, by=("d1",))
    node.commands.clear()
    for _ in range(500):
        node.give(forged)
    node.run(4)
    assert node.state.refused == {"bad-signature": 500}
    assert len(said(node)) == 1
    node.run(2)
    node.give(forged)
    assert len(said(node)) == 2


def test_a_flood_over_many_topics_does_not_empty_the_data_plan():
    node = fresh()
    node.commands.clear()
    for number in range(2_000):
        throw(node, f"loa/1/node/{node.name}/order/{number:016x}", b"{}")
    node.run(4)
    assert sum(len(receipt.results) for receipt in said(node)) <= 16
    assert node.state.refused == {"malformed": 2_000}
    assert len(node.state.refusal_said_ns) <= 16


@pytest.mark.parametrize(
    "word", ["e\u0301" * 40, "\ud83d\ude00", "\ud800", "a\u0000\u001b[2J\n", "\u0344" * 300, "\U0001d15e" * 100, '\\"' * 200]
)
def test_words_of_a_stranger_can_never_end_the_agent(word):
    node = fresh()
    outer = {"payload": "", "payloadType": word, "signatures": [{"keyid": "0" * 64, "sig": "A" * 86 + "=="}]}
    raw = json.dumps(outer).encode()
    throw(node, f"loa/1/node/{node.name}/order/{DECOMPOSED}", raw)
    throw(node, f"loa/1/node/{node.name}/order/00000000000000a1", raw)
    throw(node, f"loa/1/node/{node.name}/records", raw)
    throw(node, f"loa/1/node/{node.name}/records", b"\xff\xfe")
    node.run(3)
    for told in node.controller.results:
        assert unicodedata.is_normalized("NFC", told.reason)
    assert sum(node.state.refused.values()) == 2


def test_receipts_stay_below_their_cap_whatever_is_in_them():
    node = fresh()
    node.disconnect()
    for number in range(60):
        throw(node, f"loa/1/node/{node.name}/order/{number:016x}{'Ấ' * 150}", b"{}")
        node.run(1)
    for number in range(40):
        node.give(start(node.true_ms, f"{number + 1:x}", sound_max_s=3, repeats=100, issuing_body="Ấ" * 200))
        node.run(4)
    node.online()
    node.run(60)
    assert node.controller.upto() == 40


def test_a_document_of_the_nodes_own_card_is_refused_in_silence():
    node = fresh()
    node.happen(Arrived(0, f"loa/1/node/{node.name}/document", programme(seq=world.T0).raw))
    node.run(2)
    assert node.state.refused == {}
    node.give(programme(seq=world.T0))
    node.run(2)
    assert node.state.refused == {"superseded": 1}


# --- the link ---


def test_what_was_told_before_the_link_broke_is_told_again_once():
    node = fresh()
    node.give(start(node.true_ms, repeats=1))
    node.run(30)
    results = len(node.controller.results)
    node.disconnect()
    node.run(1_200)
    node.online()
    node.run(60)
    assert len(node.controller.results) == results + 1
    node.disconnect()
    node.run(1_200)
    node.online()
    node.run(60)
    assert len(node.controller.results) == results + 1, "a quarter of an hour later it is old"


def test_what_happened_without_a_link_is_told_when_there_is_one():
    node = fresh(item("tin", "12:00"))
    node.give(start(node.true_ms, repeats=1))
    node.disconnect()
    node.run(3_600)
    node.online()
    assert node.controller.results_of("a1")[-1] == "ended"
    assert node.controller.upto() == 2


def test_after_a_reconnect_what_comes_is_taken_in_the_order_of_its_issue():
    node = fresh()
    node.disconnect()
    node.run(10)
    begun, ended = start(node.true_ms, "a1"), stop(node.true_ms + 1, "a1")
    node.connect()
    node.give(ended)
    node.run(0.2)
    node.give(begun)
    assert not node.spoken
    node.run(3)
    assert not node.spoken, "a START does not sound for the moment until its STOP is read"
    assert max(node.controller.results_of("a1")) == "stopped"


def test_collecting_lasts_two_seconds_at_most_and_nothing_is_dropped_when_the_link_breaks_in_it():
    node = fresh()
    node.disconnect()
    node.connect()
    node.give(start(node.true_ms, "a1", repeats=100))
    for _ in range(25):
        node.run(0.1)
        node.give(programme(seq=world.T0))
    assert node.sounds() == "a1"
    node.disconnect()
    node.connect()
    node.give(start(node.true_ms, "b2", risk=5))
    node.disconnect()
    node.run(1)
    assert node.sounds() == "b2"


def test_a_bulletin_is_on_time_while_a_reconnect_is_collecting():
    node = fresh(item("tin", "12:00"))
    node.run_to(NOON - 1_800)
    node.disconnect()
    node.connect()
    for _ in range(20):
        node.run(0.1)
        node.give(programme(seq=world.T0))
    assert node.player.heard[0].begin_ns == node.player.heard[0].play.at_mono_ns


def test_hellos_come_at_most_every_two_seconds():
    node = fresh()
    hellos = len(node.controller.hellos)
    for number in range(40):
        node.happen(MachineChecked(0 if number % 2 else 10**9, None, number))
        node.run(0.5)
    assert len(node.controller.hellos) - hellos <= 11


# --- records ---


def test_a_hello_that_nobody_answered_is_said_again_ever_more_rarely_until_it_is():
    node = fresh()
    node.controller.answers_marks = False
    before = len(said(node, Hello))
    node.disconnect()
    node.connect()
    node.run(86_400)
    unanswered = said(node, Hello)[before:]
    gaps_s = [(later.at_ms - sooner.at_ms) / 1000 for sooner, later in pairwise(unanswered)]
    assert 30 <= gaps_s[0] <= 61
    assert all(sooner <= later + 1 for sooner, later in pairwise(gaps_s))
    assert len(unanswered) < 40
    node.controller.answers_marks = True
    node.run(3_700)
    answered = len(said(node, Hello))
    node.run(86_400)
    assert len(said(node, Hello)) == answered


def test_records_whose_receipt_was_lost_go_again_once_a_hello_is_answered():
    node = fresh(item("sang", "12:00"))
    node.controller.answers_marks = False
    node.run(300)
    assert list(node.controller.records) == [1]
    node.controller.records.clear()  # the broker's queue was full
    node.disconnect()
    node.connect()
    node.run(5)
    node.controller.records.clear()  # and full again, of ten thousand that came back at once
    node.run(100)
    assert not node.controller.records
    node.controller.answers_marks = True
    node.run(200)
    assert list(node.controller.records) == [1]


def test_the_controllers_mark_goes_forward_and_what_it_has_is_not_sent_again():
    node = fresh(item("tin", "12:00 12:05 12:10"))
    node.run_to(NOON + 15 * 60_000)
    assert node.state.records == {}
    sent = len(said(node))
    node.disconnect()
    node.online()
    assert [receipt.plays for receipt in said(node)[sent:]] in ([], [()])
    assert node.card.numbers["records_upto"] == 2, "the mark rides with the next play"


def test_a_mark_that_goes_back_brings_the_records_from_the_card_but_not_again_and_again():
    node = fresh(item("tin", "12:00 12:05 12:10"))
    node.run_to(NOON + 15 * 60_000)
    node.controller.records.clear()
    node.tell_mark(0)
    node.run(5)
    assert node.controller.upto() == 3
    node.commands.clear()
    for _ in range(50):
        node.tell_mark(0)
        node.run(1)
    assert len(said(node)) == 0


def test_a_mark_beyond_what_there_is_is_not_believed():
    node = fresh(item("tin", "12:00 12:05"))
    node.tell_mark(4_000_000)
    node.run_to(NOON + 10 * 60_000)
    assert node.controller.upto() == 2


def test_records_wait_for_the_mark_and_are_sent_again_after_a_reconnect():
    node = fresh(item("tin", "12:00"))
    node.controller.answers_marks = False
    node.run_to(NOON + 300_000)
    assert len(said(node)[-1].plays) == 1
    assert set(node.state.records) == {1}
    sent = len(said(node))
    node.disconnect()
    node.online()
    assert [len(receipt.plays) for receipt in said(node)[sent:]] == [1]


def test_a_thousand_records_follow_each_other_without_flooding_the_link():
    node = fresh(
        *(item(f"tin{number}", " ".join(f"{hour:02}:{number:02}" for hour in range(24)), grace_s=0) for number in range(40))
    )
    node.disconnect()
    node.give(stop(node.true_ms, None, area=COMMUNE))
    node.run(86_400)
    node.online()
    node.run(60)
    assert node.controller.upto() >= 900


# --- health ---


def test_health_is_said_on_change_only():
    node = fresh()
    node.commands.clear()
    for second in range(3_600):
        node.happen(MachineChecked(10**9, 4_000, second))
        node.run(1)
    assert len(said(node, Health)) == 1
    node.happen(DriverFailed("fetcher", "OSError()", 1))
    node.run(3)
    assert "fetcher-failed" in node.controller.hellos[-1].troubles
    assert said(node, Health)[-1].restarts == {"fetcher": 1}
    node.fetched("aa" * 32)
    node.run(3)
    assert "fetcher-failed" not in node.controller.hellos[-1].troubles


def test_the_link_is_left_to_an_emergency_while_it_stands():
    node = fresh()
    node.give(start(node.true_ms, repeats=1, text=(Text(lang="vi", text="Lũ."),)))
    node.run(1)
    node.run(60)
    assert [command.hold for command in node.commands if isinstance(command, HoldFetch)] == [True, False]
