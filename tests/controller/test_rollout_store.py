"""A rollout in the database: what is read back decides as what was kept in memory; topics hold just what was offered."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert

from controller.core.rollout import Bounds, abort, resume
from controller.store import rollouts
from controller.store.database import Database, Transaction, migrate, url_of
from controller.store.schema import areas, documents, nodes
from tests.controller.rollout_fleet import RELEASE, Fleet, drawn_fleet

RAW = b"the release as it was sealed"


@pytest.fixture
def database(tmp_path: Path):
    url = url_of(tmp_path / "loa.db")
    migrate(url)
    made = Database(url)
    yield made
    made.close()


def known(tx: Transaction, fleet: Fleet) -> None:
    """The rows that a rollout names."""
    tx.execute(insert(areas).values(id="52", no=52, level="province", name="Gia Lai"))
    for number, node in enumerate(fleet.poles):
        values = {"id": node, "area_no": number, "name": node, "settlement": "52", "report_key": "", "enrolled_ms": 0}
        tx.execute(insert(nodes).values(values))
    texts = ("subject", "authority", "slot_authority", "keyids", "persons", "created_by")
    numbers = ("seq", "valid_from_ms", "valid_until_ms", "created_ms")
    values = dict.fromkeys(texts, "") | dict.fromkeys(numbers, 0)
    tx.execute(insert(documents).values(values | {"digest": RELEASE, "kind": "release", "raw": RAW, "in_force": True}))


def read(tx: Transaction, number: int) -> rollouts.RolloutStored:
    found = rollouts.one(tx, number)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(3))
def test_what_is_read_back_after_every_step_is_what_was_decided(database: Database, seed: int) -> None:
    fleet = drawn_fleet(seed, 14, bad=0.2, bounds=Bounds(failures_percent=50, deadline_s=3 * 86_400))
    database.run_now(lambda tx: known(tx, fleet))
    fleet.start()
    number = database.run_now(lambda tx: rollouts.add(tx, fleet.rollout, "52", "an"))
    assert database.run_now(rollouts.live_numbers) == [number]
    topics: set[str] = set()
    for _ in range(4 * 24 * 12):
        before = database.run_now(lambda tx: read(tx, number)).rollout
        assert before == fleet.rollout
        made = fleet.step(300_000)
        topics = (topics | set(made.offers)) - set(made.withdrawals)

        def save(tx: Transaction, before=before, made=made) -> None:
            rollouts.save(tx, number, before, made.rollout)
            rollouts.put_on_topic(tx, number, made.offers)
            rollouts.take_off_topic(tx, made.withdrawals)

        database.run_now(save)
        if made.rollout.phase == "paused":
            fleet.rollout = resume(made.rollout)
            database.run_now(lambda tx, made=made: rollouts.save(tx, number, made.rollout, fleet.rollout))
        assert database.run_now(rollouts.on_topics) == dict.fromkeys(topics, RAW)
        if made.rollout.ended_ms is not None:
            break
    assert fleet.rollout.phase == "ended"
    assert database.run_now(rollouts.live_numbers) == []
    assert topics == fleet.stands("good")


def test_a_node_is_busy_with_a_rollout_until_it_has_ended_with_it_or_was_let_go(database: Database) -> None:
    fleet = drawn_fleet(1, 3, bad=0.0, bounds=Bounds(), outages=False)
    database.run_now(lambda tx: known(tx, fleet))
    begun = fleet.start()
    number = database.run_now(lambda tx: rollouts.add(tx, begun, "52", "an"))
    names = set(fleet.poles)
    assert database.run_now(lambda tx: rollouts.busy_with(tx, names)) == dict.fromkeys(names, number)
    over = abort(begun, "an", 1).rollout
    database.run_now(lambda tx: rollouts.save(tx, number, begun, over))
    assert database.run_now(lambda tx: rollouts.busy_with(tx, names)) == {}


def test_a_later_rollout_takes_the_place_of_an_earlier_one_on_a_topic(database: Database) -> None:
    fleet = drawn_fleet(1, 2, bad=0.0, bounds=Bounds(), outages=False)
    database.run_now(lambda tx: known(tx, fleet))
    first, second = (database.run_now(lambda tx: rollouts.add(tx, fleet.start(), "52", "an")) for _ in range(2))
    node = next(iter(fleet.poles))
    for number in (first, second):
        database.run_now(lambda tx, number=number: rollouts.put_on_topic(tx, number, [node]))
    assert database.run_now(rollouts.on_topics) == {node: RAW}
    assert database.run_now(lambda tx: rollouts.offered_to(tx, node)) == [RAW]
    database.run_now(lambda tx: rollouts.take_off_topic(tx, [node]))
    assert database.run_now(lambda tx: (rollouts.on_topics(tx), rollouts.offered_to(tx, node))) == ({}, [])
