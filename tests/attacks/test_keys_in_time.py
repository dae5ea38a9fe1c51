"""Keys that change their state between signing, delivery and sound; grants that end; documents out of their time; old cards."""

from __future__ import annotations

import shutil

from msgspec.structs import asdict

from protocol import topics
from protocol.documents import ChainLink
from provisioning import ceremony
from tests.attacks.threatened import COMMUNE
from tests.commune import NUMBERS, now_ms, order_topic
from tests.flows.conftest import FIRST, SECOND
from tests.flows.hearing import LONG, SHORT, heard, in_s, is_silent, item, media, sounds, tone
from tests.waiting import until


async def reason(office, node: str, incident: str) -> str:
    return (await office.came_to(node, incident, "refused")).reason.partition(":")[0]


async def test_a_key_retired_or_stolen_between_signing_and_delivery_starts_nothing(commune, office, agents, node):
    agents(node)
    await office.up(node)
    orders = {state: commune.start(FIRST, **SHORT) for state in ("retired", "stolen")}
    raws = {state: commune.seal_as(order) for state, order in orders.items()}
    for state, order in orders.items():
        hellos = len(office.hellos)
        await commune.announce(office, COMMUNE, commune.regrant(COMMUNE, states={"officer": state}))
        await office.up(node, after=hellos)
        await office.publish(order_topic(order), raws[state])
        assert await reason(office, node, order.incident) == "bad-signature"
    assert heard(commune.wav(node)) == []


async def test_while_it_sounds_what_a_retired_key_began_goes_on_and_what_a_stolen_one_began_ends(commune, office, agents, node):
    agents(node)
    await office.up(node)
    start = commune.start(FIRST, **(LONG | {"repeats": 10}))
    await office.say(start)
    await office.came_to(node, start.incident, "sounding")
    hellos = len(office.hellos)
    await commune.announce(office, COMMUNE, commune.regrant(COMMUNE, states={"officer": "retired"}))
    await office.up(node, after=hellos)
    assert {known.incident: known.result for known in office.hello(node).incidents} == {start.incident: "sounding"}
    await commune.announce(office, COMMUNE, commune.regrant(COMMUNE, states={"officer": "stolen"}))
    await office.came_to(node, start.incident, "stopped")
    await is_silent(commune.wav(node), 1)


async def test_after_the_grants_end_an_emergency_asks_for_one_person_more_and_nothing_else_goes_on(
    commune, office, agents, node, tmp_path
):
    agents(node)
    await office.up(node)
    hellos, ends_ms = len(office.hellos), now_ms() + 5_000
    await commune.announce(office, COMMUNE, commune.regrant(COMMUNE, until_ms=ends_ms))
    await office.up(node, after=hellos)
    await until(lambda: now_ms() > ends_ms, what="the grant's end")
    one, twice, both = (commune.start(FIRST, **SHORT) for _ in range(3))
    await office.say(one)
    assert await reason(office, node, one.incident) == "too-few-persons"
    await office.say(twice, "officer", "officer")
    assert await reason(office, node, twice.incident) == "too-few-persons"
    await office.say(commune.programme(item("tin", media(tone(tmp_path)), in_s(60))))
    await office.say(commune.start(FIRST, exercise=True, **SHORT))
    await until(lambda: sum(told.reason.startswith("expired") for told in office.results(node)) >= 2, what="both are refused")
    assert heard(commune.wav(node)) == []
    await office.say(both, "officer", "second")
    await office.came_to(node, both.incident, "sounding")


async def test_an_order_for_one_node_says_nothing_to_its_sibling_on_whatever_topic(commune, office, agents, node):
    sibling = commune.add_node(SECOND)
    for each in (node, sibling):
        agents(each)
        await office.up(each)
    start = commune.start(FIRST, **SHORT)
    raw = await office.say(start)
    await office.came_to(node, start.incident, "sounding")
    where = (
        topics.topic("offer", node=sibling, incident=start.incident),
        topics.topic("order", area=SECOND, incident=start.incident),
        topics.topic("order", area=COMMUNE, incident=start.incident),
        topics.topic("document", node=sibling),
    )
    for topic in where:
        await office.publish(topic, raw)
    await until(lambda: len([t for t in office.results(sibling) if t.result == "refused"]) >= len(where), what="all refused")
    assert {told.reason.partition(":")[0] for told in office.results(sibling)} == {"not-mine", "wrong-type"}
    assert heard(commune.wav(sibling)) == []


async def test_an_old_card_plays_nothing_again_that_is_over_its_time(commune, office, agents, node):
    agent = agents(node)
    await office.up(node)
    assert agent.stop() == 0
    state = commune.nodes[node].parent / "state"
    shutil.copytree(state, state.with_name("old-card"))
    agent = agents(node)
    await office.up(node, after=len(office.hellos))
    start = commune.start(FIRST, **SHORT)
    start = type(start)(**_with(start, accept_until_ms=start.seq + 5_000))
    raw = await office.say(start)
    await office.came_to(node, start.incident, "ended")
    await until(lambda: now_ms() > start.accept_until_ms, what="the time of acceptance is over")
    assert agent.stop() == 0
    shutil.rmtree(state)
    state.with_name("old-card").rename(state)
    hellos = len(office.hellos)
    agents(node)
    await office.up(node, after=hellos)
    before = len(heard(commune.wav(node)))
    await office.publish(order_topic(start), raw)
    assert await reason(office, node, start.incident) == "expired"
    await is_silent(commune.wav(node), 1)
    assert len(heard(commune.wav(node))) == before


async def test_older_documents_roll_nothing_back_though_they_are_retained_and_offered(commune, office, agents, node):
    agents(node)
    await office.up(node)
    old = [commune.station(), commune.programme()]
    old_raws = [commune.seal_as(document) for document in old]
    old_grant = commune.grants[COMMUNE]
    new = [commune.station(), commune.programme()]
    for document in new:
        await office.say(document)
    await commune.announce(office, COMMUNE, commune.regrant(COMMUNE, states={"second": "retired"}))

    def held() -> dict[str, int]:
        return {one.kind: one.seq for one in office.hello(node).holds if one.kind in ("station", "programme")}

    want = {document.kind: document.seq for document in new}
    await until(lambda: held() == want, what="the new ones")
    for document, raw in zip(old, old_raws, strict=True):
        await office.publish(topics.topic(document.kind, area=COMMUNE, authority=COMMUNE), raw, retain=True)
        await office.publish(topics.topic("document", node=node), raw)
    await commune.announce(office, COMMUNE, old_grant)
    await until(lambda: sum(t.reason.startswith("superseded") for t in office.results(node)) >= 3, what="each is refused")
    assert held() == want
    start = commune.start(FIRST, **SHORT)
    await office.say(start, "second")
    assert await reason(office, node, start.incident) == "bad-signature"


async def test_a_stolen_keys_document_from_the_future_poisons_neither_the_floor_nor_its_place(commune, office, agents, node):
    commune.clock_file(node).unlink()
    agent = agents(node)
    hello = await office.up(node)
    assert hello.clock_state == "unknown"
    common = commune.station()
    far_ms = common.seq + 20 * 365 * 86_400_000
    poison = type(common)(**_with(common, seq=far_ms, valid_from_ms=far_ms - 1, valid_until_ms=far_ms + 1_000_000))
    await office.say(poison)
    await until(lambda: any(h.seq == far_ms for h in office.hello(node).holds) or _refused(office, node), 20, "an answer")
    assert agent.stop() == 0
    commune.clock_file(node).touch()
    hellos = len(office.hellos)
    agents(node)
    await until(
        lambda: len(office.hellos) > hellos and office.hello(node).clock_state == "good", 40, "a good clock: no floor holds it"
    )
    await commune.announce(office, COMMUNE, commune.regrant(COMMUNE, states={"officer": "stolen"}))
    honest = commune.station()
    await office.say(honest, "second")
    await until(
        lambda: any(h.seq == honest.seq and not h.pending for h in office.hello(node).holds), 30, "the honest one in its place"
    )
    start = commune.start(FIRST, **SHORT)
    await office.say(start, "second")
    await office.came_to(node, start.incident, "sounding")


def _refused(office, node) -> bool:
    return any(told.result == "refused" for told in office.results(node))


async def test_a_placement_by_a_hand_that_may_not_moves_no_node_and_an_old_one_moves_it_back_nowhere(
    commune, office, agents, node
):
    agents(node)
    await office.up(node)
    areas = ("52", "52.24100", "52.24100.001", node)
    links = tuple(
        ChainLink(area=area, area_no=NUMBERS.get(area, 1000), level=level)
        for area, level in zip(areas, ("province", "commune", "settlement", "node"), strict=True)
    )
    moved = ceremony.build_placement(chain=links, report_key="ab" * 32, now_ms=commune.seq())
    await office.publish(topics.topic("placement", node=node), commune.seal_as(moved, "officer", "second"), retain=True)
    await office.publish(topics.topic("placement", node=node), commune.seal_as(moved, "governor", "vice"), retain=True)
    old = (commune.nodes[node].parent / "placement.json").read_bytes()
    await office.publish(topics.topic("document", node=node), old)
    await until(lambda: _refused(office, node), what="the refusal")
    start = commune.start(FIRST, **SHORT)
    await office.say(start)
    await office.came_to(node, start.incident, "sounding")
    await sounds(commune.wav(node), 0)
    elsewhere = commune.start("52.24100.001", authority="52.24100", **SHORT)
    await office.publish(topics.topic("offer", node=node, incident=elsewhere.incident), commune.seal_as(elsewhere, "stranger"))
    assert await reason(office, node, elsewhere.incident) in ("not-mine", "bad-signature")


def _with(struct, **fields) -> dict:
    return asdict(struct) | fields
