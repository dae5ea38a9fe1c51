"""What somebody should know of a timetable before it is signed: each finding one sentence in two languages. Pure.

Errors are what will not be heard as written, or at an hour that somebody must have meant; warnings are heard otherwise than
written; notes are for information.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, Literal

from msgspec import Struct

from controller.core import finding_words as words
from controller.core import node_words
from controller.core.preview import Laid, Spell
from controller.core.world import media_named, media_of
from protocol.hours import Rules
from protocol.programme import Line, Planned, grace_ms, length_ms

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
EARLY_MIN: Final = 5 * 60
"""A first sound of a day before 05:00 is asked about. Trung Lộc, 5 December 2025: loudspeakers woke a commune at 03:15, because
the time of a relay was set wrong after a storm repair."""
OF_CODE: Final[dict[str, Severity]] = {
    "late": "warning",
    "interrupted": "warning",
    "maintenance": "warning",
    "grant-ends": "warning",
    "no-rules": "warning",
    "mute": "note",
    "silent-days": "note",
    "ends": "note",
    "no-nodes": "note",
}
"""Every other code is an error. Without rules nothing sounds, but the programme may well be signed before them."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing to know: how often, at how many of the nodes, first when, of which bulletin of which document."""

    severity: Severity
    code: str
    vi: str
    en: str
    at_ms: int | None = None
    times: int = 1
    nodes: int = 0
    item: str = ""
    authority: str = ""
    digest: str = ""


class Surroundings(Struct, frozen=True, kw_only=True):
    """What findings need beside the timetable: names of areas, which files the library has, the time."""

    names: Mapping[str, str]
    known_media: frozenset[str]
    now_ms: int
    from_ms: int
    to_ms: int

    def name(self, area: str) -> str:
        """An area's name, or its id."""
        return self.names.get(area, area)


class _Gathered:
    """Findings of several sites by what they are about."""

    def __init__(self, nodes: int) -> None:
        self._all_nodes = nodes
        self._found: dict[tuple[str, ...], tuple[set[int], set[str], Planned | None, str, words.Said]] = {}

    def add(
        self, code: str, about: tuple[str, ...], at_ms: int, nodes: Iterable[str], of: Planned | None = None, /, **said: object
    ) -> None:
        known = self._found.get((code, *about))
        if known is None:
            digest = str(said.pop("document", of.digest if of is not None else ""))
            known = self._found[(code, *about)] = (set(), set(), of, digest, words.sentences(code, **said))
        known[0].add(at_ms)
        known[1].update(nodes)

    def has(self, code: str, *about: str) -> bool:
        """Whether such a thing is known already: then its words need not be made again."""
        return (code, *about) in self._found

    def all(self) -> list[Finding]:
        """Worst first, then by time."""
        made = []
        for (code, *_), (times, nodes, of, digest, said) in self._found.items():
            vi, en = _with_count(said, len(times), len(nodes), self._all_nodes)
            made.append(
                Finding(
                    severity=OF_CODE.get(code, "error"),
                    code=code,
                    vi=vi,
                    en=en,
                    at_ms=min(times),
                    times=len(times),
                    nodes=len(nodes),
                    item=of.item.id if of is not None else "",
                    authority=of.authority if of is not None else "",
                    digest=digest,
                )
            )
        return sorted(made, key=lambda found: (SEVERITIES.index(found.severity), found.at_ms or 0, found.code, found.item))


def _with_count(said: words.Said, times: int, nodes: int, of_nodes: int) -> words.Said:
    vi, en = (each[:-1] for each in said)
    more_vi, more_en = [], []
    if times > 1:
        more_vi.append(f"và {times - 1} lần nữa")
        more_en.append(f"and {times - 1} times more")
    if 0 < nodes < of_nodes:
        more_vi.append(f"ở {nodes} trong {of_nodes} cụm loa")
        more_en.append(f"on {nodes} of {of_nodes} clusters")
    tail_vi, tail_en = (f" ({', '.join(more)})" if more else "" for more in (more_vi, more_en))
    return vi + tail_vi + said[0][-1], en + tail_en + said[1][-1]


def findings(laid: Sequence[Laid], around: Surroundings) -> list[Finding]:
    """Everything to know of some sites' timetables from now on, worst first."""
    gathered = _Gathered(sum(len(each.site.nodes) for each in laid))
    for each in laid:
        nodes = each.site.nodes
        if each.site.station is None and each.lines:
            gathered.add("no-rules", (), each.lines[0].planned.planned_ms, nodes)
        else:
            for line in each.lines:
                if line.outcome != "plays" and line.planned.planned_ms >= around.now_ms:
                    _of_line(gathered, line, nodes, each.rules)
        _first_sounds(gathered, each, around)
        for spell in each.site.spells:
            _of_document(gathered, spell, each, around)
    return gathered.all()


def _of_line(gathered: _Gathered, line: Line, nodes: tuple[str, ...], rules: Rules | None) -> None:
    planned, other = line.planned, line.because
    item = planned.item
    code, why_vi = (line.outcome, "") if line.outcome != "skipped" else node_words.why(line.why)
    longest = rules.body.session_max_min if rules is not None else None
    if code in ("cut", "half-inside") and longest is not None and length_ms(item) > longest * 60_000:
        code = "too-long"
    if other is not None and _same(planned, other) and code in ("late", "waits-out"):
        code = "self-overlap"
    about = (planned.digest, item.id, other.digest if other else "", other.item.id if other else "")
    if gathered.has(code, *about):
        gathered.add(code, about, planned.planned_ms, nodes)
        return
    limit = _limit(line, rules)
    then = words.THEN[item.on_interrupt]
    a_class, b_class = words.CLASSES[item.class_], words.CLASSES[other.item.class_ if other else "normal"]
    gathered.add(
        code,
        about,
        planned.planned_ms,
        nodes,
        planned,
        a=item.title,
        b=other.item.title if other else "",
        at=words.stamp(planned.planned_ms),
        begins=words.clock(line.begins_ms or planned.planned_ms),
        ends=words.clock(line.ends_ms or planned.planned_ms),
        grace=words.duration(grace_ms(item)),
        length=words.duration(length_ms(item)),
        missing=words.duration(length_ms(item) - ((line.ends_ms or 0) - (line.begins_ms or 0))),
        session=longest,
        limit_vi=limit[0],
        limit_en=limit[1],
        why=line.why,
        why_vi=why_vi,
        then_vi=then[0],
        then_en=then[1],
        a_class=a_class[0],
        a_class_en=a_class[1],
        b_class=b_class[0],
        b_class_en=b_class[1],
    )


def _same(one: Planned, other: Planned) -> bool:
    return (one.digest, one.item.id) == (other.digest, other.item.id)


def _limit(line: Line, rules: Rules | None) -> words.Said:
    """What cut a bulletin short: the hours, or its session."""
    closes_ms = rules.open_until(line.begins_ms) if rules is not None and line.begins_ms is not None else None
    if closes_ms is None or closes_ms == line.ends_ms:
        return "hết giờ hoạt động của đài", "the station's hours end"
    return "hết buổi phát", "its session ends"


def _first_sounds(gathered: _Gathered, laid: Laid, around: Surroundings) -> None:
    """A first sound of a day that is early, and days without any."""
    firsts: dict[date, Line] = {}
    from_ms = around.from_ms
    for line in laid.lines:
        if line.begins_ms is not None and from_ms <= line.begins_ms:
            midnight = words.local(line.begins_ms).replace(hour=0, minute=0, second=0, microsecond=0)
            firsts[midnight.date()] = line
            from_ms = round((midnight + timedelta(days=1)).timestamp() * 1_000)
    today = words.local(around.now_ms).date()
    for day, line in firsts.items():
        began = words.local(line.begins_ms or 0)
        if began.hour * 60 + began.minute < EARLY_MIN and began.timestamp() * 1_000 >= around.now_ms:
            vi, en = words.day_words(day, today)
            planned = line.planned
            about = (planned.digest, planned.item.id, f"{began:%H:%M}")
            said = {"a": planned.item.title, "clock": f"{began:%H:%M}", "day_vi": vi, "day_en": en}
            gathered.add("early", about, line.begins_ms or 0, laid.site.nodes, planned, **said)
    silent = [day for day in _whole_days(around) if day not in firsts]
    if silent:
        days = ", ".join(words.written(day) for day in silent)
        gathered.add("silent-days", (days,), around.from_ms, laid.site.nodes, days=days)


def _whole_days(around: Surroundings) -> list[date]:
    first, end = words.local(around.from_ms), words.local(around.to_ms - 1).date()
    day = first.date() if (first.hour, first.minute) == (0, 0) else first.date() + timedelta(days=1)
    days = []
    while day <= end:
        days.append(day)
        day += timedelta(days=1)
    return days


def _of_document(gathered: _Gathered, spell: Spell, laid: Laid, around: Surroundings) -> None:
    """What is wrong with a programme as such."""
    programme, nodes = spell.programme, laid.site.nodes
    said = {"subject": around.name(programme.subject), "authority": around.name(programme.authority), "document": spell.digest}
    if spell.digest in laid.unreadable:
        gathered.add("unreadable", (spell.digest,), around.from_ms, nodes, None, **said)
    if not programme.body.items:
        return
    if around.from_ms < spell.until_ms < around.to_ms and spell.ends != "successor":
        code = "ends" if spell.ends == "validity" else "grant-ends"
        gathered.add(code, (spell.digest,), spell.until_ms, nodes, None, at=words.stamp(spell.until_ms), **said)
    missing = media_named(programme) - around.known_media
    for item in programme.body.items if missing else ():
        for sha256 in sorted(media_of(item) & missing):
            about = (spell.digest, item.id, sha256)
            gathered.add("media", about, around.from_ms, nodes, None, a=item.title, digest=sha256[:12], document=spell.digest)
