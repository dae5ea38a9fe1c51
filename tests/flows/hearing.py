"""What a node's loudspeaker gave, in seconds of this machine's monotonic clock; and short things for it to say."""

from __future__ import annotations

import hashlib
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from protocol.bulletins import Item, Media, Variant
from protocol.orders import Text
from tests.audio import read_wav, sounding_runs
from tests.commune import Commune, sidecar
from tests.media_server import MediaServer
from tests.waiting import until

SHORT = {"text": (Text(lang="vi", text="Sơ tán."),), "repeats": 1, "issuing_body": "Xã"}
LONG = {"text": (Text(lang="vi", text="Đề nghị bà con chuyển đến trường học ngay."),), "repeats": 6, "issuing_body": "Xã"}
BRIDGE_S = 0.5
TZ = ZoneInfo("Asia/Ho_Chi_Minh")


def heard(wav: Path) -> list[tuple[float, float]]:
    """From when to when there was sound; silences under half a second do not part."""
    if not wav.exists():
        return []
    origin_s = sidecar(wav)["first_sample_mono_ns"] / 1e9
    rate, samples = read_wav(wav)
    runs = sounding_runs(samples, bridge=int(BRIDGE_S * rate))
    return [(origin_s + begin / rate, origin_s + end / rate) for begin, end in runs]


def heard_s(wav: Path, since_s: float = 0.0) -> float:
    """How many seconds of sound there were since an instant."""
    return sum(end - max(begin, since_s) for begin, end in heard(wav) if end > since_s)


async def sounds(wav: Path, since_s: float, within_s: float = 20) -> float:
    """Wait for sound that began after an instant, or went on then; return when."""

    def look() -> float | None:
        return next((max(begin, since_s) for begin, end in heard(wav) if end > since_s), None)

    return await until(look, within_s, f"sound in {wav.parent.name}")


async def is_silent(wav: Path, for_s: float) -> None:
    """From now on there is no sound for so long (the WAV's own 20 ms ahead apart)."""
    import asyncio

    since_s = time.monotonic() + 0.05
    await asyncio.sleep(for_s)
    assert heard_s(wav, since_s) == 0


def tone(folder: Path, hertz: int = 440, seconds: float = 2.0) -> bytes:
    """A tone as the controller would prepare it: Opus in Matroska."""
    path = folder / f"{hertz}.mka"
    source = f"sine=frequency={hertz}:sample_rate=48000:duration={seconds}"
    words = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-ac", "1", "-c:a", "libopus", "-b:a", "24k", str(path)]
    subprocess.run(words, check=True)
    return path.read_bytes()


def media(content: bytes, seconds: float = 2.0, *, sha256: str | None = None) -> Media:
    """How a programme names it."""
    return Media(sha256=sha256 or hashlib.sha256(content).hexdigest(), bytes=len(content), samples=int(seconds * 48_000))


def item(name: str, of: Media, at: datetime, **more) -> Item:
    """An item of every day at this second."""
    rule = f"FREQ=DAILY;BYHOUR={at.hour};BYMINUTE={at.minute};BYSECOND={at.second}"
    return Item(id=name, title=name, rrule=rule, variants=(Variant(lang="vi", media=of),), **more)


def in_s(seconds: float) -> datetime:
    """A whole second of the province's time, so far from now."""
    return (datetime.now(TZ) + timedelta(seconds=seconds)).replace(microsecond=0)


def mono_of(at: datetime) -> float:
    """When it is, on this machine's monotonic clock."""
    return time.monotonic() + at.timestamp() - time.time()


def keep_media(commune: Commune, node: str, content: bytes) -> None:
    """Put a file where the node's fetcher would have put it."""
    name = hashlib.sha256(content).hexdigest()
    home = commune.nodes[node].parent / "state" / "media" / name[:2]
    home.mkdir(parents=True, exist_ok=True)
    (home / f"{name}.mka").write_bytes(content)


def on_the_card(commune: Commune, node: str, *documents) -> None:
    """Documents that the node finds beside its configuration at its first start."""
    toml = commune.nodes[node]
    names = []
    for document in documents:
        names.append(f"{document.kind}-{document.seq}.json")
        (toml.parent / names[-1]).write_bytes(commune.seal_as(document))
    quoted = ", ".join(f'"{name}"' for name in names)
    toml.write_text(toml.read_text().replace("documents = [", f"documents = [{quoted}, ", 1))


def media_server(commune: Commune) -> MediaServer:
    """The controller's door for media, where the nodes' configuration says."""
    cert, key = commune.issue("media", server_names=(commune.host,))
    return MediaServer(cert, key, port=int(commune.media_url.rpartition(":")[2]))
