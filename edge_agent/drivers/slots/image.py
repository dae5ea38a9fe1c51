"""What the running image says of itself: os-release, as the image's recipe writes it."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from edge_agent.errors import SlotsUnavailable

OS_RELEASE: Final = Path("/etc/os-release")


class Running(Struct, frozen=True):
    """The build that runs: IMAGE_VERSION and BUILD_ID of os-release(5)."""

    version: str
    build: int


def running(path: Path = OS_RELEASE) -> Running:
    """Read it. Raises SlotsUnavailable when the image does not say which build it is."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SlotsUnavailable(f"{path} cannot be read: {error}") from error
    words = dict(line.partition("=")[::2] for line in lines if "=" in line)
    version, build = (words.get(name, "").strip("\"'") for name in ("IMAGE_VERSION", "BUILD_ID"))
    if not version or not build.isdecimal() or not int(build):
        raise SlotsUnavailable(f"{path} names no IMAGE_VERSION and BUILD_ID (a number): the image was made without them")
    return Running(version, int(build))
