"""How values look to an officer: 24-hour local time, dd/mm/yyyy, names without accents for comparing. Pure."""

import unicodedata
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from controller.actions.views import IncidentView

ZONE: Final = ZoneInfo("Asia/Ho_Chi_Minh")
_SHORT: Final = 80


def _local(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, ZONE)


def clock(at_ms: int | None) -> str:
    """The time of day, as 21:03:15."""
    return "-" if at_ms is None else f"{_local(at_ms):%H:%M:%S}"


def stamp(at_ms: int | None) -> str:
    """Time and date, as 21:03:15 23/11/2025."""
    return "-" if at_ms is None else f"{_local(at_ms):%H:%M:%S %d/%m/%Y}"


def day(at_ms: int) -> str:
    """The date, as 23/11/2025."""
    return f"{_local(at_ms):%d/%m/%Y}"


def day_bounds(text: str | None, now_ms: int) -> tuple[date, int, int]:
    """The day written yyyy-mm-dd or dd/mm/yyyy (absent: today), its first millisecond and the next day's. Raises ValueError."""
    if not text:
        when = _local(now_ms).date()
    elif "/" in text:
        when = datetime.strptime(text, "%d/%m/%Y").replace(tzinfo=ZONE).date()
    else:
        when = date.fromisoformat(text)
    first = datetime(when.year, when.month, when.day, tzinfo=ZONE)
    return when, round(first.timestamp() * 1000), round((first + timedelta(days=1)).timestamp() * 1000)


def plain(text: str) -> str:
    """Only letters and digits, lower case, without accents (đ is d, ƀ is b): for comparing what a person typed with a name."""
    spread = unicodedata.normalize("NFD", text.casefold().replace("đ", "d").replace("ƀ", "b"))
    letters = "".join(letter if letter.isalnum() else " " for letter in spread if not unicodedata.combining(letter))
    return " ".join(letters.split())


def seconds(duration_ms: int) -> str:
    """Seconds with a sign only when negative, one decimal below ten: 0,3 and -2,5 and 45."""
    value = duration_ms / 1000
    return f"{value:.1f}".replace(".", ",") if abs(value) < 10 else f"{value:.0f}"  # noqa: PLR2004  one decimal below ten


def at_most(duration_ms: int) -> str:
    """A bound in seconds, never rounded down: 0,1 and 2,6 and 45."""
    step_ms = 100 if duration_ms < 9_900 else 1_000  # noqa: PLR2004  what `seconds` shows of it
    return seconds(-(-duration_ms // step_ms) * step_ms)


def minutes(duration_ms: int) -> str:
    """Minutes with one decimal, as 12,5."""
    return f"{duration_ms / 60_000:.1f}".replace(".", ",")


def decibels(level_cdb: int) -> str:
    """A level in dB, as -18,5."""
    return f"{level_cdb / 100:.1f}".replace(".", ",")


def saying(incident: IncidentView) -> str:
    """The first words of an incident, to know it by."""
    text = next((said.text for said in incident.texts), "")
    return text if len(text) <= _SHORT else f"{text[:_SHORT].rstrip()}…"
