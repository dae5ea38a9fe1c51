"""One TOML file to one frozen struct: identity, pins, broker address, board. A mistake stops the start with one sentence."""

import tomllib
from pathlib import Path
from typing import Annotated

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

    host: str
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8883


class ControllerAddress(Struct, frozen=True, forbid_unknown_fields=True):
    """Where media come from: https://host:port."""

    media_url: Annotated[str, Meta(pattern=r"^https://[^/]+$")]


class Board(Struct, frozen=True, forbid_unknown_fields=True):
    """What is wired to this computer: sound card, amplifier's power, and the file that says that the clock is in step."""

    sink: str = "alsa:default"
    amplifier: str = "none"
    clock: str = "/run/systemd/timesync/synchronized"


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in node.toml; paths are relative to the file."""

    identity: Identity
    pins: Pins
    broker: BrokerAddress
    controller: ControllerAddress
    board: Board = Board()
    folder: Path = Path()

    def path(self, name: str) -> Path:
        """A path of the file, made absolute."""
        return (self.folder / name).resolve()


_REMEDY = "see `loa node add`, which writes this file"


def load(path: Path) -> Config:
    """Read node.toml. Raises ConfigWrong."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigWrong(f"{path}: there is no such file; {_REMEDY}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigWrong(f"{path}: it cannot be read as TOML ({error}); correct that line") from error
    try:
        config = msgspec.convert(table, Config)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = where.strip("`.") or "(top)"
        raise ConfigWrong(f"{path}: key `{key}`: {what}; correct it, or {_REMEDY}") from error
    config = msgspec.structs.replace(config, folder=path.resolve().parent)
    if not is_valid(config.identity.node):
        raise ConfigWrong(
            f"{path}: key `identity.node`: {config.identity.node!r} is no node id; copy the 10 letters of the label"
        )
    _check_files(path, config)
    return config


def _check_files(path: Path, config: Config) -> None:
    named = {
        "identity.certificate": config.identity.certificate,
        "identity.key": config.identity.key,
        "identity.report_key": config.identity.report_key,
        "pins.ca": config.pins.ca,
        "pins.root": config.pins.root,
    } | {f"pins.documents[{index}]": name for index, name in enumerate(config.pins.documents)}
    for key, name in named.items():
        file = config.path(name)
        if not file.is_file():
            raise ConfigWrong(f"{path}: key `{key}`: there is no file {file}; copy it there, or {_REMEDY}")
