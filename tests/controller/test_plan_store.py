"""The records that a report reads of one node: those of its days, and by number what stands before, between and after."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from controller.store import nodes, plan
from controller.store.database import Database, migrate, url_of
from controller.store.schema import areas
from controller.store.schema import nodes as node_table
from protocol.reports import PlayRecord

NODE, OTHER = "4QX0Y7K2M8", "0000000001"
HOUR_MS = 3_600_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = url_of(tmp_path / "loa.db")
    migrate(url)
    made = Database(url)

    def fill(tx) -> None:
        tx.execute(insert(areas).values(id="52.24076.001", no=1, level="settlement", name="Buôn Chư Jŭ"))
        for number, node in enumerate((NODE, OTHER)):
            tx.execute(
                insert(node_table).values(
                    id=node, area_no=number, name="Cụm loa ƀuôn", settlement="52.24076.001", report_key="00", enrolled_ms=0
                )
            )

    made.run_now(fill)
    yield made
    made.close()


def record(number: int, planned_ms: int) -> PlayRecord:
    return PlayRecord(
        record_id=number,
        boot_count=1,
        digest="ab" * 32,
        item="sang",
        area="52",
        authority="52",
        purpose="routine",
        planned_ms=planned_ms,
        ending="played",
        clock_state="good",
    )


def numbers(database: Database, from_ms: int, to_ms: int, node: str = NODE) -> list[tuple[int, int]]:
    found = database.run_now(lambda tx: plan.records(tx, node, from_ms, to_ms))
    return [(play.epoch, play.record_id) for play in found]


def test_one_before_and_one_after_come_along_and_what_was_resumed_between_stays(database: Database):
    planned = {1: 1, 2: 20, 3: 24, 4: 19, 5: 26, 6: 50, 7: 51}
    records = tuple(record(number, hour * HOUR_MS) for number, hour in planned.items())
    database.run_now(lambda tx: nodes.take_plays(tx, NODE, records, 1))
    database.run_now(lambda tx: nodes.take_plays(tx, OTHER, records[:1], 1))
    assert numbers(database, 24 * HOUR_MS, 48 * HOUR_MS) == [(0, 2), (0, 3), (0, 4), (0, 5), (0, 6)]
    assert numbers(database, 0, 2 * HOUR_MS) == [(0, 1), (0, 2)]
    assert numbers(database, 0, 2 * HOUR_MS, OTHER) == [(0, 1)]


def test_days_without_a_record_bring_the_one_before_and_the_one_after(database: Database):
    records = (record(1, HOUR_MS), record(2, 100 * HOUR_MS), record(3, 101 * HOUR_MS))
    database.run_now(lambda tx: nodes.take_plays(tx, NODE, records, 1))
    assert {(0, 1), (0, 2)} <= set(numbers(database, 50 * HOUR_MS, 60 * HOUR_MS))
    assert (0, 3) in numbers(database, 200 * HOUR_MS, 201 * HOUR_MS)
    assert numbers(database, 0, HOUR_MS) == [(0, 1)]
    assert numbers(database, 0, HOUR_MS, OTHER) == []


def test_numbers_of_a_later_memory_come_after_all_of_an_earlier_one(database: Database):
    database.run_now(lambda tx: nodes.take_plays(tx, NODE, (record(8, HOUR_MS), record(9, 2 * HOUR_MS)), 1))
    database.run_now(lambda tx: tx.execute(node_table.update().values(record_epoch=1)))
    database.run_now(lambda tx: nodes.take_plays(tx, NODE, (record(1, 30 * HOUR_MS),), 1))
    assert numbers(database, 2 * HOUR_MS, 3 * HOUR_MS) == [(0, 8), (0, 9), (1, 1)]
