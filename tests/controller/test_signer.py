"""The signer writes what it signs, within its own limits, and repeats no number after a restart with a clock set back."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import msgspec
import pytest

from controller.errors import ConfigWrong
from controller.signer import Signer, new_service_key, take_grant
from controller.signing import ANSWER, Answer, Asked
from protocol import keys
from protocol.documents import Key, Person, Power
from protocol.envelope import seal
from protocol.orders import Clip, ExerciseStart, Start
from provisioning import ceremony
from tests.controller.headquarters import PHU_TUC, RELAY, SETTLEMENT, Headquarters
from tests.controller.test_emergencies import prepared

NOON_MS = 1_800_000_000_000
LISTED = "6b" * 32


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock_ms = NOON_MS
        self.public = new_service_key(folder, PHU_TUC)
        self.grant()
        self.signer = self.open()

    def grant(self, per_day: int = 50, **more) -> None:
        """Lay the grant beside the key, as `loa service-grant` does."""
        relay = {"persons": ("relay",), "sound_max_s": 600, "contents": (LISTED,), "per_day": per_day}
        powers = (Power(power="emergency", classes=("emergency",), **relay), Power(power="exercise", **relay))
        made = ceremony.build_grant(
            area=PHU_TUC,
            area_no=24_076_000,
            persons=(Person(id="relay", name=RELAY, service=True),),
            keys=(Key(public=more.get("public", self.public), person="relay"),),
            powers=powers,
            until_ms=NOON_MS * 2,
            now_ms=NOON_MS,
        )
        take_grant(self.folder, seal(made, [keys.sealer(keys.new_key())]))

    def open(self) -> Signer:
        return Signer(self.folder, lambda: self.clock_ms, starts_a_minute=3)

    def ask(self, **more) -> Answer:
        fields = {
            "kind": "order",
            "authority": PHU_TUC,
            "area": SETTLEMENT,
            "area_no": 24_076_001,
            "incident": "00" * 8,
            "now_ms": self.clock_ms,
            "issuing_body": RELAY,
        }
        purpose = "exercise" if more.get("kind") == "exercise" else "live"
        clip = Clip(lang="vi", sha256=more.pop("sha256", LISTED), bytes=9_000, duration_ms=3_000, purpose=purpose)
        fields["clips"] = (clip,)
        return self.signer.answer(msgspec.json.encode(Asked(**(fields | more))))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "signer")


def opened(answer: Answer):
    from controller.core.peek import stored

    assert answer.refused == ""
    return stored(answer.sealed.encode())


def test_each_kind_becomes_its_own_start(desk: Desk) -> None:
    assert isinstance(opened(desk.ask()), Start)
    assert isinstance(opened(desk.ask(kind="exercise")), ExerciseStart)


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
        ({"clips": ()}, "malformed"),
        ({"sha256": "6c" * 32}, "not-listed"),
        ({"issuing_body": "UBND tỉnh Gia Lai"}, "not-empowered"),
        ({"now_ms": NOON_MS + 61_000}, "clock"),
        ({"now_ms": NOON_MS - 61_000}, "clock"),
        ({"highest_seq": NOON_MS + 600_000}, "clock"),
    ],
)
def test_what_lies_outside_its_limits_is_refused(desk: Desk, more: dict, code: str) -> None:
    answer = desk.ask(**more)
    assert answer.sealed == ""
    assert answer.code == code


def test_it_signs_no_bytes_of_others(desk: Desk) -> None:
    stop = b'{"op":"seal","act":"STOP","kind":"order","authority":"52.24076","area":"52.24076","area_no":1,"now_ms":1}'
    words = desk_words(desk)
    for line in (stop, words, b'{"op":"seal","payload":"AAAA"}', b'{"op":"sign"}', b"nonsense", b"[]"):
        assert desk.signer.answer(line).code == "malformed"


def desk_words(desk: Desk) -> bytes:
    """A question with words in it: there is no such field."""
    fields = {"kind": "order", "authority": PHU_TUC, "area": SETTLEMENT, "area_no": 1, "incident": "00" * 8, "now_ms": 1}
    said = {"issuing_body": RELAY, "text": [{"lang": "vi", "text": "Thử."}], "op": "seal"}
    return msgspec.json.encode(fields | said)


def test_many_starts_are_held_back(desk: Desk) -> None:
    assert [desk.ask().code for _ in range(5)] == ["", "", "", "too-many", "too-many"]
    desk.clock_ms += 60_001
    assert desk.ask().code == ""


def test_the_day_is_counted_over_a_restart_and_a_node_without_a_clock_costs_nothing(desk: Desk) -> None:
    desk.grant(per_day=2)
    assert desk.ask(incident="00" * 8).code == ""
    assert desk.ask(incident="01" * 8).code == ""
    assert desk.ask(incident="01" * 8, answers=("0123456789abcdef",)).code == ""
    desk.signer = desk.open()
    assert desk.ask(incident="02" * 8).code == "day-used-up"
    desk.clock_ms += 86_400_000
    assert desk.ask(incident="02" * 8).code == ""


def test_without_a_grant_that_names_its_key_it_signs_nothing(desk: Desk) -> None:
    (desk.folder / f"{PHU_TUC}.grant.json").unlink()
    assert desk.ask().code == "no-grant"
    with pytest.raises(ConfigWrong, match="does not name"):
        desk.grant(public=keys.public_hex(keys.new_key()))


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


def test_without_the_signer_nothing_goes_out_and_the_sentence_says_so(own_hq: Headquarters, tmp_path: Path) -> None:
    hq = own_hq
    sha256 = prepared(hq, tmp_path, "Thử.")
    hq.relay(
        sha256, prev={one["subject"]: one["digest"] for one in hq.http.get("/v1/documents", params={"kind": "grant"}).json()}
    )
    body = {"areas": [SETTLEMENT], "texts": [], "clips": [sha256], "issuing_body": RELAY}
    hq.kill("signer")
    answer = hq.refused("/v1/emergencies/service", body)
    assert answer["status"] == 503
    assert "loa signer" in answer["error"]
    assert hq.http.get("/v1/incidents").json() == []
    hq.start_signer()
    hq.post("/v1/emergencies/service", body)
    assert len(hq.http.get("/v1/incidents").json()) == 1
