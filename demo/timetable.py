"""The week of Phú Cần (docs/vi-du/phu-can.toml) as the demo's programme: recordings made here, the radio on this machine."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

from demo import words

SOURCE: Final = Path(__file__).parents[1] / "docs" / "vi-du" / "phu-can.toml"
RECORDINGS: Final = {
    "ban-tin": ("Bản tin xã", words.BULLETIN, 10),
    "chuong-trinh-jrai": ("Chương trình tiếng Jrai", words.JRAI, 5),
}
"""How the names in the table begin: title, what the synthesiser reads (again and again), the least minutes of the real plan."""
FILE: Final = re.compile(r'media = "([\w-]+)\.mp3"')
RADIO: Final = "https://phat-thanh.example.vn/gia-lai"
RADIO_HERE: Final = "http://127.0.0.1:9/gia-lai"
"""Nobody answers there: at 05:00 the demo shows a relay that fails, and sends nothing out of this machine."""
AROUND_MS: Final = 180_000
"""The judged bulletin, the emergency and the STOP take a minute; what would sound beside them is left out for this run."""
STEP_DEADLINE_S: Final = 120


def record(folder: Path, name: str) -> Path:
    """A recording as long as the plan says. Raises CalledProcessError."""
    _title, text, minutes = RECORDINGS[name]
    once, whole = folder / f"{name}.once.wav", folder / f"{name}.wav"
    subprocess.run(["espeak-ng", "-v", "vi", "-w", once, text], check=True, timeout=STEP_DEADLINE_S)
    again: list[str | Path] = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", once, "-t", str(minutes * 60), whole]
    subprocess.run(again, check=True, timeout=STEP_DEADLINE_S)
    return whole


def table(digests: dict[str, str], without: frozenset[str] = frozenset()) -> str:
    """The TOML of the week, valid from today, with its recordings by digest and without some of its items."""
    text = SOURCE.read_text("utf-8").replace(RADIO, RADIO_HERE)
    head, *items = "\n".join(line for line in text.splitlines() if not line.startswith("valid_")).split("[[items]]")
    kept = [item for item in items if not any(f'id = "{name}"' in item for name in without)]

    def digest(found: re.Match[str]) -> str:
        return f'media = "{next(sha256 for name, sha256 in digests.items() if found[1].startswith(name))}"'

    return FILE.sub(digest, "[[items]]".join([head, *kept])) + "\n"


def beside(preview: dict[str, Any], from_ms: int) -> frozenset[str]:
    """Which items of a preview would sound, or wait to, around an instant."""
    return frozenset(
        line["item"]
        for group in preview["groups"]
        for line in group["lines"]
        if line["planned_ms"] < from_ms + AROUND_MS and (line["ends_ms"] or line["planned_ms"]) > from_ms - AROUND_MS
    )
