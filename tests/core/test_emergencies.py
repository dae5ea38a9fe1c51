"""Emergencies before everything else, each once, in their written order, on one timeline in every horn."""

import pytest

from edge_agent.commands import Align, Clip, Pause, Save, Speech
from protocol.emergency import EXERCISE_WORDS, repeat_period_ms, timeline_origin_ms
from protocol.envelope import payload_of
from protocol.orders import Clip as OrderClip
from protocol.orders import Text
from tests.core.harness import Node
from tests.core.people import (
    CLIP,
    HAMLET,
    HOUR_MS,
    MEDIA,
    NOON,
    PROVINCE,
    drill,
    item,
    programme,
    settled,
    start,
)
from tests.protocol.vector_world import NEIGHBOUR

LONG = (Text(lang="vi", text="Lũ đang lên. " * 20),)


def node_with(*items, at_ms=NOON - 60_000, **more):
    node = Node(at_ms, *settled(programme(*items)), **more)
    node.fetched(MEDIA)
    return node.online()


def test_emergency_preempts_a_bulletin_which_then_begins_again():
    node = node_with(item("tin", "12:00", on_interrupt="restart"))
    node.run_to(NOON + 30_000)
    assert node.sounds() == "tin"
    node.give(start(node.true_ms, repeats=1))
    node.run(1)
    assert node.sounds() == "a1"
    node.run(60)
    assert node.sounds() == "tin"
    node.run(300)
    assert node.story() == ["tin 12:00:00 interrupted", "live a1 12:00:30 played", "tin 12:00:38 played"]
    assert node.spoken[-1].skip_samples == 0
    assert node.controller.results_of("a1") == ["received", "sounding", "sounding", "ended"]
    assert node.controller.upto() == 3


def test_a_bulletin_that_resumes_goes_on_within_its_part():
    node = node_with(item("tin", "12:00", on_interrupt="resume"))
    node.run_to(NOON + 30_000)
    node.give(start(node.true_ms, repeats=1))
    node.run(60)
    rest = node.spoken[-1]
    assert rest.from_part == 0
    assert rest.skip_samples == pytest.approx(30 * 48_000, rel=0.01)
    node.give(start(node.true_ms, "a2", repeats=1))
    node.run(60)
    assert node.spoken[-1].skip_samples == pytest.approx(80 * 48_000, rel=0.05), "the second rest goes on after the first"
    node.run(300)
    assert [line.split()[-1] for line in node.story()] == ["interrupted", "played", "interrupted", "played", "played"]


def test_a_bulletin_that_is_dropped_stays_silent():
    node = node_with(item("tin", "12:00", on_interrupt="drop"))
    node.run_to(NOON + 30_000)
    node.give(start(node.true_ms, repeats=1))
    node.run(400)
    assert node.story() == ["tin 12:00:00 interrupted", "live a1 12:00:30 played"]


def test_a_bulletin_interrupted_for_longer_than_its_grace_is_skipped_and_says_so():
    node = node_with(item("tin", "12:00", grace_s=60))
    node.run_to(NOON + 30_000)
    node.give(start(node.true_ms, repeats=100))
    node.run(700)
    assert node.story() == ["tin 12:00:00 interrupted", "live a1 12:00:30 max", "tin never skipped"]


def test_an_emergency_is_never_interrupted_by_the_programme():
    node = node_with(item("tin", "12:00", grace_s=600))
    node.run_to(NOON - 10_000)
    node.give(start(node.true_ms, repeats=100, sound_max_s=60))
    node.run_to(NOON + 20_000)
    assert node.sounds() == "a1"
    turns = node.turns
    node.run(20)
    assert node.turns - turns < 80, "a bulletin that waits must not turn the processor in circles"
    node.run(60)
    assert node.sounds() == "tin"


def test_no_sound_before_the_order_and_its_record_are_on_the_card():
    node = node_with()
    node.save_ms = 200
    node.give(start(node.true_ms))
    assert not node.spoken
    node.run(0.1)
    assert not node.spoken
    node.run(0.15)
    assert len(node.spoken) == 1
    assert len(node.card.orders) == 1
    assert len(node.card.records) == 1


def test_the_answer_to_a_commit_begins_with_the_sound():
    node = node_with()
    ref = node.give(start(node.true_ms))
    node.commands.clear()
    node.run(0.004)
    names = [type(command).__name__ for command in node.commands]
    assert names[0] == "Speak"
    assert names.index("Acknowledge") < names.index("Publish")
    assert ref in node.acknowledged


# --- two emergencies ---


def test_the_higher_risk_is_heard_and_the_other_resumes_at_its_next_repeat():
    node = node_with()
    node.give(start(node.true_ms, "a1", risk=2, repeats=4, text=LONG))
    node.run(1)
    order = payload_of(next(iter(node.card.orders.values())).raw)
    period_ms = repeat_period_ms(order)
    node.run(1.2 * period_ms / 1000)
    node.give(start(node.true_ms, "b2", risk=4, repeats=1))
    node.run(1)
    assert node.sounds() == "b2"
    node.run(12)
    assert node.sounds() == "a1"
    resumed = node.spoken[-1]
    align = next(part for part in resumed.parts if isinstance(part, Align))
    assert align.every_ms == period_ms
    speeches = [part for part in resumed.parts if isinstance(part, Speech) and part.text == LONG[0].text]
    assert len(speeches) == 3, "one of four was heard whole; the one that was cut is heard again"
    node.run(300)
    assert [line.rsplit(" ", 1)[1] for line in node.story()] == ["interrupted", "played", "played"]
    assert node.controller.results_of("b2")[-1] == "ended"
    assert node.controller.results_of("a1")[-1] == "ended"


def test_of_equal_risks_the_newer_is_heard_whatever_comes_first():
    node = node_with()
    node.run(60)
    newer = start(node.true_ms, "b2", risk=3, repeats=3)
    node.give(newer)
    node.run(1)
    node.give(start(node.true_ms - 20_000, "a1", risk=3, repeats=3))
    node.run(1)
    assert node.sounds() == "b2"
    node.run(60)
    assert [line.split()[1] for line in node.story()] == ["b2", "a1"]


def test_an_emergency_that_waited_begins_when_the_higher_is_over():
    node = node_with()
    node.give(start(node.true_ms, "b2", risk=5, repeats=100, sound_max_s=30))
    node.run(1)
    node.give(start(node.true_ms, "a1", risk=1, repeats=1))
    node.run(5)
    assert node.controller.results_of("a1") == ["received"]
    node.run(60)
    assert [(line.split()[1], line.split()[3]) for line in node.story()] == [("b2", "max"), ("a1", "played")]
    assert node.controller.results_of("a1")[-1] == "ended"


# --- repeats and updates ---


def test_an_update_takes_the_place_of_what_sounds_and_never_plays_beside_it():
    node = node_with()
    node.give(start(node.true_ms, repeats=5))
    node.run(5)
    node.give(start(node.true_ms, repeats=1, text=(Text(lang="vi", text="Tin mới."),)))
    node.run(0.5)
    assert node.sounds() == "a1"
    assert "Tin mới." in [part.text for part in node.spoken[-1].parts if isinstance(part, Speech)]
    node.run(60)
    assert [line.rsplit(" ", 1)[1] for line in node.story()] == ["interrupted", "played"]
    assert sorted(order.state for order in node.card.orders.values()) == ["ended", "ended"]


def test_the_same_bytes_again_are_answered_again_and_not_played_again():
    node = node_with()
    sent = start(node.true_ms, repeats=1)
    first = node.give(sent)
    again = node.give(sent)
    node.run(60)
    third = node.give(sent, f"loa/1/node/{node.name}/order/00000000000000a1")
    node.run(1)
    assert {first, again, third} <= set(node.acknowledged)
    assert len(node.story()) == 1
    assert node.controller.results_of("a1") == ["received", "sounding", "sounding", "ended", "ended"]


def test_bytes_that_come_again_while_they_are_being_kept_are_acknowledged_only_when_they_are():
    node = node_with()
    node.save_ms = 500
    sent = start(node.true_ms)
    node.give(sent)
    node.run(0.1)
    again = node.give(sent)
    node.run(0.1)
    assert again not in node.acknowledged
    assert node.controller.results_of("a1") == [], "nothing is received before it is on the card"
    node.run(0.5)
    assert again in node.acknowledged
    assert node.controller.results_of("a1")[0] == "received"


def test_repeats_of_two_nodes_begin_at_the_same_instants():
    plans = []
    for name, late_s, boot_s in ((None, 0, 0), (NEIGHBOUR, 1.5, 7)):
        documents = settled(node=name) if name else settled()
        if name:
            documents = [documents[0], documents[1], documents[2], documents[4]]
        node = Node(NOON - 60_000 - boot_s * 1000, *documents, **({"node": name} if name else {})).online()
        node.run_to(NOON)
        sent = start(NOON, repeats=4, area="52.24076")
        node.run(late_s)
        node.give(sent)
        node.run(120)
        heard = node.player.heard[0]
        begins = [at for number, at in heard.parts if isinstance(heard.play.parts[number], Speech)][:4]
        plans.append([node.epoch_ms * 1_000_000 + at for at in begins])
    first, second = plans
    assert first[0] != second[0]
    assert all(abs(one - other) <= 1_000_000 for one, other in zip(first[1:], second[1:], strict=True))


def test_a_late_joiner_falls_into_step_at_its_first_words():
    node = node_with()
    sent = start(NOON, repeats=3, text=LONG)
    node.run_to(NOON + 100_000)
    node.give(sent)
    node.run(1)
    play = node.spoken[-1]
    order = payload_of(sent.raw)
    assert isinstance(play.parts[1], Align)
    words_ns = next(at for number, at in node.player.heard[0].parts if isinstance(play.parts[number], Speech))
    words_ms = node.epoch_ms + words_ns / 1e6
    assert (words_ms - timeline_origin_ms(order)) % repeat_period_ms(order) == pytest.approx(0, abs=1)


def test_sound_time_runs_in_monotonic_time_whatever_the_clock_does():
    node = node_with()
    node.give(start(node.true_ms, repeats=100, sound_max_s=60))
    node.run(20)
    node.step(-3 * HOUR_MS)
    node.run(20)
    node.step(6 * HOUR_MS)
    node.run(15)
    assert node.sounds() == "a1"
    node.run(10)
    assert node.sounds() is None
    assert node.controller.results_of("a1")[-1] == "ended"


def test_an_emergency_that_the_player_fails_is_told_again_but_not_for_ever():
    node = node_with()
    node.player.refuses = 2
    node.give(start(node.true_ms, repeats=1))
    node.run(60)
    assert [line.rsplit(" ", 1)[1] for line in node.story()] == ["failed", "failed", "played"]
    node.player.refuses = 99
    node.give(start(node.true_ms, "a2"))
    node.run(60)
    assert node.controller.results_of("a2")[-1] == "ended"
    assert "failed" in node.controller.results[-1].reason


# --- recordings ---


def test_a_recording_that_comes_meanwhile_is_heard_from_the_next_repeat_on():
    node = node_with()
    clip = OrderClip(lang="jra", sha256=CLIP, bytes=1_000, duration_ms=5_000, purpose="live")
    node.give(start(node.true_ms, repeats=3, clips=(clip,)))
    node.run(3)
    assert "no voice for jra" in node.controller.results[-1].reason
    assert node.wants[0].sha256 == CLIP
    assert not node.held, "the link is held for the emergency, and this recording is part of it"
    node.fetched(CLIP)
    assert node.held
    node.run(100)
    assert [line.rsplit(" ", 1)[1] for line in node.story()] == ["interrupted", "played"]
    last = node.spoken[-1].parts
    assert len([part for part in last if isinstance(part, Clip)]) == 2
    assert not node.held


def test_languages_follow_each_other_and_a_recording_goes_before_the_spoken_text():
    node = node_with()
    node.fetched(CLIP)
    clip = OrderClip(lang="vi", sha256=CLIP, bytes=1_000, duration_ms=5_000, purpose="live")
    bahnar = OrderClip(lang="bdq", sha256="c2" * 32, bytes=1_000, duration_ms=5_000, purpose="live")
    node.fetched("c2" * 32)
    node.give(start(node.true_ms, repeats=1, clips=(clip, bahnar)))
    node.run(1)
    parts = node.spoken[-1].parts
    assert [type(part) for part in parts[1:4]] == [Clip, Pause, Clip]
    assert parts[-2] == Speech("vi", "UBND xã Phú Túc")


# --- exercises ---


def test_an_exercise_says_so_before_and_after_every_text_and_gives_way_to_the_real_thing():
    node = node_with()
    node.give(drill(node.true_ms, risk=5, repeats=2))
    node.run(1)
    spoken = [part.text for part in node.spoken[-1].parts if isinstance(part, Speech)]
    assert spoken[0] == spoken[2] == spoken[3] == spoken[5] == EXERCISE_WORDS
    node.give(start(node.true_ms, "a1", risk=0, repeats=1))
    node.run(1)
    assert node.sounds() == "a1"
    assert EXERCISE_WORDS not in [part.text for part in node.spoken[-1].parts if isinstance(part, Speech)]
    node.run(120)
    assert node.story()[0].startswith("exercise e1")
    assert [line.split()[0] for line in node.story()] == ["exercise", "live", "exercise"]


def test_an_exercise_of_a_live_incident_never_touches_it():
    node = node_with()
    node.give(start(node.true_ms, "a1", repeats=100))
    node.run(1)
    node.give(drill(node.true_ms, "a1", risk=5))
    node.run(1)
    assert [record.purpose for record, _ in node.card.records.values()] == ["live"]


def test_a_new_alarm_reaches_nobody_without_a_card_that_keeps_it():
    node = node_with(item("tin", "12:00"))
    node.run_to(NOON + 10_000)
    node.give(start(node.true_ms, "a0", repeats=100))
    node.run(5)
    node.card_fails = lambda save: isinstance(save, Save)
    ref = node.give(start(node.true_ms, "a0", repeats=1, text=(Text(lang="vi", text="Tin mới."),)))
    node.run(2)
    assert node.sounds() == "a0"
    assert len(node.spoken) == 2, "what sounded goes on: the update that could not be kept did not touch it"
    assert ref not in node.acknowledged
    refused = node.controller.results[-1]
    assert (refused.result, refused.reason.split(":")[0]) == ("refused", "storage")
    node.card_fails = lambda _save: False
    node.disconnect()
    node.connect()
    node.run(5)
    assert ref in node.acknowledged
    assert "Tin mới." in [part.text for part in node.spoken[-1].parts if isinstance(part, Speech)]


def test_wider_than_a_commune_needs_two_persons():
    node = node_with()
    node.give(start(node.true_ms, area=PROVINCE, authority=PROVINCE, by=("p1",)))
    node.run(1)
    assert not node.spoken
    node.give(start(node.true_ms, area=PROVINCE, authority=PROVINCE, by=("p1", "p2")))
    node.run(1)
    assert node.sounds() == "a1"


def test_a_hamlet_may_warn_itself():
    node = node_with()
    node.give(start(node.true_ms, area=HAMLET, authority=HAMLET, by=("h1",)))
    node.run(1)
    assert node.sounds() == "a1"
