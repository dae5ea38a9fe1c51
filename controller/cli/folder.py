"""The state folder as `loa` uses it: where the socket, the pinned root, the area list and the operator's certificate lie."""

from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from provisioning.errors import InputRefused
from provisioning.files import read_bytes


class AreaRow(Struct, frozen=True, kw_only=True):
    """An area in areas.json: enough to address it while serve does not answer."""

    id: str
    no: int
    name: str
    level: str
    parent: str | None = None


class StateFolder:
    """Paths in the state folder; nothing is opened before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "loa.toml"
        self.socket = path / "run" / "loa.sock"
        self.trust = path / "trust"
        self.root = path / "trust" / "root.json"
        self.areas_file = path / "areas.json"
        self.ca = path / "ca"
        self.tls = path / "tls"

    def require(self) -> Self:
        """Itself. Raises InputRefused when there is no state folder."""
        if not self.config.is_file():
            raise InputRefused(
                f"{self.path} is no state folder (loa.toml is missing): name it with --state or LOA_STATE, or run `loa init`"
            )
        return self

    def areas(self) -> dict[str, AreaRow]:
        """The areas of areas.json by id. Raises InputRefused."""
        try:
            rows = msgspec.json.decode(read_bytes(self.areas_file, "area list"), type=list[AreaRow])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InputRefused(f"area list {self.areas_file} is broken ({error}): restart serve, which writes it anew") from error
        return {row.id: row for row in rows}

    def numbers(self) -> dict[str, int]:
        """Area numbers by id."""
        return {area: row.no for area, row in self.areas().items()}

    def operator(self) -> tuple[str, Path, Path]:
        """Name, certificate and key of this machine's operator, for publishing without serve. Raises InputRefused."""
        found = sorted(self.tls.glob("operator-*.crt"))
        if not found:
            raise InputRefused(f"{self.tls} holds no operator's certificate: without serve nothing can be published from here")
        return found[0].stem, found[0], found[0].with_suffix(".key")
