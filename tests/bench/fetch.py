"""An order while the nodes' links are full of a content fetch: the real controller serves, the 3G link carries both."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from pathlib import Path

from protocol.bulletins import Item, Media, Variant
from tests.bench.confirm import FETCH_MS, Tally, rounds
from tests.bench.measure import Figure, judge
from tests.bench.office import Office
from tests.bench.place import Options, say
from tests.bench.town import Town, office_town

NODES = 4
PAUSE_S = 8.0
"""A node's fetch rests while it sounds for three seconds; the other three and its own go on in between."""
FILE_BYTES = 60_000_000
"""More than the link carries while this runs."""
FETCHING_S = 10.0
MIDNIGHT = "FREQ=DAILY;BYHOUR=3;BYMINUTE=30"


def _noise(folder: Path) -> tuple[Path, Media]:
    """A file that nobody will play."""
    data = secrets.token_bytes(FILE_BYTES)
    path = folder / "noise"
    path.write_bytes(data)
    return path, Media(sha256=hashlib.sha256(data).hexdigest(), bytes=FILE_BYTES, samples=48_000 * 3_600)


def _fetched_bytes(there: Town[Office]) -> list[int]:
    return [
        sum(part.stat().st_size for part in (folder.parent / "state" / "media" / "part").glob("*.part"))
        for folder in there.folders.values()
    ]


async def run(options: Options) -> list[Figure]:
    """At least 100 orders while every node fetches; the bytes that came meanwhile show that it did."""
    tally = Tally()
    count = options.count(104, 16)
    async with office_town(options, NODES) as there:
        await there.start_all()
        path, named = await asyncio.to_thread(_noise, options.folder)
        await asyncio.to_thread(there.site.into_library, path, named)
        item = Item(id="noise", title="Nội dung", rrule=MIDNIGHT, variants=(Variant(lang="vi", media=named),))
        await there.site.rule([item])
        await asyncio.sleep(FETCHING_S)
        before = await asyncio.to_thread(_fetched_bytes, there)
        say(f"fetching: {sum(before) / 1e3:.0f} kB have come")
        await rounds(there, count, tally, pause_s=PAUSE_S)
        after = await asyncio.to_thread(_fetched_bytes, there)
    came = [late - early for early, late in zip(before, after, strict=True)]
    note = f"{sum(came) / 1e6:.1f} MB fetched meanwhile, {'every' if min(came) > 0 else 'NOT every'} node fetched"
    figure = judge("confirm to first sample during a fetch, 3G", tally.first_ms, goal=FETCH_MS, lost=tally.lost, note=note)
    return [figure]
