"""/media/<sha256> over real TLS: only for a node with its own sealed statement, once each, and only what its documents name."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path

import httpx
import pytest

from controller.actions.views import DocumentView, MediaView
from controller.ca import client_context
from protocol.bulletins import Item, Media, Variant
from tests.controller.headquarters import IA_DREH, OTHER, PHU_TUC, Headquarters, sha256_of


@pytest.fixture(scope="module")
def sound(hq: Headquarters) -> MediaView:
    import subprocess

    wav = hq.folder / "ban tin.wav"
    subprocess.run(["espeak-ng", "-v", "vi", "-w", str(wav), "Xin chào bà con, đây là bản tin buổi sáng."], check=True)
    reply = hq.http.post("/v1/media", json={"path": str(wav), "title": "Bản tin"}, timeout=120)
    last = reply.text.strip().splitlines()[-1]
    import msgspec

    return msgspec.json.decode(last, type=dict[str, MediaView])["media"]


class Browser:
    def __init__(self, hq: Headquarters) -> None:
        self.context = client_context(hq.state / "ca" / "ca.crt", None, None)
        self.client = httpx.Client(verify=self.context, base_url=f"https://127.0.0.1:{hq.status().https_port}")

    def get(self, sha256: str, statement: bytes | None, **headers: str) -> httpx.Response:
        if statement is not None:
            headers["authorization"] = "Loa " + base64.b64encode(statement).decode()
        return self.client.get(f"/media/{sha256}", headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.fixture
def browser(hq: Headquarters):
    made = Browser(hq)
    yield made
    made.client.close()


@pytest.fixture(scope="module")
def named(hq: Headquarters, sound: MediaView) -> MediaView:
    """A programme of the whole commune names the sound."""
    media = Media(sha256=sound.sha256, bytes=sound.bytes, samples=sound.samples, loudness_clufs=sound.loudness_clufs)
    item = Item(id="sang", title="Bản tin", rrule="FREQ=DAILY;BYHOUR=5;BYMINUTE=0", variants=(Variant(lang="vi", media=media),))
    hq.post("/v1/documents", hq.sealed(hq.programme(item, area=PHU_TUC)), DocumentView)
    return sound


def test_a_node_gets_the_whole_and_ranges_of_what_its_programme_names(
    hq: Headquarters, browser: Browser, named: MediaView
) -> None:
    node = hq.new_node(OTHER)
    whole = browser.get(named.sha256, node.statement(named.sha256))
    assert whole.status_code == 200
    assert sha256_of(whole.content) == named.sha256
    assert whole.headers["etag"] == f'"{named.sha256}"'
    part = browser.get(named.sha256, node.statement(named.sha256), range="bytes=100-199")
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{named.bytes}"
    rest = browser.get(named.sha256, node.statement(named.sha256), range=f"bytes={named.bytes - 10}-")
    assert rest.content == whole.content[-10:]
    over = browser.get(named.sha256, node.statement(named.sha256), range=f"bytes={named.bytes}-")
    assert over.status_code == 416
    same = browser.get(named.sha256, node.statement(named.sha256), if_none_match=whole.headers["etag"])
    assert same.status_code == 304


def test_a_statement_counts_once_for_one_file_and_by_its_own_key(hq: Headquarters, browser: Browser, named: MediaView) -> None:
    node, other = hq.new_node(OTHER), hq.new_node(OTHER)
    statement = node.statement(named.sha256)
    assert browser.get(named.sha256, statement).status_code == 200
    assert browser.get(named.sha256, statement).status_code == 401
    assert browser.get("ab" * 32, node.statement(named.sha256)).status_code == 403
    honest, node.report_key = node.report_key, other.report_key
    assert browser.get(named.sha256, node.statement(named.sha256)).json()["code"] == "bad-signature"
    node.report_key = honest
    assert browser.get(named.sha256, None).status_code == 401
    assert browser.get(named.sha256, b"nonsense").status_code == 401
    old = node.statement(named.sha256, at_ms=1_700_000_000_000)
    assert browser.get(named.sha256, old).json()["code"] == "expired"
    receipt = node.sealed(__import__("protocol.reports", fromlist=["Receipt"]).Receipt(**node.common()))
    assert browser.get(named.sha256, receipt).status_code == 403


def test_a_node_elsewhere_may_not_have_it(hq: Headquarters, browser: Browser, named: MediaView) -> None:
    node = hq.new_node(f"{IA_DREH}.001")
    assert browser.get(named.sha256, node.statement(named.sha256)).json()["code"] == "not-named"


def test_a_clip_of_an_order_may_be_fetched(hq: Headquarters, browser: Browser, sound: MediaView) -> None:
    from protocol.orders import Clip

    node = hq.new_node(f"{IA_DREH}.002")
    clip = Clip(lang="jra", sha256=sound.sha256, bytes=sound.bytes, duration_ms=sound.duration_ms, purpose="live")
    hq.post("/v1/orders", hq.sealed(hq.start_order(f"{IA_DREH}.002", clips=(clip,))))
    assert browser.get(sound.sha256, node.statement(sound.sha256)).status_code == 200


def test_the_api_is_not_on_https(hq: Headquarters, browser: Browser) -> None:
    assert browser.client.get("/v1/status").status_code == 404
    assert browser.client.post("/v1/orders", content=b"x").status_code in (404, 405)


def test_older_tls_is_refused(hq: Headquarters) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(hq.state / "ca" / "ca.crt")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"https://127.0.0.1:{hq.status().https_port}/", verify=context)


def test_a_file_that_is_no_sound_is_refused_in_a_sentence(hq: Headquarters, tmp_path: Path) -> None:
    bad = tmp_path / "thu.txt"
    bad.write_text("không phải âm thanh")
    last = hq.http.post("/v1/media", json={"path": str(bad), "title": "x"}, timeout=60).text.strip().splitlines()[-1]
    assert "thu.txt" in last
    assert '"error"' in last
