"""Codes against the vectors of RFC 6238 (appendix B) and RFC 4226 (appendix D), which are not ours."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core import totp

SECRET = b"12345678901234567890"
NOW = st.integers(1_700_000_000_000, 4_000_000_000_000)


@pytest.mark.parametrize(
    ("at_s", "code"),
    [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ],
)
def test_the_codes_are_those_of_rfc_6238(at_s: int, code: str) -> None:
    assert totp.code_at(SECRET, totp.step_of(at_s * 1000), digits=8) == code


def test_the_codes_are_those_of_rfc_4226() -> None:
    told = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
    assert [totp.code_at(SECRET, step) for step in range(10)] == told


@given(st.binary(min_size=20, max_size=20), NOW, st.integers(-3, 3))
def test_a_code_counts_one_step_around_and_only_after_the_last_one_used(secret: bytes, now_ms: int, drift: int) -> None:
    step = totp.step_of(now_ms) + drift
    code = totp.code_at(secret, step)
    others = {totp.code_at(secret, near) for near in range(totp.step_of(now_ms) - 1, totp.step_of(now_ms) + 2) if near != step}
    if code not in others:
        assert totp.matching(secret, code, now_ms, 0) == (step if abs(drift) <= 1 else None)
        assert totp.matching(secret, code, now_ms, step) is None
        assert totp.matching(secret, f" {code[:3]} {code[3:]}", now_ms, 0) == (step if abs(drift) <= 1 else None)


@given(st.text(max_size=12), NOW)
def test_whatever_is_typed_is_no_error(typed: str, now_ms: int) -> None:
    found = totp.matching(SECRET, typed, now_ms, 0)
    assert found is None or totp.code_at(SECRET, found) == "".join(typed.split())


def test_picture_and_text_hold_the_same_secret() -> None:
    asked = parse_qs(urlsplit(totp.address(SECRET, "lan", "Loa x.vn")).query)
    assert base64.b32decode(asked["secret"][0]) == SECRET
    assert base64.b32decode(totp.written(SECRET).replace(" ", "")) == SECRET
    assert (asked["digits"], asked["period"], asked["issuer"]) == (["6"], ["30"], ["Loa x.vn"])
