"""A node that lives thirty days without anyone: nothing is missed, nothing is lost, and what has ended ends."""

from collections import Counter

from edge_agent.commands import Publish
from protocol.reports import Receipt
from tests.core.harness import Node
from tests.core.people import HOUR_MS, ISSUED, MIDNIGHT, NOON, item, network, programme, settled, sound
from tests.protocol.vector_world import DAY_MS

DAYS = 30


class Sleeper(Node):
    """Wakes only when the core asked for it: every five seconds would be half a million idle turns in thirty days."""

    longest_sleep_s = 10**6


def in_two_languages(name, at, letters, jarai):
    return item(name, at, variants=(sound(letters), sound(jarai, lang="jra")))


def fetched_ahead(**more):
    """A node that had one evening and one night with a link, and then none."""
    items = (
        in_two_languages("sang", "05:30", "0a", "0b"),
        in_two_languages("chieu", "17:15", "0c", "0d"),
        in_two_languages("trua", "11:00", "0e", "0f"),
    )
    papers = settled(programme(*items, valid_until_ms=ISSUED + 34 * DAY_MS), network(month_bytes=200_000_000))
    node = Sleeper(NOON, *papers, **more)
    node.online()
    node.run_fetching(MIDNIGHT + 29 * HOUR_MS)
    node.disconnect()
    return node


def test_thirty_days_without_a_link_miss_nothing_and_every_record_arrives_once_afterwards():
    node = fetched_ahead()
    first_ms = node.true_ms
    for day in range(DAYS):
        if day % 7 == 3:
            node.power_cut(off_ms=60_000)
        node.run(86_400)
    assert not node.linked
    before, told = len(node.commands), node.controller
    node.connect()
    node.run(600)
    receipts = [one.message for one in node.commands[before:] if isinstance(one, Publish) and isinstance(one.message, Receipt)]
    sent = Counter(record.record_id for receipt in receipts for record in receipt.plays)
    plays = [record for record in told.records.values() if record.planned_ms >= first_ms]
    assert Counter((record.item, record.ending) for record in plays) == {
        ("sang", "played"): DAYS,
        ("trua", "played"): DAYS,
        ("chieu", "played"): DAYS,
    }
    assert len({(record.item, record.planned_ms) for record in plays}) == 3 * DAYS
    assert told.upto() == max(told.records)
    assert set(sent.values()) == {1}


def test_a_bulletin_has_both_languages_after_thirty_days():
    node = fetched_ahead()
    node.run(DAYS * 86_400)
    node.run_to(MIDNIGHT + (DAYS + 1) * DAY_MS + 5 * HOUR_MS + 30 * 60_000 + 5_000)
    assert node.sounds() == "sang"
    heard = node.spoken[-1].parts
    assert [part.path.rsplit("/", 1)[1][:2] for part in heard if hasattr(part, "path")] == ["0a", "0b"]


def test_what_has_ended_ends_and_the_node_stays_silent_and_sound():
    node = fetched_ahead()
    ends_ms = ISSUED + 34 * DAY_MS
    node.run_to(ends_ms + 5 * DAY_MS)
    planned = [record.planned_ms for record, _ in node.card.records.values()]
    assert max(planned) < ends_ms
    assert max(planned) > ends_ms - DAY_MS
    assert len(node.card.media) == 6, "nobody needs them any more, and nobody needs their room"


def test_no_turn_of_a_node_without_a_link_asks_anyone():
    node = fetched_ahead()
    before = len(node.commands)
    node.run(2 * 86_400)
    told = Counter(type(command).__name__ for command in node.commands[before:])
    assert set(told) == {"Save", "Speak"}
    assert told["Speak"] == 6
