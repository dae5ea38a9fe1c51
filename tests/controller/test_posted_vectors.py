"""Every golden vector that a node refuses is refused when it is posted to the controller, counted, and changes nothing."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest

from controller.__main__ import build
from controller.actions import documents, orders, refusals, suspends
from controller.config import load
from controller.core.peek import peek
from controller.core.world import AreaKnown, NodeKnown
from controller.errors import Refused
from controller.init import InitOptions, initialise
from controller.parts import SYSTEM, Parts
from controller.store import world as stored_world
from controller.store.database import Database
from controller.store.orders import keys_since
from controller.store.schema import areas
from protocol.errors import ProtocolError
from tests import vectors

NUMBERS = {
    "52": 52,
    "52.24076": 24076,
    "52.24100": 24100,
    "52.24076.001": 2407601,
    "52.24076.002": 2407602,
    "52.24100.001": 2410001,
}
LEVELS = ("province", "commune", "settlement")
ONLY_A_NODE_SEES = {
    "not-mine",
    "clock-unusable",
}
"""Reasons that depend on where the reader stands or on its clock: the controller stands everywhere and has a clock."""
KNOWN = {case.name: case for case in vectors.cases()}


def judged_by_controller() -> list[str]:
    """The refused cases that hold for a reader who stands where the area is, with a good clock and its whole memory."""
    names = []
    for case in KNOWN.values():
        refused = [step for step in case.steps if step.expect not in ("fresh", "duplicate")]
        plain = all(step.clock in ("good", "holdover", "attested") for step in case.steps) and case.amnesia_since_ms is None
        everywhere = all(step.expect not in ONLY_A_NODE_SEES for step in refused)
        if case.reader == "node" and refused and plain and everywhere and (_orders_only(case) or _one_document(case)):
            names.append(case.name)
    return names


def _orders_only(case: vectors.Case) -> bool:
    return all(_is_order(step.sealed) is not False for step in case.steps)


def _one_document(case: vectors.Case) -> bool:
    """Documents come without a topic and name what they replace, so only those that are wrong in themselves compare."""
    return len(case.steps) == 1 and _is_order(case.steps[0].sealed) is False and case.steps[0].expect != "wrong-type"


def _is_order(raw: bytes) -> bool | None:
    """Whether it claims to be an order; None when it claims nothing readable."""
    kind = _kind(raw)
    return None if kind is None else kind in ("order", "exercise")


def _kind(raw: bytes) -> str | None:
    try:
        return peek(raw).kind
    except ProtocolError:
        return None


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with the areas of the vectors' world, and its reader enrolled."""
    folder = tmp_path_factory.mktemp("vectors") / "state"
    initialise(folder, InitOptions(province=52, broker_port=1, https_port=1))
    database = Database(load(folder).database_url)

    def fill(tx) -> None:
        for area, no in sorted(NUMBERS.items()):
            parts = area.split(".")
            tx.execute(areas.update().where(areas.c.id == area).values(no=no))
            parent = ".".join(parts[:-1]) or None
            known = AreaKnown(id=area, no=no, level=LEVELS[len(parts) - 1], name=area, parent=parent)
            stored_world.add_area(tx, known)
        reader = vectors.document()["world"]["readers"]["node"]["node"]
        stored_world.enrol(
            tx, NodeKnown(id=reader, area_no=0, name="Cụm loa", settlement="52.24076.001", report_key="ab" * 32), 0
        )

    database.run_now(fill)
    database.close()
    return folder


class Moment:
    now_ms = 0


@pytest.fixture
async def parts(template: Path, tmp_path: Path):
    shutil.copytree(template, tmp_path / "state", ignore=shutil.ignore_patterns("*.sock"))
    Moment.now_ms = vectors.document()["world"]["at_ms"]
    made = build(load(tmp_path / "state"), lambda: Moment.now_ms)
    await _enter(made)
    yield made
    made.database.close()


async def _enter(parts: Parts) -> None:
    """Pin the world's root and hand in the grants of the reader `node`."""
    world = vectors.document()["world"]
    await documents.pin_root(parts, SYSTEM, base64.b64decode(world["root"]["sealed"]), world["root"]["digest"])
    for sent in world["readers"]["node"]["documents"]:
        if "/trust/" in (sent["topic"] or ""):
            await documents.submit(parts, SYSTEM, base64.b64decode(sent["sealed"]))


async def _post(parts: Parts, step: vectors.Step) -> str:
    """Hand one step in by the door that it belongs to, on its topic."""
    Moment.now_ms = step.now_ms
    try:
        if _kind(step.sealed) == "suspend":
            await suspends.submit(parts, SYSTEM, step.sealed, topic=step.topic)
        elif _is_order(step.sealed) is False:
            await documents.submit(parts, SYSTEM, step.sealed)
        else:
            await orders.submit(parts, SYSTEM, step.sealed, orders.Origin(requested_at_ms=step.now_ms, topic=step.topic))
    except Refused as refused:
        return refused.code
    return "taken"


async def _known(parts: Parts) -> list[str]:
    return await parts.database.run(lambda tx: keys_since(tx, 0, 1000))


@pytest.mark.parametrize("name", judged_by_controller())
async def test_what_a_node_refuses_the_controller_refuses(parts: Parts, name: str) -> None:
    case = KNOWN[name]
    for step in case.steps:
        before = (await _known(parts), sum(each.count for each in await refusals.list_all(parts, SYSTEM)))
        said = await _post(parts, step)
        if step.expect in ("fresh", "duplicate"):
            continue
        assert said == step.expect
        assert await _known(parts) == before[0]
        assert sum(each.count for each in await refusals.list_all(parts, SYSTEM)) == before[1] + 1


def test_there_are_many_such_vectors() -> None:
    assert len(judged_by_controller()) > 40
