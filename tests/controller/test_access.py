"""Duties: one table, asked by every act; areas hold what lies below them and nothing beside them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import actions
from controller.__main__ import build
from controller.actions import areas, emergencies, nodes, people
from controller.actions.preview_views import PreviewRequest
from controller.actions.rollout_views import RolloutWish
from controller.actions.views import Request, SaidView
from controller.config import load
from controller.core import access
from controller.core.access import ACTS, ROLES, Duty
from controller.errors import Refused
from controller.init import InitOptions, initialise
from controller.parts import SYSTEM, Actor, Parts
from protocol import keys
from protocol.bulletins import Programme, ProgrammeBody
from protocol.envelope import seal
from provisioning import enrol

CHAIN = ("52", "52.24076", "52.24076.001")
OPEN_TO_ALL = {
    "people.login": "it makes sure who somebody is",
    "people.change_password": "one's own, by the old one",
    "sessions.session": "it makes sure who somebody is",
    "sessions.renewed": "called by the second factor alone",
    "sessions.logout": "one's own",
    "sessions.own": "one's own",
    "sessions.end": "one's own",
    "second_factor.finish": "one's own",
    "second_factor.give": "one's own",
    "second_factor.check": "one's own",
    "media.may_fetch": "nodes, by their sealed statement",
    "carrying.for_node": "nodes, by their sealed statement",
    "enrolments.claim": "nodes, by their label's claim",
    "enrolments.renew": "nodes, by the key that they enrolled with",
    "wanted.prepare": "the signing page, by its one-time token",
    "wanted.media_size": "the signing page, by its one-time token",
    "emergencies.clips_of": "of a request that was asked for",
    "orders.refuse": "the controller counts its own refusal",
    "reseal.reseal_without_clock": "the controller itself",
    "audit.sign_head": "the controller itself",
    "rollouts.tick": "the controller itself",
    "plan_reports.report": "of a question that was asked for",
    "plan_reports.results": "of a question that was asked for",
    "plan_reports.lines": "of a question that was asked for",
}


@given(st.sampled_from(ROLES), st.sampled_from(sorted(ACTS)), st.sampled_from(["52", "52.24076", "52.24076.001", "52.24100"]))
def test_a_duty_allows_what_the_table_says_in_its_area_and_below(role, act, area) -> None:
    expected = role in ACTS[act] and area in CHAIN
    assert access.may((Duty(role, area),), act, CHAIN) is expected
    assert access.may((Duty(role, "52.24076.001"),), act, CHAIN[:2]) is False, "what lies below gives nothing above"


def test_every_act_is_allowed_to_somebody_and_nobody_but_the_emergency_duty_starts_one() -> None:
    assert all(ACTS.values())
    assert ACTS["emergency.start"] == {"emergency"}
    assert "emergency" in access.GUARDED
    assert "operator" in access.GUARDED


def _functions() -> dict[str, object]:
    found = {}
    for each in pkgutil.iter_modules(actions.__path__):
        module = importlib.import_module(f"controller.actions.{each.name}")
        for name, function in vars(module).items():
            own = inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
            if own and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
                found[f"{each.name}.{name}"] = function
    return found


def test_every_act_takes_who_acts_or_is_named_with_the_reason_why_not() -> None:
    without = {name for name, function in _functions().items() if "who" not in inspect.signature(function).parameters}
    assert without == set(OPEN_TO_ALL)


@pytest.fixture
async def parts(tmp_path: Path):
    csv = "id,name,level,parent\n52.24076.001,Buôn Một,settlement,52.24076\n52.24100.001,Buôn Hai,settlement,52.24100\n"
    initialise(tmp_path / "state", InitOptions(province=52, broker_port=1, https_port=1, settlements_csv=csv))
    made = build(load(tmp_path / "state"))
    yield made
    made.database.close()


def _programme() -> Programme:
    common = {"authority": "52.24076", "area": "52.24076", "area_no": 24_076_000, "seq": 1, "purpose": "routine"}
    return Programme(**common, subject="52.24076", valid_from_ms=1, valid_until_ms=2, body=ProgrammeBody(items=()))


def _arguments(name: str, parameter: str) -> object:
    known = {
        "area": "52.24076",
        "where": "52.24076",
        "areas": ("52.24076",),
        "node": "4QX0Y7K2M8",
        "settlement": "52.24076.001",
        "text": "phu",
        "raw": seal(_programme(), [keys.sealer(keys.new_key())]),
        "raws": [seal(_programme(), [keys.sealer(keys.new_key())])],
        "digest": "0" * 64,
        "subject": "52.24076",
        "authority": "52.24076",
        "kind": "programme",
        "path": Path("/nowhere.wav"),
        "duties": (Duty("author", "52.24076"),),
        "request": Request(areas=("52.24076",), texts=(SaidView(lang="vi", text="x"),), issuing_body="x"),
        "incident": None,
        "act": "STOP",
        "token": "none",
        "wish": RolloutWish(release="2026.11.7"),
        "number": 1,
    }
    if name == "preview.draft" and parameter == "request":
        return PreviewRequest(programme=_programme())
    return known.get(parameter, "chi")


ACTING = sorted(name for name, function in _functions().items() if "who" in inspect.signature(function).parameters)


async def _call(parts: Parts, name: str, who: Actor) -> object:
    function = _functions()[name]
    needed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.name not in ("parts", "who")
    ]
    return await function(parts, who, **{parameter: _arguments(name, parameter) for parameter in needed})


HIDDEN = {
    "emergencies.progress",
    "emergencies.read_draft",
    "documents.one",
    "documents.raw",
    "orders.view",
    "orders.raw_of",
    "nodes.one",
    "rollouts.one",
    "rollouts.pause",
    "rollouts.resume",
    "rollouts.abort",
}
"""They say that there is no such thing, whether there is or not."""


async def _answer(parts: Parts, name: str, who: Actor) -> object:
    try:
        return await _call(parts, name, who)
    except Refused as refused:
        return refused.status if name in HIDDEN else refused.code


async def test_who_has_no_duty_gets_nothing_and_changes_nothing(parts: Parts) -> None:
    await people.create(parts, SYSTEM, "chi", "Chi", (Duty("author", "52.24076"),))
    nobody = Actor(name="khach", via="page")

    def count(tx) -> int:
        return tx.exec_driver_sql("SELECT count(*) FROM audit").scalar()

    before = await parts.database.read(count)
    for name in ACTING:
        assert await _answer(parts, name, nobody) in ("right", 404, []), name
    assert await parts.database.read(count) == before


async def test_lists_hold_only_what_is_ones_own(parts: Parts) -> None:
    made = {}
    for settlement in ("52.24076.001", "52.24100.001"):
        node = made[settlement] = enrol.draw_node_id(secrets.token_bytes)
        await nodes.enrol(parts, SYSTEM, node, f"Loa {node}", settlement, keys.public_hex(keys.new_key()))
    mine = Actor(name="lan", via="page", duties=(Duty("emergency", "52.24076"),))
    assert {one.commune for one in await nodes.overview(parts, mine)} == {"52.24076"}
    assert {one.id for one in await areas.tree(parts, mine)} == {"52.24076", "52.24076.001"}
    assert await areas.search(parts, mine, "buon hai") == []
    words = {"texts": (SaidView(lang="vi", text="Nước lên."),), "issuing_body": "UBND"}
    await emergencies.draft(parts, mine, Request(areas=("52.24076.001",), **words))
    for area in ("52.24100", "52.24100.001", made["52.24100.001"]):
        with pytest.raises(Refused) as caught:
            await emergencies.draft(parts, mine, Request(areas=("52.24076.001", area), **words))
        assert caught.value.code == "right"
