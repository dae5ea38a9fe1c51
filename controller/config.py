"""The state folder and its loa.toml; a mistake there stops the start with one sentence that names file, key and remedy."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from controller.errors import ConfigWrong
from controller.roots import bundle_file
from controller.store.database import url_of

FILE: Final = "loa.toml"
Port = Annotated[int, Meta(ge=0, le=65_535)]


class BrokerPart(Struct, frozen=True, forbid_unknown_fields=True):
    """Where mosquitto listens, and by which name the controller reaches it.

    `folder`: where its configuration lies (else in the state folder); `group`: who reads it there.
    """

    host: str = "localhost"
    bind: str = "0.0.0.0"  # noqa: S104  nodes come from outside; only certificates of our CA get in
    port: Port = 8883
    folder: str = ""
    group: str = ""


class HttpsPart(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the page and the media are served."""

    bind: str = "0.0.0.0"  # noqa: S104  officers and nodes come from outside
    port: Port = 8443


class EnrolPart(Struct, frozen=True, forbid_unknown_fields=True):
    """Where nodes without a certificate ask for one, and how long one counts (90 days)."""

    bind: str = "0.0.0.0"  # noqa: S104  nodes come from outside
    port: Port = 8444
    life_s: Annotated[int, Meta(ge=2, le=366 * 86_400)] = 90 * 86_400


class SigningPart(Struct, frozen=True, forbid_unknown_fields=True):
    """The signing page: an origin of its own. `url`: where it is when another machine serves it, as https://ky.example.vn."""

    bind: str = "0.0.0.0"  # noqa: S104  officers come from outside
    port: Port = 8445
    url: Annotated[str, Meta(pattern=r"^(https://[0-9A-Za-z.-]+(:[0-9]{1,5})?)?$")] = ""


class SignerPart(Struct, frozen=True, forbid_unknown_fields=True):
    """The signer's limits. `caller_uid`: the controller's user, when that is another than the signer's.

    `socket`: where both meet, when they do not share one state folder.
    """

    starts_a_minute: Annotated[int, Meta(ge=1, le=10_000)] = 20
    caller_uid: int | None = None
    socket: str | None = None


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What loa.toml holds."""

    province: Annotated[str, Meta(pattern=r"^[0-9]{2}$")]
    hosts: tuple[str, ...] = ()
    database_url: str | None = None
    broker: BrokerPart = BrokerPart()
    https: HttpsPart = HttpsPart()
    enrol: EnrolPart = EnrolPart()
    signing: SigningPart = SigningPart()
    signer: SignerPart = SignerPart()


class Config(Struct, frozen=True, kw_only=True):
    """Settings with the folder they belong to; every path of the controller comes from here."""

    state: Path
    settings: Settings

    @property
    def database_url(self) -> str:
        """Where the database is."""
        return self.settings.database_url or url_of(self.state / "loa.db")

    @property
    def library(self) -> Path:
        """Prepared sounds."""
        return self.state / "media"

    @property
    def ca_folder(self) -> Path:
        """The CA's roots with their keys."""
        return self.state / "ca"

    @property
    def ca(self) -> Path:
        """The certificates of the CA's roots: whom our own clients trust."""
        return bundle_file(self.ca_folder)

    @property
    def broker_folder(self) -> Path:
        """What the broker reads."""
        return Path(self.settings.broker.folder) if self.settings.broker.folder else self.state / "broker"

    @property
    def tls(self) -> Path:
        """The controller's own certificates and keys."""
        return self.state / "tls"

    @property
    def signer_folder(self) -> Path:
        """Service keys: read by the signer's process only."""
        return self.state / "signer"

    @property
    def vault_key(self) -> Path:
        """What second factors are encrypted with; systemd's credential goes before it."""
        return self.state / "secrets" / "vault.key"

    @property
    def audit_key(self) -> Path:
        """What signs the audit log, and nothing else; systemd's credential goes before it."""
        return self.state / "secrets" / "audit.key"

    @property
    def api_socket(self) -> Path:
        """Where `loa` talks to `loa serve`."""
        return self.state / "run" / "loa.sock"

    @property
    def signer_socket(self) -> Path:
        """Where the signer listens."""
        given = self.settings.signer.socket
        return Path(given) if given else self.state / "run" / "signer.sock"

    @property
    def root_file(self) -> Path:
        """The pinned root, sealed."""
        return self.state / "trust" / "root.json"


def load(state: Path) -> Config:
    """Read a state folder. Raises ConfigWrong."""
    file = state / FILE
    try:
        settings = msgspec.toml.decode(file.read_bytes(), type=Settings)
    except FileNotFoundError as error:
        raise ConfigWrong(f"{file} is missing: run `loa init --state {state} --province 52` first") from error
    except OSError as error:
        raise ConfigWrong(f"{file} cannot be read ({error.strerror}): run as the user who owns it") from error
    except msgspec.ValidationError as error:
        raise ConfigWrong(f"{file}: {error}; correct that key") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigWrong(f"{file} is not TOML: {error}; correct that line") from error
    return Config(state=state.absolute(), settings=settings)
