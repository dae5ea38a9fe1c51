"""What the controller decides without touching anything: succession of orders, reasons of nodes, phases, turns, listeners."""

from __future__ import annotations

import asyncio

import pytest

from controller.core.fleet import NodeState, reasons_of
from controller.core.succession import OFFER_AFTER_S, advance, next_offer_ms, replaces
from controller.core.world import AreaKnown, NodeKnown, World
from controller.live import QUEUE, Live
from controller.store.database import Turnstile
from protocol.seen import OrderMark

AREAS = (
    AreaKnown(id="52", no=52, level="province", name="Gia Lai"),
    AreaKnown(id="52.1", no=1, level="commune", name="Phú Túc", parent="52"),
    AreaKnown(id="52.1.1", no=2, level="settlement", name="Buôn A", parent="52.1"),
    AreaKnown(id="52.1.2", no=3, level="settlement", name="Buôn B", parent="52.1"),
)
WORLD = World(AREAS, (), ())


def mark(op: str, area: str, seq: int, incident: str | None = "a1", kind: str = "order") -> OrderMark:
    return OrderMark(
        kind=kind,
        op=op,
        incident=incident,
        area=area,
        authority="52.1",
        seq=seq,
        digest=f"{op}{area}{seq}{incident}{kind}",
        keyids=("k",),
        persons=("p",),
    )


def ends(new: OrderMark, old: OrderMark) -> bool:
    return replaces(new, old, WORLD.chain_of(old.area))


def test_a_newer_order_of_the_incident_ends_the_offers_of_the_older() -> None:
    start = mark("START", "52.1.1", 10)
    assert ends(mark("START", "52.1.1", 11), start)
    assert ends(mark("STOP", "52.1.1", 11), start)
    assert ends(mark("STOP", "52.1.1", 10), start)
    assert ends(mark("STOP", "52.1", 11, None), start)
    assert ends(mark("LIFT", "52.1.1", 12), mark("STOP", "52.1.1", 11))


def test_what_is_older_elsewhere_narrower_or_an_exercise_ends_nothing_live() -> None:
    start = mark("START", "52.1", 10)
    assert not ends(mark("STOP", "52.1", 9), start)
    assert not ends(mark("STOP", "52.1.1", 11), start)
    assert not ends(mark("STOP", "52.1.2", 11), mark("START", "52.1.1", 10))
    assert not ends(mark("STOP", "52.1", 11, "b2"), start)
    assert not ends(mark("STOP", "52.1", 11, None, "exercise"), start)
    assert not ends(mark("START", "52.1", 11, "b2"), start)
    assert not ends(mark("LIFT", "52.1", 11), start)
    assert not ends(start, start)


@pytest.mark.parametrize(
    ("old", "result", "new"),
    [
        ("none", "received", "received"),
        ("sent", "refused", "refused"),
        ("refused", "received", "received"),
        ("received", "sounding", "sounding"),
        ("sounding", "stopped", "stopped"),
        ("sounding", "received", None),
        ("received", "refused", None),
        ("ended", "sounding", None),
        ("stopped", "ended", None),
        ("received", "received", None),
    ],
)
def test_a_row_only_goes_forward(old: str, result: str, new: str | None) -> None:
    change = advance(old, result)
    assert (change.state if change else None) == new


def test_offers_come_at_growing_intervals_and_then_every_minute() -> None:
    now_ms, times = 0, []
    for _offer in range(8):
        now_ms = next_offer_ms(0, now_ms)
        times.append(now_ms // 1000)
    assert times == [*OFFER_AFTER_S, 90, 150, 210]


def test_however_often_a_node_says_hello_its_next_offer_comes_as_soon() -> None:
    assert [next_offer_ms(0, at_ms) for at_ms in (500, 900, 1_100, 2_900)] == [2_000, 2_000, 4_000, 4_000]
    assert next_offer_ms(0, 50_000) == 110_000


def test_reasons_are_worst_first_and_name_what_is_wrong() -> None:
    node = NodeKnown(id="N", area_no=1, name="Cụm", settlement="52.1.1", report_key="", chain=WORLD.chain_of("52.1.1"))
    state = NodeState(
        id="N",
        online="lost",
        birth=1,
        last_heard_ms=1,
        boot_count=1,
        nonce=None,
        previous_nonce=None,
        clock_state="unknown",
        clock_error_ms=None,
        device_at_ms=100_000,
        heard_at_ms=1_000,
        holds=(),
        troubles=("hot",),
        version="1",
        missing_media=2,
        amnesia=True,
        record_epoch=0,
        records_first=1,
        records_upto=0,
    )
    found = reasons_of(node, state, ("station 52.1",), 3)
    assert found[0].code == "lost"
    assert {reason.code for reason in found} == {
        "lost",
        "clock-unknown",
        "clock-offset",
        "amnesia",
        "lagging",
        "missing-media",
        "trouble",
        "refused",
    }
    assert [reason.severity for reason in found] == sorted((reason.severity for reason in found), reverse=True)
    assert all(reason.vi and reason.en and "{" not in reason.vi + reason.en for reason in found)


async def test_the_urgent_pass_those_who_wait_and_a_cancelled_one_blocks_nobody() -> None:
    turn, order = Turnstile(), []

    async def go(name: str, *, urgent: bool = False) -> None:
        async with turn.pass_(urgent=urgent):
            order.append(name)
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(go("first"))]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(go(name)) for name in ("second", "third")]
    given_up = asyncio.create_task(go("given up"))
    tasks.append(asyncio.create_task(go("urgent", urgent=True)))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(*tasks)
    assert order == ["first", "urgent", "second", "third"]
    async with asyncio.timeout(5), turn.pass_(urgent=False):
        pass


async def test_a_slow_listener_is_told_to_look_at_everything_and_delays_nobody() -> None:
    live = Live()
    async with live.listen() as slow, live.listen() as quick:
        for number in range(QUEUE + 1):
            live.changed("node", str(number))
            assert (await quick.get()).id == str(number)
        assert slow.qsize() == 1
        assert (await slow.get()).kind == "reload"
    live.changed("node", "nobody listens")
    assert quick.empty()
