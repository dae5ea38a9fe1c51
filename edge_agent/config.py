"""One TOML file to one frozen struct: identity, pins, broker address, board. A mistake stops the start with one sentence."""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from protocol.node_id import is_valid
from protocol.units import Sha256


class ConfigWrong(Exception):
    """The configuration cannot be used; the text names file, key and remedy."""


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """Who this node is: its id, its TLS client certificate, the key of its reports, the folder of its memory."""

    node: str
    certificate: str
    key: str
    report_key: str
    state: str = "state"


class Pins(Struct, frozen=True, forbid_unknown_fields=True):
    """What it trusts from the first start: the CA of the broker, the root of authority, documents that came on the card."""

    ca: str
    root: str
    root_digest: Sha256
    documents: tuple[str, ...] = ()


class BrokerAddress(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the broker is."""

    host: Annotated[str, Meta(pattern=r"^[^\s/:@]+\Z")]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8883


class ControllerAddress(Struct, frozen=True, forbid_unknown_fields=True):
    """Where media come from: https://host:port."""

    media_url: Annotated[str, Meta(pattern=r"^https://[^\s/:@?#]+(:[0-9]{1,5})?\Z")]


Device = Annotated[str, Meta(pattern=r"^[^\s=]\S*\Z")]
"""A name that ALSA knows a device by."""


class Board(Struct, frozen=True, forbid_unknown_fields=True):
    """What is wired to this computer: sound card, amplifier's power, inputs, and who keeps the clock in step.

    `fm` and `line` name the ALSA capture device that such a programme comes in by (plughw:1); without one there is none.
    `clock` is `chrony`, or the file that systemd-timesyncd touches at every synchronisation. `slots`: `rauc` where RAUC keeps two
    copies of the firmware; `auto` asks whether it is set up there.
    """

    sink: str = "alsa:default"
    amplifier: str = "none"
    fm: Device | None = None
    line: Device | None = None
    clock: str = "/run/systemd/timesync/synchronized"
    slots: Literal["auto", "none", "rauc"] = "auto"


class EnrolAddress(Struct, frozen=True, forbid_unknown_fields=True):
    """Where certificates are given and renewed, and the file of the one-time claim (none where the node came with one)."""

    url: Annotated[str, Meta(pattern=r"^https://[^\s/:@?#]+(:[0-9]{1,5})?\Z")]
    claim: str | None = None


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in node.toml; paths are relative to the file."""

    identity: Identity
    pins: Pins
    broker: BrokerAddress
    controller: ControllerAddress
    board: Board = Board()
    enrol: EnrolAddress | None = None


class Config(Table, frozen=True, forbid_unknown_fields=True):
    """What the file says, and where it lies."""

    file: Path = Path("node.toml")

    def path(self, name: str) -> Path:
        """A path of the file, made absolute."""
        return (self.file.parent / name).resolve()

    @property
    def claim(self) -> Path | None:
        """The file of the claim; it is gone once it was used."""
        return self.path(self.enrol.claim) if self.enrol is not None and self.enrol.claim is not None else None

    def wrong(self, key: str, what: str) -> "ConfigWrong":
        """The sentence about one key."""
        return ConfigWrong(f"{self.file}: key `{key}`: {what}")


_REMEDY: Final = "see `loa-provision node new`, which writes this file"
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(\w+)`")
HIGHEST_PORT: Final = 65_535
_SHAPES: Final = {
    "board.fm": "write a device that `arecord -L` lists, such as plughw:1",
    "board.line": "write a device that `arecord -L` lists, such as plughw:1",
    "broker.host": "write a name or address, without a port",
    "controller.media_url": "write https://name:port and nothing behind it",
    "enrol.url": "write https://name:port and nothing behind it",
    "pins.root_digest": "write the 64 letters 0-9, a-f that the ceremony printed",
}


def load(path: Path) -> Config:
    """Read node.toml. Raises ConfigWrong."""
    path = Path(os.path.abspath(path))  # noqa: PTH100  not resolved: the sentence names the file as the technician knows it
    try:
        table = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Table)
    except FileNotFoundError as error:
        raise ConfigWrong(f"{path}: there is no such file; {_REMEDY}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigWrong(f"{path}: it cannot be read ({error}); put back a copy of it") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigWrong(f"{path}: it is not TOML: {error}; correct that line") from error
    except msgspec.ValidationError as error:
        raise _named(path, error) from error
    config = Config(**msgspec.structs.asdict(table), file=path)
    if key := _with_nul(msgspec.to_builtins(table)):
        raise config.wrong(key, f"it holds a character that no name can hold (\\u0000); correct it, or {_REMEDY}")
    if not is_valid(config.identity.node):
        raise config.wrong("identity.node", f"{config.identity.node!r} is no node id; copy the 10 letters of the label")
    port = config.controller.media_url.rpartition(":")[2]
    if port.isdecimal() and not 0 < int(port) <= HIGHEST_PORT:
        raise config.wrong("controller.media_url", f"there is no port {port}; a port is 1 to {HIGHEST_PORT}")
    _check_files(config)
    return config


def _with_nul(value: object, key: str = "") -> str:
    """The first key whose text holds a NUL, which ends every name for the system; empty when none does."""
    if isinstance(value, str):
        return key if "\0" in value else ""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next((found for name, each in inner if (found := _with_nul(each, f"{key}.{name}".strip(".")))), "")


def _named(path: Path, error: msgspec.ValidationError) -> ConfigWrong:
    """Words of msgspec, with the key in front: a missing or unknown one is named whole."""
    what, _, where = str(error).partition(" - at `$")
    key = where.strip("`.")
    if found := _MISSING.fullmatch(what):
        key, what = f"{key}.{found[1]}".strip("."), "it is missing"
    elif found := _UNKNOWN.fullmatch(what):
        key, what = f"{key}.{found[1]}".strip("."), "there is no such key"
    elif key in _SHAPES and "regex" in what:
        return ConfigWrong(f"{path}: key `{key}`: {_SHAPES[key]}")
    return ConfigWrong(f"{path}: key `{key}`: {what}; correct it, or {_REMEDY}")


def _check_files(config: Config) -> None:
    pinned = {"pins.ca": config.pins.ca, "pins.root": config.pins.root}
    own = {
        "identity.certificate": config.identity.certificate,
        "identity.key": config.identity.key,
        "identity.report_key": config.identity.report_key,
    }
    # a node with a claim makes its own identity at its first start
    named = (pinned if config.claim is not None else own | pinned) | {
        f"pins.documents[{index}]": name for index, name in enumerate(config.pins.documents)
    }
    for key, name in named.items():
        file = config.path(name)
        if not file.is_file():
            raise config.wrong(key, f"there is no file {file}; copy it there, or {_REMEDY}")
        try:
            file.open("rb").close()
        except OSError as error:
            raise config.wrong(key, f"{file} cannot be read ({error.strerror}); make its owner the agent's user") from error
