"""Reads a RAUC bundle as far as a release must name it: its length and hash, and the manifest that its signature carries.

A bundle of format `verity` ends with a CMS signature, which holds the manifest, and eight bytes that say how long that is. The
signature is RAUC's business on the node; here only what it carries is read, and nothing is believed of it.
"""

import configparser
import hashlib
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from provisioning.errors import InputRefused

LENGTH_BYTES: Final = 8
SIGNATURE_MAX_BYTES: Final = 1 << 20
BLOCK_BYTES: Final = 1 << 20
SEQUENCE: Final = 0x30
OCTETS: Final = 0x04
CONTEXT_0: Final = 0xA0
SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")
DATA: Final = bytes.fromhex("06092a864886f70d010701")


class BundleFile(Struct, frozen=True, kw_only=True):
    """What a release says of a bundle; `build` is None when the manifest names no number."""

    sha256: str
    bytes: int
    manifest_sha256: str
    compatible: str
    version: str
    build: int | None


def read_bundle(path: Path) -> BundleFile:
    """Read a bundle of format `verity`. Raises InputRefused for anything else."""
    try:
        with path.open("rb") as file:
            manifest = _manifest(_signature(file, path), path)
            file.seek(0)
            digest, length = hashlib.sha256(), 0
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
                length += len(block)
    except FileNotFoundError as error:
        raise InputRefused(f"bundle {path} does not exist: check the name") from error
    except OSError as error:
        raise InputRefused(f"bundle {path} cannot be read ({error.strerror}): check its rights") from error
    return _described(manifest, path, digest.hexdigest(), length)


def _signature(file: BinaryIO, path: Path) -> bytes:
    end = file.seek(0, 2)
    if end <= LENGTH_BYTES:
        raise InputRefused(f"{path} is no bundle: it has {end} bytes")
    file.seek(end - LENGTH_BYTES)
    length = int.from_bytes(file.read(LENGTH_BYTES), "big")
    if not 0 < length <= min(SIGNATURE_MAX_BYTES, end - LENGTH_BYTES):
        raise InputRefused(f"{path} is no bundle: at its end no signature's length is written")
    file.seek(end - LENGTH_BYTES - length)
    return file.read(length)


def _value(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The value of the DER element that these bytes begin with, and what follows it. Raises ValueError."""
    if len(data) < 2 or data[0] != tag:  # noqa: PLR2004  tag and length
        raise ValueError
    length, at = data[1], 2
    if length & 0x80:
        count = length & 0x7F
        at += count
        length = int.from_bytes(data[2:at], "big")
        if not 1 <= count <= 4:  # noqa: PLR2004  four bytes say 4 GB
            raise ValueError
    if len(data) < at + length:
        raise ValueError
    return data[at : at + length], data[at + length :]


def _after(data: bytes, oid: bytes) -> bytes:
    """What follows this object identifier. Raises ValueError."""
    if not data.startswith(oid):
        raise ValueError
    return data.removeprefix(oid)


def _manifest(signature: bytes, path: Path) -> bytes:
    """ContentInfo > SignedData > EncapsulatedContentInfo > OCTET STRING (RFC 5652)."""
    try:
        outer, _ = _value(signature, SEQUENCE)
        inner, _ = _value(_after(outer, SIGNED_DATA), CONTEXT_0)
        signed, _ = _value(inner, SEQUENCE)
        _version, rest = _value(signed, 0x02)
        _digests, rest = _value(rest, 0x31)
        content, _ = _value(rest, SEQUENCE)
        held, _ = _value(_after(content, DATA), CONTEXT_0)
        manifest, _ = _value(held, OCTETS)
    except ValueError as error:
        raise InputRefused(f"{path}: its signature carries no manifest: build the bundle with format=verity") from error
    return manifest


def _described(manifest: bytes, path: Path, sha256: str, length: int) -> BundleFile:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    try:
        parser.read_string(manifest.decode())
        update = parser["update"]
        compatible, version = update["compatible"], update["version"]
    except (UnicodeDecodeError, configparser.Error, KeyError) as error:
        raise InputRefused(f"{path}: its manifest has no [update] with compatible and version ({error})") from error
    if parser.get("bundle", "format", fallback="plain") != "verity":
        raise InputRefused(f"{path} is of format {parser.get('bundle', 'format', fallback='plain')}: nodes install verity alone")
    build = update.get("build", "")
    return BundleFile(
        sha256=sha256,
        bytes=length,
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        compatible=compatible,
        version=version,
        build=int(build) if build.isascii() and build.isdigit() else None,
    )
