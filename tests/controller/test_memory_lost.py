"""A node without memory: new when it never did anything, in trouble when it did; a full card may take an order later."""

from controller.actions.views import PlayView
from protocol.envelope import claimed
from protocol.reports import OrderResult
from tests.controller.headquarters import Headquarters
from tests.controller.test_healing import eventually, whole


async def test_only_a_node_that_did_something_before_can_have_lost_its_memory(hq: Headquarters) -> None:
    node = hq.new_node()
    node.amnesia = True
    async with node.connected():
        await whole(node)
        await node.hello()
        await eventually(lambda: hq.node(node.node).online == "online", "it is there")
        assert not hq.node(node.node).amnesia
        node.amnesia = False
        await node.receipt(plays=(node.play(1),))
        await node.until(lambda peer: peer.marks[-1:] == [1])
        node.amnesia, node.last_record_id = True, 0
        await node.hello()
        await eventually(lambda: hq.node(node.node).amnesia, "its memory is gone")
        assert "amnesia" in [reason.code for reason in hq.node(node.node).reasons]


async def test_an_order_that_the_card_could_not_take_stays_on_offer_and_any_other_refusal_ends_it(hq: Headquarters) -> None:
    full, wrong = hq.new_node(), hq.new_node()
    full.answers = wrong.answers = False
    async with full.connected(), wrong.connected():
        await whole(full)
        await whole(wrong)
        start = hq.start_order()
        raw = hq.sealed(start)
        hq.post("/v1/orders", raw)
        digest, seq = claimed(raw) or ("", 0)
        for node, reason in ((full, "storage: database or disk is full"), (wrong, "quiet-hours: closed")):
            told = OrderResult(
                incident=start.incident, order_seq=seq, result="refused", reason=reason, digest=digest, at_ms=start.seq
            )
            await node.receipt(told)
        await eventually(lambda: hq.row(start.incident, wrong.node).state == "refused", "the refusal shows")
        await eventually(lambda: hq.row(start.incident, full.node).state == "refused", "the refusal shows")
        before, of_wrong = (hq.row(start.incident, peer.node).offers for peer in (full, wrong))
        again = lambda: hq.row(start.incident, full.node).offers > before  # noqa: E731  said once
        await eventually(again, "it is offered again", deadline_s=75)
        assert hq.row(start.incident, full.node).reason.startswith("storage")
        assert hq.row(start.incident, wrong.node).offers == of_wrong


async def test_a_late_copy_of_a_first_hello_does_not_count_a_nodes_plays_a_second_time(hq: Headquarters) -> None:
    node = hq.new_node()
    node.amnesia = True
    async with node.connected():
        await whole(node)
        late = node.sealed(node.hello_now())
        await node.hello()
        node.amnesia = False  # it is answered; a document that comes now makes this peer say hello once more
        await node.receipt(plays=(node.play(1),))
        await node.until(lambda peer: peer.marks[-1:] == [1])
        await node.say("hello", late)
        await node.receipt(plays=(node.play(2),))
        await node.until(lambda peer: peer.marks[-1:] == [2])
        assert not hq.node(node.node).amnesia


async def test_a_memory_is_lost_although_only_plays_beyond_a_gap_were_counted_of_it(hq: Headquarters) -> None:
    node = hq.new_node()
    async with node.connected():
        await whole(node)
        await node.receipt(plays=(node.play(2),))
        await node.until(lambda peer: peer.marks[-1:] == [0])
        node.amnesia, node.last_record_id = True, 0
        await node.hello()
        await eventually(lambda: hq.node(node.node).amnesia, "its memory is gone")
        plays = (node.play(1, item="after"), node.play(2, item="after"))
        await node.receipt(plays=plays)
        await node.until(lambda peer: peer.marks[-1:] == [2])
        assert len(hq.get("/v1/plays", list[PlayView], node=node.node)) == 3
