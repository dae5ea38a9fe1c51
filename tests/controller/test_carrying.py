"""What goes to nodes by stick and HTTPS: every root in its order, whatever its date, and all that is in force for that place."""

from __future__ import annotations

import base64

import httpx
import msgspec
import pytest

from controller.actions.trust_views import SuspendView
from controller.actions.views import DocumentView
from controller.ca import client_context
from protocol.carrying import DOCUMENTS_SHA256, in_order, topic_of
from protocol.documents import Grant, Placement, Root
from protocol.envelope import digest_of, payload_of, seal
from tests.controller.headquarters import IA_DREH, OTHER, PHU_TUC, Headquarters
from tests.controller.test_suspends import suspend


@pytest.fixture
def walked(own_hq: Headquarters) -> Headquarters:
    """Roots 2 to 5, each second one dated before the one it follows."""
    root = own_hq.root
    digest = own_hq.root_digest
    for version in range(2, 6):
        body = msgspec.structs.replace(root.body, version=version)
        root = msgspec.structs.replace(root, body=body, seq=own_hq.seq() - (60_000 if version % 2 else 0), prev=digest)
        digest = digest_of("root", msgspec.json.encode(root))
        own_hq.post("/v1/documents", seal(root, own_hq.sealers("chair", "deputy")), DocumentView)
    return own_hq


def carried(hq: Headquarters, place: str) -> list:
    return [payload_of(text.encode()) for text in hq.get("/v1/documents/carried", list[str], place=place)]


def test_a_node_gets_all_roots_in_order_its_grants_its_place_and_nobody_elses(walked: Headquarters) -> None:
    node, sibling = walked.new_node(OTHER), walked.new_node(OTHER)
    found = carried(walked, node.node)
    assert [each.body.version for each in found if isinstance(each, Root)] == [1, 2, 3, 4, 5]
    assert [each.subject for each in found if isinstance(each, Placement)] == [node.node]
    assert PHU_TUC in [each.subject for each in found if isinstance(each, Grant)]
    assert IA_DREH not in [each.subject for each in found]
    everybody = carried(walked, PHU_TUC)
    assert {each.subject for each in everybody if isinstance(each, Placement)} == {node.node, sibling.node}
    assert walked.http.get("/v1/documents/carried", params={"place": "99"}).status_code == 404
    raws = walked.get("/v1/documents/carried", list[str], place=node.node)
    assert [payload_of(raw) for raw in in_order(text.encode() for text in reversed(raws))][:5] == found[:5]


def test_a_node_that_missed_four_roots_is_sent_them_by_version_though_their_dates_go_back(walked: Headquarters) -> None:
    import asyncio

    node = walked.new_node()

    async def scene() -> None:
        async with node.connected():
            await node.until(lambda peer: peer.trust.root.body.version == 5)

    asyncio.run(scene())
    assert node.trust.root.body.version == 5


def test_a_suspended_key_is_suspended_by_stick_too_behind_the_grant_that_names_it(own_hq: Headquarters) -> None:
    node = own_hq.new_node()
    own_hq.post("/v1/suspends", own_hq.sealed(suspend(own_hq), "chair"), SuspendView)
    raws = in_order(text.encode() for text in own_hq.get("/v1/documents/carried", list[str], place=node.node))
    kinds = [payload_of(raw).kind for raw in raws]
    assert kinds.count("suspend") == 1
    assert kinds.index("suspend") > max(at for at, kind in enumerate(kinds) if kind == "grant")
    assert topic_of(raws[kinds.index("suspend")], node.node) == f"loa/1/node/{node.node}/document"


def test_documents_over_https_are_for_a_node_with_its_own_word_once_each(hq: Headquarters) -> None:
    node, other = hq.new_node(OTHER), hq.new_node(OTHER)
    context = client_context(hq.state / "ca" / "ca.crt", None, None)
    with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{hq.status().https_port}") as browser:

        def ask(statement: bytes | None) -> httpx.Response:
            headers = {} if statement is None else {"authorization": "Loa " + base64.b64encode(statement).decode()}
            return browser.get("/documents", headers=headers)

        word = node.statement(DOCUMENTS_SHA256)
        first = ask(word)
        assert first.status_code == 200
        placed = [each for each in map(payload_of, (text.encode() for text in first.json())) if isinstance(each, Placement)]
        assert [each.subject for each in placed] == [node.node]
        assert ask(word).status_code == 401
        assert ask(None).status_code == 401
        assert ask(node.statement("ab" * 32)).status_code == 403
        node.report_key = other.report_key
        assert ask(node.statement(DOCUMENTS_SHA256)).json()["code"] == "bad-signature"
