"""One node on one day, for tests of plan against plays: its programmes, places and records, and the report of them."""

from datetime import datetime
from itertools import count
from zoneinfo import ZoneInfo

from controller.core.plan_history import NO_END, Version, expected_of, spans, stays
from controller.core.plan_judging import Play, Presence
from controller.core.plan_report import Asked, Library, NodeFacts, judge_node, merged
from protocol.bulletins import Item, Media, Programme, ProgrammeBody, Spoken, Variant
from protocol.seen import Slot

HERE = ZoneInfo("Asia/Ho_Chi_Minh")
PHU_TUC, IA_DREH, MLAH, JU = "52.24076", "52.24100", "52.24076.002", "52.24100.001"
SLOT = Slot("programme", PHU_TUC, PHU_TUC)
NAMES = {MLAH: "Buôn Mlah", JU: "Buôn Chư Jŭ", PHU_TUC: "xã Phú Túc"}
TITLE = "Bản tin sáng · Tơlơi pơthâo hŏng ƀuôn sang · Tơ̆drong tơroi kơ pơlei"


def at(text: str) -> int:
    """Local time as 23/11/2025 05:30:00."""
    return round(datetime.strptime(text, "%d/%m/%Y %H:%M:%S").replace(tzinfo=HERE).timestamp() * 1000)


DAY_BEGINS, DAY_ENDS = at("23/11/2025 00:00:00"), at("24/11/2025 00:00:00")
SIX, NOON, SIX_PM = at("23/11/2025 06:00:00"), at("23/11/2025 12:00:00"), at("23/11/2025 18:00:00")
LATER = at("24/11/2025 08:00:00")


def item(name: str = "sang", hours: str = "6", **more) -> Item:
    spoken = Variant(lang="vi", spoken=Spoken(text="Chào bà con buôn Mlah."))
    jrai = Variant(lang="jra", media=Media(sha256="ab" * 32, bytes=1_000, samples=480_000))
    fields = {"id": name, "title": TITLE, "rrule": f"FREQ=DAILY;BYHOUR={hours};BYMINUTE=0"} | more
    return Item(variants=(spoken, jrai), **fields)


def programme(*items: Item, area: str = PHU_TUC, since: str = "01/11/2025 00:00:00") -> Programme:
    return Programme(
        authority=area,
        area=area,
        area_no=1,
        seq=1,
        purpose="routine",
        subject=area,
        valid_from_ms=at(since),
        valid_until_ms=at(since) + 45 * 86_400_000,
        body=ProgrammeBody(items=items),
    )


def version(digest: str, stored: str, *, slot: Slot = SLOT, valid_from: str = "01/11/2025 00:00:00", in_force: bool = True):
    return Version(
        digest=digest,
        slot=slot,
        stored_ms=at(stored),
        valid_from_ms=at(valid_from),
        valid_until_ms=at(valid_from) + 45 * 86_400_000,
        in_force=in_force,
    )


class Case:
    """One node, its plan and its records; what the report says of them."""

    def __init__(self, *items: Item, from_ms: int = DAY_BEGINS, to_ms: int = DAY_ENDS, now_ms: int = LATER) -> None:
        self.asked = Asked(area=PHU_TUC, from_ms=from_ms, to_ms=min(to_ms, now_ms), now_ms=now_ms)
        self.programmes = {"a" * 64: programme(*items)}
        self.versions = [version("a" * 64, "01/11/2025 07:00:00")]
        self.places = [(at("01/11/2025 07:00:00"), ("52", PHU_TUC, MLAH, "N1"))]
        self.presence = Presence(heard_until_ms=now_ms, back_since_ms=0, epoch=0, upto=NO_END)
        self.numbers = count(1)
        self.plays: list[Play] = []

    def play(self, planned_ms: int, ending: str = "played", *, begin_s: float | None = 0, long_s: float = 60, **more) -> None:
        started_ms = None if begin_s is None else planned_ms + round(begin_s * 1000)
        fields = {
            "epoch": 0,
            "record_id": next(self.numbers),
            "boot_count": 1,
            "digest": "a" * 64,
            "item": "sang",
            "area": PHU_TUC,
            "authority": PHU_TUC,
            "purpose": "routine",
            "planned_ms": planned_ms,
            "started_ms": started_ms,
            "ended_ms": planned_ms if started_ms is None else started_ms + round(long_s * 1000),
            "ending": ending,
            "reason": "",
            "rms_cdb": -2_000,
            "silent_ms": 200,
            "clock_state": "good",
        }
        self.plays.append(Play(**(fields | more)))

    def result(self):
        slots: dict[Slot, list[Version]] = {}
        for each in self.versions:
            slots.setdefault(each.slot, []).append(each)
        counted = {slot: spans(found) for slot, found in slots.items()}
        library = Library(
            plans={
                slot: expected_of(slot, found, self.programmes, self.asked.from_ms, self.asked.to_ms)
                for slot, found in counted.items()
            },
            stored_ms={each.digest: each.stored_ms for each in self.versions},
            until_ms={span.digest: span.until_ms for found in counted.values() for span in found},
            titles={(digest, one.id): one.title for digest, each in self.programmes.items() for one in each.body.items},
        )
        facts = NodeFacts(id="N1", name="Cụm loa nhà rông", stays=stays(self.places), presence=self.presence)
        return judge_node(facts, self.plays, library, self.asked, NAMES)

    def report(self, limit: int = 100):
        return merged([self.result()], self.asked, NAMES, limit)

    def line(self):
        (line,) = self.result().lines
        return line
