"""Every golden vector says what the contract says, and the file is what its maker makes."""

from collections import Counter

import pytest

from protocol import errors
from protocol.messages import KIND_OF_TYPE, TYPES
from tests.protocol import make_vectors
from tests.vectors import PATH, Case, cases, document, key, meet, play, reader

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_step_comes_to_what_the_contract_says(case: Case):
    assert [said for _step, said, _reader in play(case)] == [step.expect for step in case.steps]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_refusal_or_a_duplicate_changes_nothing(case: Case):
    before = None
    for _step, said, judge in play(case):
        if before is not None and said != "fresh":
            assert judge == before
        before = judge


def test_regenerating_gives_the_same_bytes():
    assert make_vectors.build() == PATH.read_text(encoding="utf-8")


def test_names_are_unique():
    assert max(Counter(case.name for case in CASES).values()) == 1


def test_every_kind_has_a_good_vector_and_every_error_a_forged_one():
    codes = {step.expect for case in CASES for step in case.steps}
    every = {
        error.code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.ProtocolError) and error is not errors.ProtocolError
    }
    assert codes == every - {"not-read"} | {"fresh", "duplicate"}
    kinds = set()
    for case in CASES:
        judge = reader(case.reader)
        kinds |= {opened.kind for step in case.steps[:1] if (opened := meet(judge, step)[1])}
    assert kinds == set(TYPES) == set(KIND_OF_TYPE.values())


def test_no_private_key_is_in_the_file():
    text = PATH.read_text(encoding="utf-8")
    assert all(key(name).private_bytes_raw().hex() not in text for name in document()["world"]["public_keys"])


@pytest.mark.parametrize("name", ["node", "neighbour", "elsewhere", "unplaced", "controller"])
def test_every_reader_takes_in_its_own_world(name: str):
    judge = reader(name)
    assert len(judge.seen.documents) == 1 + len(document()["world"]["readers"][name]["documents"])
