"""Nodes that wait for approval stand on the board, with their digits; a claim used twice is said in red."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from controller.actions import enrolments
from controller.errors import Refused
from controller.parts import SYSTEM
from protocol import keys
from protocol.enrolment import EnrolRequest, make_request, proof_of, verifier_of
from tests.web.browser import officer
from tests.web.house import House

NODE = "3QBMGF42PY"


def asks() -> EnrolRequest:
    request, report = make_request(NODE, ec.generate_private_key(ec.SECP256R1())), keys.public_hex(keys.new_key())
    return EnrolRequest(
        node=NODE, request_pem=request, report_key=report, proof=proof_of(verifier_of(NODE, b"c" * 16), request, report)
    )


async def test_who_waits_is_on_the_board_with_six_digits_and_an_alarm(house: House):
    parts, person = house.parts, await officer(house, "tuan")
    assert NODE not in await person.open("/")
    await enrolments.expect(parts, SYSTEM, NODE, verifier_of(NODE, b"c" * 16), replace=False)
    assert NODE not in await person.open("/")
    given = await enrolments.claim(parts, asks(), "10.0.0.1")
    page = await person.open("/")
    assert NODE in page
    assert given.digits in page
    assert "Cụm loa chờ duyệt" in page
    assert "10.9.9.9" not in page
    with pytest.raises(Refused, match="used by another key"):
        await enrolments.claim(parts, asks(), "10.9.9.9")
    assert "10.9.9.9" in await person.open("/")


async def test_who_may_enrol_nobody_sees_no_labels(house: House):
    person = await officer(house)
    await enrolments.expect(house.parts, SYSTEM, NODE, verifier_of(NODE, b"c" * 16), replace=False)
    await enrolments.claim(house.parts, asks(), "10.0.0.1")
    assert NODE not in await person.open("/")
