"""What a node says of the way that it was given: kept, shown, and a trouble in words when it had to go back."""

from protocol.reports import NetworkState
from tests.controller.headquarters import Headquarters
from tests.controller.test_healing import eventually, whole

DIGEST = "ab" * 32


async def test_what_a_node_says_of_its_way_is_kept_and_shown_until_it_says_otherwise(hq: Headquarters) -> None:
    node = hq.new_node()
    async with node.connected():
        await whole(node)
        assert hq.node(node.node).network is None
        for state in ("trial", "returned", "confirmed"):
            node.network = NetworkState(digest=DIGEST, state=state)
            node.troubles = ("network-returned",) if state == "returned" else ()
            await node.hello()
            await eventually(lambda: hq.node(node.node).network == node.network, "it is shown")
            words = [reason.vi for reason in hq.node(node.node).reasons if reason.code == "trouble"]
            assert any("quay về đường cũ" in one for one in words) == (state == "returned")
        node.network = None
        await node.hello()
        await eventually(lambda: hq.node(node.node).network is None, "nothing is said of it any more")
