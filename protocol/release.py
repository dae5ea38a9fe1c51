"""The release of a firmware: which bundle, of which build, and below which build nothing may ever be installed again."""

from typing import Annotated, Literal

from msgspec import Meta

from protocol.units import U32, Document, Sha256, Strict

Compatible = Annotated[str, Meta(pattern=r"^[0-9a-z]+([._-][0-9a-z]+)*\Z", max_length=48)]
"""RAUC's `compatible`: the kind of machine that a bundle is for, as `loa-node`."""
Version = Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+~_-]{0,47}\Z")]
Build = Annotated[int, Meta(ge=1, lt=2**32)]
FileName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,47}\Z")]


class Bundle(Strict, frozen=True, kw_only=True):
    """The RAUC bundle as a file."""

    sha256: Sha256
    bytes: Annotated[int, Meta(ge=1, le=2**40)]


class PageFile(Strict, frozen=True, kw_only=True):
    """One file of the signing page."""

    name: FileName
    sha256: Sha256


class ReleaseBody(Strict, frozen=True, kw_only=True):
    """`build` rises with every bundle that is built; `manifest` is SHA-256 of the RAUC manifest, which a node pins.

    `floor` is the lowest build that may be installed once this release was taken in; it never sinks. `page` are the files of the
    officers' signing page with their SHA-256, for whoever holds what is served against them; nodes do not look at it.
    """

    version: Version
    build: Build
    floor: U32
    bundle: Bundle
    manifest: Sha256
    page: Annotated[tuple[PageFile, ...], Meta(max_length=64)] = ()


class Release(Document, frozen=True, kw_only=True):
    """By two persons or more of the root's role `release`, whose area it names. Which node gets it is not said here."""

    kind: Literal["release"] = "release"
    subject: Compatible
    body: ReleaseBody
