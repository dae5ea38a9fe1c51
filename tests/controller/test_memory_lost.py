"""A node without memory: new when it never did anything, in trouble when it did."""

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
