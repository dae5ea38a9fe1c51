"""The signing page's modules against Python's, in a real browser: the same bytes out, the same taken and refused."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.async_api import Page

from controller.signing_site import FOLDER, INDEX, create_site, files, headers, manifest
from protocol import envelope as sealing
from protocol.errors import ProtocolError
from protocol.messages import KIND_OF_TYPE
from protocol.orders import ExerciseStart, Start
from protocol.rules import ACCEPT_MAX_MS
from protocol.trust import public_key
from tests.vectors import cases, document, key
from tests.web.house import House, served
from tests.web.signing_integrity import with_integrity
from tests.web.test_in_chromium import CHROMIUM, chromium

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
KNOWN = ("order", "exercise")
OPEN_ALL = """async (texts) => {
  const { openBytes, close, digestOf } = await import("/dsse.js");
  const { orderOf } = await import("/orders.js");
  const found = [];
  for (const text of texts) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const one = {};
    try {
      const envelope = openBytes(bytes);
      one.digest = await digestOf(envelope.type, envelope.payload);
      one.again = close(envelope);
      one.order = orderOf(envelope.type, envelope.payload);
    } catch (error) {
      one.code = error.code ?? String(error);
    }
    found.push(one);
  }
  return found;
}"""
SEAL_ALL = """async (asked) => {
  const { close, signed } = await import("/dsse.js");
  const keys = {};
  for (const [keyid, pkcs8] of Object.entries(asked.keys)) {
    const bytes = Uint8Array.from(atob(pkcs8), (letter) => letter.charCodeAt(0));
    keys[keyid] = await crypto.subtle.importKey("pkcs8", bytes, "Ed25519", false, ["sign"]);
  }
  const found = [];
  for (const { type, payload, keyids } of asked.envelopes) {
    let envelope = { type, payload: Uint8Array.from(atob(payload), (letter) => letter.charCodeAt(0)), signatures: [] };
    for (const keyid of keyids) envelope = await signed(envelope, keys[keyid], keyid);
    found.push(close(envelope));
  }
  return found;
}"""


@pytest.fixture
async def page(house: House) -> AsyncIterator[Page]:
    async with chromium() as browser, served(house.parts):
        context = await browser.new_context(ignore_https_errors=True)
        page = await context.new_page()
        await page.goto(f"https://127.0.0.1:{house.parts.ports.signing}/")
        yield page
        await context.close()


def python_says(raw: bytes) -> dict[str, Any]:
    """What protocol/envelope.py makes of bytes alone, before any question of who may."""
    found: dict[str, Any] = {}
    try:
        outer, envelope = sealing._open_outer(raw, sealing.CAP_ANY_BYTES)
        kind = KIND_OF_TYPE[outer.payload_type]
        found["digest"] = sealing.digest_of(kind, envelope.payload)
        payload = sealing._decode(kind, envelope.payload)
        sealing._agree(payload, kind, None)
        found["order"] = payload if kind in KNOWN else None
    except ProtocolError as error:
        found["code"] = error.code
    return found


@needs_chromium
async def test_every_vector_is_taken_or_refused_as_python_does(page: Page):
    steps = {step.sealed: case.name for case in cases() for step in case.steps}
    raws = list(steps)
    told = await page.evaluate(OPEN_ALL, [base64.b64encode(raw).decode() for raw in raws])
    taken = refused = 0
    for raw, mine in zip(raws, told, strict=True):
        name, theirs = steps[raw], python_says(raw)
        if "digest" in theirs:
            assert mine.get("digest") == theirs["digest"], name
            assert mine["again"].encode() == raw, name
        if theirs.get("order") is not None and acceptable(theirs["order"]):
            taken += 1
            assert "order" in mine, (name, mine)
            assert all(mine["order"][field] == value for field, value in shown(theirs["order"]).items()), name
        else:
            refused += 1
            assert "order" not in mine, name
    assert taken > 60
    assert refused > 60


def acceptable(order: Any) -> bool:
    """Check 10 of the contract, as far as the bytes alone tell."""
    if not isinstance(order, Start | ExerciseStart):
        return True
    return order.seq <= order.accept_until_ms <= order.seq + ACCEPT_MAX_MS[order.kind]


def shown(order: Any) -> dict[str, Any]:
    """An order's fields as JSON has them, with defaults."""
    fields = {field: getattr(order, field) for field in order.__struct_fields__}
    fields["class"] = fields.pop("class_", "emergency")
    return {name: value for name, value in json.loads(msgspec.json.encode(fields)).items() if name != "class"} | {
        "op": {"Start": "START", "ExerciseStart": "START", "Lift": "LIFT"}.get(type(order).__name__, "STOP")
    }


@needs_chromium
async def test_what_the_browser_seals_is_byte_for_byte_what_python_seals(page: Page):
    signers = {}
    for name in document()["world"]["public_keys"]:
        private = key(name).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        signers[public_key(document()["world"]["public_keys"][name]).keyid] = base64.b64encode(private).decode()
    wanted, envelopes = [], []
    for case in cases():
        for step in case.steps:
            outer = json.loads(step.sealed) if case.steps[-1].expect == "fresh" else {}
            if outer and {each["keyid"] for each in outer["signatures"]} <= set(signers):
                keyids = [each["keyid"] for each in outer["signatures"]]
                envelopes.append({"type": outer["payloadType"], "payload": outer["payload"], "keyids": keyids})
                wanted.append(step.sealed.decode())
    assert len(wanted) > 50
    assert {len(each["keyids"]) for each in envelopes} >= {1, 2}
    assert await page.evaluate(SEAL_ALL, {"keys": signers, "envelopes": envelopes}) == wanted


@needs_chromium
async def test_key_ids_are_reckoned_as_pythons(page: Page):
    public = document()["world"]["public_keys"]
    told = await page.evaluate(
        """async (keys) => { const { keyidOf } = await import("/dsse.js"); return Promise.all(keys.map(keyidOf)); }""",
        list(public.values()),
    )
    assert told == [public_key(each).keyid for each in public.values()]


@needs_chromium
async def test_the_parser_is_strict(page: Page):
    wrong = [
        '{"a":1,"a":2}',
        '{"a":1.0}',
        '{"a":1e3}',
        '{"a":9007199254740992}',
        '{"a":01}',
        '{"a":"e\\u0301"}',
        '{"a":"\\ud800"}',
        '{"a":1}}',
        '{"a":1,}',
        "{'a':1}",
        '{"a":"\n"}',
        "[" * 40 + "]" * 40,
        "",
        '{"__proto__":1,"__proto__":2}',
    ]
    told = await page.evaluate(
        """async (texts) => { const { parse } = await import("/strict.js");
           return texts.map((text) => { try { parse(text); return text; } catch (error) { return error.code; } }); }""",
        [*wrong, '{"a":[1,"\\u00e9",null,true]}'],
    )
    assert told[:-1] == ["malformed"] * len(wrong)
    assert told[-1] != "malformed"


def test_the_manifest_names_every_file_and_the_page_names_the_hash_of_each_script():
    assert set(manifest()) == {path.name for path in FOLDER.iterdir()} == set(files())
    index = (FOLDER / INDEX).read_text(encoding="utf-8")
    assert with_integrity(index) == index, "run python -m tests.web.signing_integrity"
    named = {name for name in files() if name.endswith((".js", ".css"))}
    assert all(f'"{name}" integrity="sha256-' in index for name in named)


def test_the_page_lets_in_nothing_of_others_and_talks_to_the_controller_alone():
    policy = headers(["https://loa.example.vn:8443"])["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src https://loa.example.vn:8443;" in policy
    assert "unsafe" not in policy
    text = "".join(content.decode() for content in files().values())
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "innerHTML" not in text
    assert " style=" not in text
    assert create_site(["https://loa.example.vn:8443"]).routes
