"""Words: both languages say everything, and pages use what there is."""

import re
from pathlib import Path

from controller.web import hazards, shown, written
from controller.web.texts import TEXTS
from protocol import errors

WEB = Path(__file__).parents[2] / "controller" / "web"
SOURCES = [*WEB.glob("*.py"), *WEB.glob("templates/*.html")]
HOLES = re.compile(r"\{(\w+)\}")
# Keys that are put together from a value: "severity.3", "state.sounding".
FAMILIES = ("severity.", "node.clock.", "state.", "presence.", "phase.", "risk.", "level.", "lang.", "ending.", "purpose.",
            "class.", "reason.", "refused.", "outcome.", "weekday.", "fate.", "extra.", "doubt.")  # fmt: skip


def test_every_key_has_words_in_both_languages():
    for key, words in TEXTS.items():
        assert len(words) == 2, key
        assert all(text.strip() for text in words), key


def test_both_languages_have_the_same_gaps():
    for key, (vi, en) in TEXTS.items():
        assert set(HOLES.findall(vi)) == set(HOLES.findall(en)), key


def test_every_key_that_a_page_uses_exists():
    used = set()
    for source in SOURCES:
        text = source.read_text()
        used |= set(re.findall(r'(?<![\w.])(?:t|say)\(\s*"([a-z_]+\.[\w.-]+|[a-z_]+)"\s*[,)]', text))
    assert len(used) > 100
    assert used <= set(TEXTS), used - set(TEXTS)


def test_no_key_is_left_that_nobody_uses():
    everything = "\n".join(source.read_text() for source in SOURCES if not source.name.startswith("texts"))
    idle = [key for key in TEXTS if f'"{key}"' not in everything and not key.startswith(FAMILIES)]
    assert idle == []


def test_whatever_an_order_can_be_refused_for_is_said_in_vietnamese():
    codes = {error.code for error in vars(errors).values() if isinstance(error, type) and issubclass(error, errors.ProtocolError)}
    codes.discard(errors.ProtocolError.code)  # of no concrete refusal
    asked = "".join((WEB.parent / "actions" / f"{name}.py").read_text() for name in ("emergencies", "orders", "asking"))
    codes |= set(re.findall(r'code="([a-z-]+)"', asked)) - {"unknown-order"}  # of digests, that only `loa` types
    assert len(codes) > 15
    assert {f"refused.{code}" for code in codes} <= set(TEXTS), {code for code in codes if f"refused.{code}" not in TEXTS}


def test_each_hazard_has_words_for_each_risk_and_names_the_place():
    for hazard in hazards.HAZARDS:
        for risk in hazards.RISKS:
            text = hazards.wording(hazard.id, risk, "buôn Mlah")
            assert text is not None
            assert "buôn Mlah" in text
            assert (f"cấp {risk}" in text) == (risk > 0)
            assert len(text) < 500
    assert hazards.wording("earthquake", 1, "x") is None


def test_a_typed_name_matches_without_accents_capitals_or_brackets():
    assert shown.plain("Buôn Chư Jŭ") == shown.plain("buon  chu ju")
    assert shown.plain("Huyện Krông Pa (cũ)") == shown.plain("huyen krong pa cu")
    assert shown.plain("ƀuôn Đắk") == "buon dak"
    assert shown.plain("Buôn Mlah") != shown.plain("Buôn Mlai")


def test_text_is_made_nfc_and_loses_control_characters():
    assert written.tidy("Bu\u006f\u0302n\x00 \x07Mlah\r\nđi") == "Buôn Mlah\nđi"
    assert written.tidy("\ud800x") == "x"


def test_times_are_vietnamese_and_24_hours():
    assert shown.stamp(1_763_910_195_000) == "22:03:15 23/11/2025"
    assert shown.day(1_763_917_199_000) == "23/11/2025"
    assert shown.day_bounds("23/11/2025", 0)[1:] == (1_763_830_800_000, 1_763_917_200_000)
