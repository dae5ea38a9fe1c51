"""The languages that a bulletin may name."""

import msgspec
import pytest

from protocol.languages import LANGUAGES, is_known, name_of
from protocol.units import Lang


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_known_language_may_stand_in_a_bulletin_and_has_two_names(lang: str):
    assert msgspec.convert(lang, Lang) == lang
    assert name_of(lang) != name_of(lang, english=True)


def test_a_region_does_not_matter_and_a_slip_is_not_known():
    assert is_known("vi-VN")
    assert not is_known("jr")
    assert name_of("xx-YY") == "xx-YY"
