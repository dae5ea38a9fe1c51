"""The CA's roots: one signs, the other stands by, pinned in every node from its first day, so that the first can be lost.

A folder with `ca.crt`/`ca.key` and `ca-2.crt`/`ca-2.key`; a file `active` names which one signs (absent: `ca`). Nodes take no new
root over the wire: whoever stole the signing one could else replace both.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from controller.ca import Authority, CaError, create_ca, load_ca, revocation_list, write_once

STEMS: Final = ("ca", "ca-2")
ACTIVE: Final = "active"
BUNDLE: Final = "roots.pem"
RETIRED: Final = "retired"


@dataclass(frozen=True, slots=True)
class Roots:
    """The signing root and those that count beside it. One whose key lies elsewhere signs no list of its own here."""

    stem: str
    active: Authority
    others: tuple[x509.Certificate, ...]
    keyed: tuple[Authority, ...]

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """All that count, the signing one first."""
        return (self.active.certificate, *self.others)

    @property
    def bundle_pem(self) -> bytes:
        """What nodes and the broker pin, in an order that does not change at a rotation."""
        found = sorted(self.certificates, key=fingerprint)
        return b"".join(each.public_bytes(Encoding.PEM) for each in found)

    def lists_pem(self, revoked: Mapping[str, Sequence[int]]) -> bytes:
        """The revocation lists, by the issuers' fingerprints; a list for each root whose key is here."""
        return b"".join(revocation_list(each, revoked.get(fingerprint(each.certificate), ())) for each in self.keyed)


def fingerprint(certificate: x509.Certificate) -> str:
    """A root's name in the database and before people's eyes."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def create_roots(folder: Path, name: str) -> Roots:
    """Both roots of a new controller. Raises CaError rather than overwrite one."""
    create_ca(folder, name)
    create_ca(folder, f"{name} (2)", stem=STEMS[1])
    roots = load_roots(folder)
    _replace(folder / BUNDLE, roots.bundle_pem)
    return roots


def load_roots(folder: Path) -> Roots:
    """Open them. Raises CaError when the signing one is not there whole."""
    named = folder / ACTIVE
    stem = named.read_text("ascii").strip() if named.exists() else STEMS[0]
    if stem not in STEMS:
        raise CaError(f"{named} names no root of this folder: write {' or '.join(STEMS)} into it")
    active = load_ca(folder, stem)
    others, keyed = [], [active]
    for other in STEMS:
        if other == stem or not (folder / f"{other}.crt").exists():
            continue
        others.append(x509.load_pem_x509_certificate((folder / f"{other}.crt").read_bytes()))
        if (folder / f"{other}.key").exists():
            keyed.append(load_ca(folder, other))
    return Roots(stem, active, tuple(others), tuple(keyed))


def rotate(folder: Path) -> Roots:
    """Let the root that stands by sign from now on; one file changes, so a power cut leaves the old state or the new.

    Raises CaError when none stands by.
    """
    roots = load_roots(folder)
    other = STEMS[1 - STEMS.index(roots.stem)]
    if not (folder / f"{other}.crt").exists():
        raise CaError(f"no root stands by in {folder}: the other one was retired; new cards need a new pair of roots")
    if not (folder / f"{other}.key").exists():
        raise CaError(f"the key of the root that stands by is not in {folder}: bring {other}.key from where it is kept")
    load_ca(folder, other)
    _replace(folder / ACTIVE, other.encode())
    return load_roots(folder)


def retire_other(folder: Path) -> Roots:
    """Believe the root that no longer signs no more; its files go aside. Raises CaError when there is none."""
    roots = load_roots(folder)
    other = STEMS[1 - STEMS.index(roots.stem)]
    if not (folder / f"{other}.crt").exists():
        raise CaError(f"{folder} holds one root only: there is none to retire")
    aside = folder / RETIRED
    aside.mkdir(mode=0o700, exist_ok=True)
    for ending in ("crt", "key"):
        file = folder / f"{other}.{ending}"
        if file.exists():
            file.replace(aside / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{file.name}")
    left = load_roots(folder)
    _replace(folder / BUNDLE, left.bundle_pem)
    return left


def bundle_file(folder: Path) -> Path:
    """What our own clients trust."""
    bundle = folder / BUNDLE
    return bundle if bundle.exists() else folder / f"{STEMS[0]}.crt"


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    write_once(new, content, mode=0o644)
    new.replace(path)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
