"""The diagram in the pages is what the code does now."""

import pytest

from tests.core.transitions import DOCS, ENDS, NOTHING, PAGES, drawn, observed

SEEN = observed()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_page_shows_the_states_as_the_code_has_them(name: str):
    page = (DOCS / name).read_text(encoding="utf-8")
    assert page == drawn(page, SEEN, PAGES[name]), "the code moves otherwise now: run python -m tests.core.transitions"


def test_what_is_over_stays_over_and_every_end_is_reached():
    assert not [transition for transition in SEEN if transition[0] in ENDS]
    assert {after for _before, _event, after in SEEN if after in ENDS} == set(ENDS)


def test_nothing_sounds_before_its_record_is_on_disk():
    assert {before for before, _event, after in SEEN if after == "told"} == {"saving"}
    assert {before for before, _event, after in SEEN if after == "sounding"} == {"told"}
    assert NOTHING not in {before for before, _event, after in SEEN if after in ENDS}
