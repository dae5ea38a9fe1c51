"""What `loa` reads of loa.toml: under which names and ports this controller is reached."""

from typing import Annotated

from msgspec import Meta, Struct

from controller.cli.folder import StateFolder
from provisioning.tables import read_toml

Port = Annotated[int, Meta(ge=1, le=65_535)]


class BrokerPart(Struct, frozen=True, kw_only=True):
    """Where the broker listens."""

    host: str = "localhost"
    port: Port = 8883


class HttpsPart(Struct, frozen=True, kw_only=True):
    """Where the page and the media are."""

    port: Port = 8443


class EnrolPart(Struct, frozen=True, kw_only=True):
    """Where nodes enrol."""

    port: Port = 8444


class Settings(Struct, frozen=True, kw_only=True):
    """Names and ports; whatever else stands in loa.toml is serve's (read whole, this file costs no database library)."""

    province: str
    hosts: tuple[str, ...] = ()
    broker: BrokerPart = BrokerPart()
    https: HttpsPart = HttpsPart()
    enrol: EnrolPart = EnrolPart()

    @property
    def host(self) -> str:
        """The name that nodes use."""
        return self.hosts[0] if self.hosts else self.broker.host


def read_settings(folder: StateFolder) -> Settings:
    """Read loa.toml. Raises InputRefused."""
    return read_toml(folder.config, Settings)
