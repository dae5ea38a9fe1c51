"""What a technician is told at the pole: one verdict for each part of a node, from the node itself or through `loa-provision`."""

from typing import Final, Literal

from msgspec import Struct

Verdict = Literal["good", "bad", "unknown"]
Part = Literal["power", "sound", "link", "signal", "time", "storage", "enrolment", "firmware"]
PARTS: Final[dict[Part, str]] = {
    "power": "nguồn điện / power",
    "sound": "âm thanh / sound",
    "link": "đường tới máy chủ / link",
    "signal": "sóng di động / signal",
    "time": "đồng hồ / time",
    "storage": "thẻ nhớ / storage",
    "enrolment": "nhận máy / enrolment",
    "firmware": "phần mềm / firmware",
}
VERDICTS: Final[dict[Verdict, str]] = {"good": "TỐT / GOOD", "bad": "HỎNG / BAD", "unknown": "CHƯA RÕ / UNKNOWN"}
CONFIG_WRONG: Final = 78
"""The status with which a node answers that its configuration is wrong (EX_CONFIG of sysexits.h)."""


class Check(Struct, frozen=True, kw_only=True):
    """One part: the verdict, what was seen with its unit, and what to do. Both texts are Vietnamese first, then English."""

    name: Part
    verdict: Verdict
    seen: str
    todo: str = ""


class CheckSheet(Struct, frozen=True, kw_only=True):
    """Every check of one node."""

    node: str
    version: str
    checks: tuple[Check, ...]

    @property
    def is_red(self) -> bool:
        """Whether a part is bad; what is unknown is no fault."""
        return any(check.verdict == "bad" for check in self.checks)
