"""The site file: what every card of one controller has in common; no secret is in it.

Whoever changes it on its way is seen by the digest of the root, which the ceremony printed.
"""

import hashlib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from protocol.envelope import open_pinned_root
from protocol.errors import ProtocolError
from protocol.units import Sha256
from provisioning.enrol import Links
from provisioning.errors import InputRefused
from provisioning.files import read_bytes, write_whole

Address = Annotated[str, Meta(pattern=r"^https://[^\s/:@?#]+(:[0-9]{1,5})?\Z")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")]


class Site(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Addresses, pinned CA roots, pinned root of authority, and the grants that go along."""

    broker_host: str
    broker_port: Annotated[int, Meta(ge=1, le=65_535)]
    media_url: Address
    enrol_url: Address
    roots_pem: str
    root: bytes
    root_digest: Sha256
    documents: dict[FileName, bytes] = {}

    @property
    def links(self) -> Links:
        """As a card holds it."""
        return Links(
            ca_pem=self.roots_pem.encode(),
            root=self.root,
            root_digest=self.root_digest,
            broker_host=self.broker_host,
            broker_port=self.broker_port,
            media_url=self.media_url,
            enrol_url=self.enrol_url,
            documents=tuple(self.documents.items()),
        )

    @property
    def roots_fingerprint(self) -> str:
        """What to compare with `loa ca show`."""
        return hashlib.sha256(self.roots_pem.encode()).hexdigest()


def write_site(path: Path, site: Site) -> None:
    """Write it, over an older one too."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(site)) + b"\n")


def read_site(path: Path, pin: str | None = None) -> Site:
    """Read it; its root must open under its digest, and under `pin` when that is given. Raises InputRefused."""
    try:
        site = msgspec.json.decode(read_bytes(path, "site file"), type=Site)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputRefused(f"site file {path} is not one made by `loa node site` ({error}): make it anew") from error
    if pin is not None and pin != site.root_digest:
        raise InputRefused(f"site file {path} pins root {site.root_digest[:16]}…, not {pin[:16]}…: somebody changed one of them")
    try:
        open_pinned_root(site.root, site.root_digest)
    except ProtocolError as error:
        raise InputRefused(f"site file {path}: its root does not open ({error}): make it anew with `loa node site`") from error
    return site
