"""`loa signing-page`: the files that officers' browsers run, to be copied elsewhere, and held against the signed release."""

import hashlib
import ssl
from pathlib import Path
from typing import Annotated

import httpx
import typer

from controller.cli.options import JsonOption
from protocol.release import Release
from provisioning.checking import judge, load_trust
from provisioning.errors import InputRefused
from provisioning.files import write_whole
from provisioning.papers import read_paper
from provisioning.terminal import print_json, print_lines, say

MOST_BYTES = 2 << 20
PATIENCE_S = 20


def signing_page(
    *,
    to: Annotated[Path | None, typer.Option(help="Copy the files into this folder, for another machine to serve.")] = None,
    controller: Annotated[list[str] | None, typer.Option(help="Controller's origin, for the policy header (repeat).")] = None,
    release: Annotated[Path | None, typer.Option(help="Hold the files against this signed release.")] = None,
    root: Annotated[Path | None, typer.Option(help="With --release: the root's file.")] = None,
    pin: Annotated[str | None, typer.Option(help="With --release: the root's digest, from the ceremony's record.")] = None,
    served: Annotated[str | None, typer.Option(help="With --release: the page as this address serves it.")] = None,
    ca: Annotated[Path | None, typer.Option(help="With --served: the CA's certificate, when it is the controller's own.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The signing page's files with their SHA-256 and the headers they need; or whether they are what a release names."""
    from controller import signing_site

    if release is not None:
        if root is None:
            raise InputRefused("--release needs --root: who signed it is judged from the root")
        named = _named(release, root, pin)
        there = _served(served, named, ca) if served is not None else signing_site.files()
        _hold(named, there, served or "this installation", as_json=as_json)
        return
    manifest = signing_site.manifest()
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
        for name, content in signing_site.files().items():
            write_whole(to / name, content)
    headers = signing_site.headers(controller or ["https://CONTROLLER:8443"])
    if as_json:
        print_json({"files": manifest, "headers": headers})
        return
    print_lines([(digest, name) for name, digest in manifest.items()])
    say("Serve them with these headers:")
    print_lines(list(headers.items()))


def _named(release: Path, root: Path, pin: str | None) -> dict[str, str]:
    """The files that a release names. Raises InputRefused when it does not count, or names none."""
    paper = read_paper(release)
    if not isinstance(paper.payload, Release):
        raise InputRefused(f"{release} is a {paper.kind}: --release takes a release")
    verdict = judge(paper, load_trust(root, pin, []))
    if not verdict.good:
        raise InputRefused(f"{release} does not count: {verdict.sentence}")
    if not paper.payload.body.page:
        raise InputRefused(f"{release} names no signing page: make it with `loa-provision release new --page FOLDER`")
    return {file.name: file.sha256 for file in paper.payload.body.page}


def _served(address: str, named: dict[str, str], ca: Path | None) -> dict[str, bytes]:
    """What an address serves under the names of the page; `index.html` as it stands at `/`. Raises InputRefused."""
    found = {}
    try:
        trusted = ssl.create_default_context(cafile=str(ca) if ca is not None else None)
        with httpx.Client(base_url=address, verify=trusted, timeout=PATIENCE_S) as link:
            for name in named:
                with link.stream("GET", "/" if name == "index.html" else f"/{name}") as reply:
                    if reply.status_code == httpx.codes.OK:
                        found[name] = _body(reply)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise InputRefused(f"{address} cannot be asked: {error}") from error
    return found


def _body(reply: httpx.Response) -> bytes:
    whole = b""
    for part in reply.iter_bytes():
        whole += part
        if len(whole) > MOST_BYTES:
            break  # no file of the page is so long: its hash will not be the named one
    return whole


def _hold(named: dict[str, str], there: dict[str, bytes], where: str, *, as_json: bool) -> None:
    """Say of each file whether it is the named one. Raises InputRefused when one is not."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in there.items()}
    wrong = sorted(name for name in named.keys() | hashes.keys() if named.get(name) != hashes.get(name))
    if as_json:
        print_json({"where": where, "files": hashes, "wrong": wrong})
    if wrong:
        raise InputRefused(f"{where} is not the signing page of this release: {', '.join(wrong)} differ. Nobody is to sign there")
    if not as_json:
        say(f"{where}: all {len(named)} files of the signing page are those of the signed release.")
