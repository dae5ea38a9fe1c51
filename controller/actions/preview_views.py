"""What a preview returns: the same JSON for the page and for `loa`. Times are UTC milliseconds."""

from typing import Literal

from msgspec import Struct

from controller.core.findings import Finding
from protocol.bulletins import Programme
from protocol.units import BulletinClass, IssuingLevel

Outcome = Literal["plays", "late", "cut", "interrupted", "skipped", "shown"]


class PlanLine(Struct, frozen=True, kw_only=True):
    """One occurrence on a group of nodes. `why_*` says what is not as planned; `because` is another's title."""

    planned_ms: int
    begins_ms: int | None
    ends_ms: int | None
    item: str
    title: str
    class_: BulletinClass
    level: IssuingLevel
    area: str
    area_name: str
    authority: str
    authority_name: str
    digest: str
    length_ms: int
    langs: tuple[str, ...]
    outcome: Outcome
    why_vi: str = ""
    why_en: str = ""
    because: str = ""


class NodeGroup(Struct, frozen=True, kw_only=True):
    """Nodes (id and name) on which the same happens; `station` is the area whose rules hold there."""

    nodes: tuple[tuple[str, str], ...]
    station: str | None
    lines: tuple[PlanLine, ...]


class PreviewView(Struct, frozen=True, kw_only=True):
    """A timetable ahead. `refusals` are what would be refused at publishing; `first_tomorrow_ms` is tomorrow's first sound."""

    area: str
    name: str
    from_ms: int
    to_ms: int
    now_ms: int
    groups: tuple[NodeGroup, ...]
    findings: tuple[Finding, ...]
    refusals: tuple[Finding, ...] = ()
    first_tomorrow_ms: int | None = None
    first_tomorrow: str = ""


class PreviewRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft to be looked at beside everything in force. `pending` are digests that will be in the library by then."""

    programme: Programme
    area: str | None = None
    days: int = 7
    from_ms: int | None = None
    node: str | None = None
    pending: tuple[str, ...] = ()
