"""The signer writes what it signs, within its own limits, and repeats no number after a restart with a clock set back."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import msgspec
import pytest

from controller.errors import ConfigWrong
from controller.signer import ENDS_A_MINUTE, Signer, new_service_key
from controller.signing import ANSWER, Answer, Asked
from protocol.orders import ExerciseStart, ExerciseStop, Lift, Start, Stop, Text
from tests.controller.headquarters import PHU_TUC, SETTLEMENT, Headquarters

NOON_MS = 1_800_000_000_000


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock_ms = NOON_MS
        self.public = new_service_key(folder, PHU_TUC)
        self.signer = self.open()

    def open(self) -> Signer:
        return Signer(self.folder, lambda: self.clock_ms, starts_a_minute=3)

    def ask(self, **more) -> Answer:
        fields = {
            "act": "START",
            "kind": "order",
            "authority": PHU_TUC,
            "area": SETTLEMENT,
            "area_no": 24_076_001,
            "incident": "00" * 8,
            "now_ms": self.clock_ms,
            "issuing_body": "UBND xã",
            "text": (Text(lang="vi", text="Thử."),),
        }
        return self.signer.answer(msgspec.json.encode(Asked(**(fields | more))))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "signer")


def opened(answer: Answer):
    from controller.core.peek import stored

    assert answer.refused == ""
    return stored(answer.sealed.encode())


def test_each_act_becomes_the_order_of_its_kind(desk: Desk) -> None:
    assert isinstance(opened(desk.ask()), Start)
    assert isinstance(opened(desk.ask(kind="exercise")), ExerciseStart)
    assert isinstance(opened(desk.ask(act="STOP")), Stop)
    assert isinstance(opened(desk.ask(act="LIFT")), Lift)
    assert isinstance(opened(desk.ask(act="STOP", kind="exercise")), ExerciseStop)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"authority": "52.24100"}, "no-key"),
        ({"area": "52.24100.001"}, "not-empowered"),
        ({"area": "52"}, "not-empowered"),
        ({"area": PHU_TUC + "9"}, "not-empowered"),
        ({"sound_max_s": 601}, "too-long"),
        ({"accept_s": 21_600, "kind": "exercise"}, "expired"),
        ({"accept_until_ms": NOON_MS - 1}, "expired"),
        ({"incident": None}, "malformed"),
        ({"text": ()}, "malformed"),
        ({"act": "LIFT", "kind": "exercise"}, "malformed"),
        ({"now_ms": NOON_MS + 61_000}, "clock"),
        ({"now_ms": NOON_MS - 61_000}, "clock"),
        ({"highest_seq": NOON_MS + 600_000}, "clock"),
        ({"text": tuple(Text(lang="vi", text="đ" * 2000) for _ in range(8))}, "malformed"),
    ],
)
def test_what_lies_outside_its_limits_is_refused(desk: Desk, more: dict, code: str) -> None:
    answer = desk.ask(**more)
    assert answer.sealed == ""
    assert answer.code == code


def test_it_signs_no_bytes_of_others(desk: Desk) -> None:
    for line in (b'{"op":"seal","payload":"AAAA"}', b'{"op":"sign"}', b"nonsense", b"[]"):
        assert desk.signer.answer(line).code == "malformed"


def test_many_starts_are_held_back_and_stops_are_not(desk: Desk) -> None:
    assert [desk.ask().code for _ in range(5)] == ["", "", "", "too-many", "too-many"]
    assert {desk.ask(act="STOP").code for _ in range(ENDS_A_MINUTE)} == {""}
    desk.clock_ms += 60_001
    assert desk.ask().code == ""


def test_its_numbers_rise_over_a_restart_with_the_clock_set_back(desk: Desk) -> None:
    first = opened(desk.ask())
    desk.clock_ms -= 30_000
    desk.signer = desk.open()
    assert opened(desk.ask()).seq == first.seq + 1
    assert opened(desk.ask(highest_seq=first.seq + 500)).seq == first.seq + 501


def test_a_key_is_for_one_commune_and_is_never_overwritten(tmp_path: Path) -> None:
    for area in ("52", SETTLEMENT, "../x", ""):
        with pytest.raises(ConfigWrong, match="no commune"):
            new_service_key(tmp_path / "signer", area)
    new_service_key(tmp_path / "signer", PHU_TUC)
    with pytest.raises(ConfigWrong, match="exists"):
        new_service_key(tmp_path / "signer", PHU_TUC)
    assert stat.S_IMODE((tmp_path / "signer" / f"{PHU_TUC}.pem").stat().st_mode) == 0o600


def test_the_running_signer_answers_on_its_socket_of_mode_0600(hq: Headquarters) -> None:
    path = hq.state / "run" / "signer.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
        line.sendall(b'{"op":"keys"}\n')
        answer = ANSWER.decode(line.makefile("rb").readline())
    assert {key.area: key.public for key in answer.keys} == hq.service


def test_without_the_signer_nothing_goes_out_and_the_sentence_says_so(own_hq: Headquarters) -> None:
    hq = own_hq
    body = {"areas": [SETTLEMENT], "texts": [{"lang": "vi", "text": "Thử."}], "issuing_body": "UBND"}
    draft = hq.post("/v1/emergencies/draft", body)
    hq.kill("signer")
    answer = hq.refused("/v1/emergencies/confirm", {"draft": draft["id"]})
    assert answer["status"] == 503
    assert "loa signer" in answer["error"]
    assert hq.http.get("/v1/incidents").json() == []
    hq.start_signer()
    hq.post("/v1/emergencies/confirm", {"draft": draft["id"]})
    assert len(hq.http.get("/v1/incidents").json()) == 1
