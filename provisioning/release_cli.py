"""The command `release` of loa-provision: from a bundle to a document that two persons of the release desk signed, offline."""

import hashlib
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from protocol.documents import Root
from protocol.errors import Malformed, Superseded
from protocol.release import Bundle, PageFile, Release, ReleaseBody
from protocol.release_rules import check_floor, check_release
from protocol.rules import document_mark
from provisioning import papers
from provisioning.bundle import BundleFile, read_bundle
from provisioning.bundling import make_bundle, named_in
from provisioning.ceremony import ROOT, next_seq
from provisioning.checking import load_trust
from provisioning.documents_cli import (
    DryOption,
    JsonOption,
    KeyOption,
    OutOption,
    PaperArgument,
    RootOption,
    SecretOption,
    YesOption,
    draft,
    now_ms,
    show_paper,
    sign_paper,
)
from provisioning.errors import InputRefused
from provisioning.terminal import print_json, print_lines

DAY_MS: Final = 86_400_000
release = typer.Typer(no_args_is_help=True, help="The firmware of nodes (phát hành phần mềm): two persons release a bundle.")


class Before(msgspec.Struct, frozen=True):
    """The release that this one follows."""

    path: Path
    release: Release
    digest: str


def read_before(path: Path) -> Before:
    """The release in a file. Raises InputRefused."""
    paper = papers.read_paper(path)
    if not isinstance(paper.payload, Release):
        raise InputRefused(f"{path} is a {paper.kind}: --old names the release that this one follows")
    return Before(path, paper.payload, paper.digest)


def page_files(folder: Path) -> tuple[PageFile, ...]:
    """The signing page's files in a folder, as `loa signing-page --to` makes it, with their SHA-256. Raises InputRefused."""
    remedy = f"make it with `loa signing-page --to {folder}`"
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
        found = tuple(PageFile(name=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest()) for path in files)
    except OSError as error:
        raise InputRefused(f"{folder} cannot be read ({error.strerror}): {remedy}") from error
    if not any(each.name == "index.html" for each in found):
        raise InputRefused(f"{folder} holds no index.html: {remedy}")
    return found


def build_release(
    root: Root,
    bundle: BundleFile,
    *,
    build: int,
    floor: int,
    days: int,
    at_ms: int,
    old: Before | None,
    page: tuple[PageFile, ...],
) -> Release:
    """The release of a bundle under a root, after `old`. Raises Malformed or Superseded for what no node would take."""
    made = Release(
        authority=ROOT,
        area=root.area,
        area_no=root.area_no,
        seq=next_seq(at_ms, old.release.seq if old is not None else -1),
        purpose="routine",
        subject=bundle.compatible,
        prev=old.digest if old is not None else None,
        valid_from_ms=at_ms,
        valid_until_ms=at_ms + days * DAY_MS,
        body=ReleaseBody(
            version=bundle.version,
            build=build,
            floor=floor,
            bundle=Bundle(sha256=bundle.sha256, bytes=bundle.bytes),
            manifest=bundle.manifest_sha256,
            page=page,
        ),
    )
    try:
        msgspec.json.decode(msgspec.json.encode(made), type=Release)
    except msgspec.ValidationError as error:
        raise Malformed(f"the bundle's manifest or a name of the page does not fit: {error}") from error
    check_release(made)
    if old is not None:
        if old.release.subject != made.subject:
            raise Malformed(f"{old.path} is for {old.release.subject}, this bundle for {made.subject}")
        check_floor(made, document_mark(old.release, old.digest))
    return made


def _build(bundle: Path, found: BundleFile, given: int | None) -> int:
    if found.build is not None and given not in (None, found.build):
        raise InputRefused(f"{bundle} says build {found.build}, --build says {given}: leave --build out")
    number = found.build if found.build is not None else given
    if number is None:
        raise InputRefused(f"{bundle}: its manifest names no build number; give it with --build")
    return number


@release.command(
    "build",
    epilog="loa-provision release build loa-node-7.ext4 --cert bundles.pem --key bundles.key --out loa-node-7.raucb",
)
def release_build(
    *,
    rootfs: Annotated[Path, typer.Argument(help="The root file system that `loa-provision image build` made (.ext4).")],
    certificate: Annotated[Path, typer.Option("--cert", help="PEM certificate that the images' keyring trusts.")],
    key: Annotated[str, typer.Option(help="Its private key: a PEM file, or pkcs11:...")],
    out: OutOption,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the RAUC bundle (format verity, adaptive) of a root file system; version and build stand in the file itself."""
    if dry_run:
        named = named_in(rootfs)
        print_lines([("compatible", named.compatible), ("version", named.version), ("build", str(named.build))])
        return
    made = make_bundle(rootfs, out, certificate=certificate, key=key)
    if as_json:
        print_json(made)
        return
    print_lines(
        [
            ("gói / bundle", str(out)),
            ("phiên bản / version", f"{made.version} ({made.build})"),
            ("cỡ / size", f"{made.bytes / 1e6:.1f} MB"),
            ("SHA-256", made.sha256),
        ]
    )


@release.command("new", epilog="loa-provision release new loa-node-7.raucb --root root.json --floor 5 --out release.json")
def release_new(
    *,
    bundle: Annotated[Path, typer.Argument(help="The RAUC bundle (format verity).")],
    root_file: RootOption,
    out: OutOption,
    floor: Annotated[
        int | None, typer.Option(help="The lowest build that may ever be installed after this one; else that of --old.")
    ] = None,
    build: Annotated[int | None, typer.Option(help="The build number, when the manifest names none.")] = None,
    old: Annotated[Path | None, typer.Option(help="The release that this one follows.")] = None,
    page: Annotated[
        Path | None, typer.Option(help="The signing page's files, from `loa signing-page --to`: their hashes are signed too.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=1_100, help="For so many days nodes may take it in.")] = 365,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the draft of a release from a bundle: its length, hashes, version, build and the floor."""
    root = papers.open_root(root_file, None)
    before = read_before(old) if old is not None else None
    lowest = floor if floor is not None else before.release.body.floor if before is not None else None
    if lowest is None:
        raise InputRefused("no floor: name the lowest build that may still be installed with --floor (0: any), or --old")
    found = read_bundle(bundle)
    number, named = _build(bundle, found, build), page_files(page) if page is not None else ()
    try:
        made = build_release(root, found, build=number, floor=lowest, days=days, at_ms=now_ms(), old=before, page=named)
    except (Malformed, Superseded) as error:
        raise InputRefused(f"no node would take this release: {error}") from error
    draft(made, out, kind="release", dry_run=dry_run, as_json=as_json)


@release.command(
    "sign", epilog="loa-provision release sign release.json --root root.json --key a.key   (then b, on the same file)"
)
def release_sign(
    file: PaperArgument,
    key: KeyOption,
    root_file: RootOption,
    bundle: Annotated[Path | None, typer.Option(help="The bundle on this computer: sign only if it is the one named.")] = None,
    passphrase_file: SecretOption = None,
    yes: YesOption = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sign a release, in its file, after reading it. Two persons of the root's role `release` do so one after the other."""
    trust = load_trust(root_file, None, [])
    if bundle is not None:
        _hold_against(file, bundle)
    sign_paper(file, "release", key=key, secret=passphrase_file, trust=trust, how=(yes, dry_run, as_json))


def _hold_against(file: Path, bundle: Path) -> None:
    """Each signer can look for himself that the bundle is the one that the draft names. Raises InputRefused."""
    said, found = read_before(file).release, read_bundle(bundle)
    pairs = (
        ("compatible", said.subject, found.compatible),
        ("version", said.body.version, found.version),
        ("build", said.body.build, found.build or said.body.build),
        ("bytes", said.body.bundle.bytes, found.bytes),
        ("sha256", said.body.bundle.sha256, found.sha256),
        ("manifest", said.body.manifest, found.manifest_sha256),
    )
    for what, named, there in pairs:
        if named != there:
            raise InputRefused(f"{bundle} is not what {file} names: {what} is {there}, named is {named}")


@release.command("show", epilog="loa-provision release show release.json")
def release_show(file: PaperArgument, as_json: JsonOption = False) -> None:
    """Show a release: machine, version, build, floor, bundle and digest."""
    show_paper(file, "release", as_json=as_json)
