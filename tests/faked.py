"""libfaketime for real processes: another wall clock, the monotonic one left alone."""

from __future__ import annotations

from pathlib import Path

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def environment(when: str = "", *, file: Path | None = None) -> dict[str, str]:
    """Variables for a process whose wall clock starts at `when` (UTC) and runs on, or follows what a file says."""
    if not LIBRARIES:
        raise FileNotFoundError("libfaketime is missing: apt install faketime")
    told = {"FAKETIME": f"@{when}"} if file is None else {"FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_CACHE_DURATION": "1"}
    return told | {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "TZ": "UTC", "FAKETIME_DONT_RESET": "1"}
