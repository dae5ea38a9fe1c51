"""Copies and old cards are noticed; reboots, honest amnesia, late messages and a card that takes nothing are not."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from controller.actions.views import NodeView
from controller.core.identity import TURNS_WITHIN_MS, Known, Life, judge, taken_over
from protocol.reports import Hello
from tests.controller.headquarters import Headquarters, wait

A, B, C = (letter * 16 for letter in "abc")
KNOWN = Known(lives=(Life(5, A), Life(6, B)), boot_count=6, device_at_ms=1_000, last_record=100, orders_held=40, troubles=())


def hello(boot_count: int, boot: str | None, *, at_ms: int = 2_000, last: int = 100, orders: int = 40, **more) -> Hello:
    return Hello(
        authority="placement",
        area="4QX0Y7K2M8",
        area_no=7,
        seq=at_ms,
        purpose="routine",
        node="4QX0Y7K2M8",
        boot_count=boot_count,
        clock_state=more.pop("clock_state", "good"),
        at_ms=at_ms,
        nonce="0" * 16,
        version="t",
        reads=(),
        boot=boot,
        last_record_id=last,
        orders=orders,
        **more,
    )


@pytest.mark.parametrize(
    ("said", "doubt"),
    [
        (hello(7, C), None),
        (hello(9, C), None),
        (hello(7, C, last=130, orders=41), None),
        (hello(6, B, at_ms=3_000), None),
        (hello(1, C, last=0, orders=0, amnesia=True), None),
        (hello(6, C, troubles=("storage-failed",)), None),
        (hello(7, C, last=20, troubles=("memory-unreadable",)), None),
        (hello(6, C), "identity-doubled"),
        (hello(5, C), "identity-restored"),
        (hello(5, C, at_ms=0, clock_state="unknown"), "identity-restored"),
        (hello(7, C, last=99), "identity-restored"),
        (hello(7, C, orders=39), "identity-restored"),
    ],
)
def test_a_hello_is_compared_with_what_its_node_told(said: Hello, doubt: str | None) -> None:
    found = judge(KNOWN, said)
    assert (found.doubt, found.stale) == (doubt, False)


@pytest.mark.parametrize("said", [hello(5, A, at_ms=500), hello(4, C, at_ms=500), hello(5, None)])
def test_an_old_hello_that_comes_again_is_no_news_and_no_alarm(said: Hello) -> None:
    found = judge(KNOWN, said)
    assert (found.stale, found.doubt, found.lives) == (True, None, KNOWN.lives)


def test_a_twin_that_speaks_in_turn_is_heard_each_time() -> None:
    found = judge(KNOWN, hello(5, A))
    assert not found.stale
    assert found.lives == (Life(6, B), Life(5, A))


def test_a_node_that_forgets_by_rule_is_in_no_doubt() -> None:
    many = Known(lives=KNOWN.lives, boot_count=6, device_at_ms=1_000, last_record=100, orders_held=2_000, troubles=())
    assert judge(many, hello(7, C, orders=1_200)).doubt is None


def test_births_that_go_back_again_and_again_are_two_holders() -> None:
    turns, many = taken_over((), 0)
    assert not many
    turns, many = taken_over(turns, 1_000)
    assert not many
    assert taken_over(turns, 2_000)[1]
    assert not taken_over(turns, TURNS_WITHIN_MS + 1_001)[1]


# --- through the real serve and broker ---


def reason_codes(hq: Headquarters, node: str) -> set[str]:
    return {reason.code for reason in hq.node(node).reasons}


async def speak(hq: Headquarters, node, *, boot_count: int, boot: str | None = None, plays: int = 0, **more) -> None:
    """One start of a node: hello, and so many plays after those it says to have."""
    node.boot_count, node.boot = boot_count, boot or secrets.token_hex(8)
    for name, value in more.items():
        setattr(node, name, value)
    said = node.hellos
    node.marks.clear()
    async with node.connected():
        await node.until(lambda peer: peer.hellos > said and peer.marks)
        first = node.last_record_id
        if plays:
            await node.receipt(plays=tuple(node.play(first + 1 + number) for number in range(plays)))
            node.last_record_id = first + plays
            await node.until(lambda peer: peer.marks[-1] == peer.last_record_id)
        await asyncio.to_thread(wait, lambda: hq.node(node.node).boot_count == boot_count, "its start is known")


async def test_reboots_and_an_honest_loss_of_memory_alarm_nobody(hq: Headquarters) -> None:
    node = hq.new_node()
    await speak(hq, node, boot_count=1, plays=3)
    await speak(hq, node, boot_count=2, plays=2)
    await speak(hq, node, boot_count=1, amnesia=True, last_record_id=0, held={})
    assert not reason_codes(hq, node.node) & {"identity-doubled", "identity-restored"}
    assert "amnesia" in reason_codes(hq, node.node)


async def test_a_restored_card_shows_its_plays_still_count_and_somebody_settles_it(hq: Headquarters) -> None:
    node = hq.new_node()
    await speak(hq, node, boot_count=1, plays=2)
    await speak(hq, node, boot_count=2, plays=3)
    await speak(hq, node, boot_count=2, last_record_id=2, plays=4)
    await asyncio.to_thread(wait, lambda: "identity-doubled" in reason_codes(hq, node.node), "the old start shows")
    assert hq.node(node.node).doubt_ms is not None
    told = hq.get("/v1/plays", list[dict], node=node.node)
    assert len(told) == 9
    settled = hq.post(f"/v1/nodes/{node.node}/settled", {}, NodeView)
    assert settled.doubt_ms is None
    await speak(hq, node, boot_count=3)
    assert not reason_codes(hq, node.node) & {"identity-doubled", "identity-restored"}


async def test_a_clone_on_a_second_device_shows_by_its_hello_and_by_the_takeovers(hq: Headquarters) -> None:
    node = hq.new_node()
    await speak(hq, node, boot_count=4, boot=A)
    await speak(hq, node, boot_count=4, boot=B)
    await asyncio.to_thread(wait, lambda: "identity-doubled" in reason_codes(hq, node.node), "the second hello shows")
    hq.post(f"/v1/nodes/{node.node}/settled", {}, NodeView)
    node.marks.clear()
    async with node.connected():
        await node.until(lambda peer: peer.marks)
        for _ in range(3):
            await node.alive(birth=node.birth - 1, retain=False)
        await asyncio.to_thread(wait, lambda: "identity-doubled" in reason_codes(hq, node.node), "takeovers show")
    assert "takeovers" in next(reason.en for reason in hq.node(node.node).reasons if reason.code == "identity-doubled")


async def test_a_number_told_as_two_plays_is_an_older_card_and_both_count(hq: Headquarters) -> None:
    node = hq.new_node()
    await speak(hq, node, boot_count=1, plays=2)
    async with node.connected():
        await node.receipt(plays=(node.play(2, item="other"),))
        await asyncio.to_thread(wait, lambda: "identity-restored" in reason_codes(hq, node.node), "it shows")
    assert len(hq.get("/v1/plays", list[dict], node=node.node)) == 3
