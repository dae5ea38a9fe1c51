"""`loa-provision image`: build a node's image; tell whether one is whole and the one that was published, and which version."""

import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from provisioning import fat
from provisioning.errors import CardFailed, InputRefused
from provisioning.files import read_bytes
from provisioning.image.archive import mirrors
from provisioning.image.build import Builder, Built, cache_folder
from provisioning.image.recipe import PACKAGES, WHEELS, Recipe
from provisioning.image.rootless import as_root_of_our_own
from provisioning.images import check_image
from provisioning.terminal import print_json, print_lines, say, warn

image = typer.Typer(no_args_is_help=True, help="A node's image (tệp ảnh của cụm loa).")
LONGEST_VERSION = 200


@image.command("build", epilog="loa-provision image build --version 2026.11.1 --build 1 --keyring bundles.pem --out ./image")
def build(
    *,
    version: Annotated[str, typer.Option(help="What the image calls itself, such as 2026.11.1.")],
    number: Annotated[int, typer.Option("--build", min=1, help="A number that only grows: releases are compared by it.")],
    keyring: Annotated[Path, typer.Option(help="PEM certificates under which bundles must be signed.")],
    out: Annotated[Path, typer.Option(help="The folder for image, map, sums, bill of materials and root file system.")],
    cache: Annotated[Path | None, typer.Option(help="Where finished steps are kept (~/.cache/loa-image).")] = None,
    mirror: Annotated[str | None, typer.Option(help="Debian's archive; else the one that this machine uses.")] = None,
    security: Annotated[str | None, typer.Option(help="Its security updates; else those of this machine.")] = None,
    epoch: Annotated[
        int | None, typer.Option(help="Unix time of all files; else SOURCE_DATE_EPOCH, or the last commit's.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the inputs and say what would go in; build nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")] = False,
) -> None:
    """Build the image of Raspberry Pi 3, 4, Zero 2 W, CM4 and QEMU's virt from Debian's packages and this source tree."""
    main, updates = (mirror, security) if mirror and security else mirrors()
    recipe = Recipe(
        version=version,
        build=number,
        epoch_s=epoch if epoch is not None else _epoch_s(),
        mirror=mirror or main,
        security=security or updates,
        keyring=read_bytes(keyring, "keyring"),
    )
    if dry_run:
        say(f"{len(PACKAGES)} packages of Debian and what they need, {len(WHEELS)} of Python; nothing was built.")
        return
    as_root_of_our_own()
    built = Builder(recipe, cache=cache or cache_folder(), told=lambda step: warn(f"… {STEPS[step]}", style="cyan")).build(out)
    if as_json:
        print_json(built)
        return
    print_lines(_lines(built))


STEPS = {
    "base.tar": "gói Debian, lâu nhất (khoảng 10 phút) / Debian's packages, the long one (about 10 minutes)",
    "wheels": "gói Python / Python's packages",
    "tree": "phần mềm cụm loa / the agent and its files",
    "boot": "phân vùng khởi động / the boot partition",
    "root": "bản hệ thống / the root file system",
    "card": "tệp ảnh, mã kiểm tra / the image, its map and its sums",
}


def _lines(built: Built) -> list[tuple[str, str]]:
    took = ", ".join(f"{step} {ms / 1000:.0f} s" for step, ms in built.step_ms.items())
    return [
        ("tệp ảnh / image", str(built.image)),
        ("hệ thống / root file system", f"{built.rootfs}, {built.root_used_bytes / 1e6:.0f} MB used"),
        ("thành phần / bill of materials", str(built.bill)),
        ("mã kiểm tra / sums", str(built.sums)),
        ("thời gian / took", took),
    ]


def _epoch_s() -> int:
    """Of the last commit, so that one source is one image."""
    told = os.environ.get("SOURCE_DATE_EPOCH", "")
    if told.isdecimal():
        return int(told)
    here = Path(__file__).parent
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=here, capture_output=True, text=True, check=False)
    if not done.stdout.strip().isdecimal():
        raise InputRefused("this tree is no git checkout, so it has no date: name one with --epoch")
    return int(done.stdout)


@image.command("verify", epilog="loa-provision image verify loa-node.img")
def verify(
    path: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image; its .bmap, .sha256 or SHA256SUMS lie beside it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")] = False,
) -> None:
    """Check an image against what lies beside it. Status 1, and a sentence, when it differs or nothing is there."""
    checked = check_image(path)
    version = version_in(path)
    if as_json:
        print_json(
            {
                "image": str(path),
                "good": True,
                "bytes": checked.size_bytes,
                "mapped_bytes": checked.mapped_bytes,
                "checked_by": checked.checked_by,
                "version": version,
            }
        )
        return
    print_lines(
        [
            ("tệp ảnh / image", str(path)),
            ("cỡ / size", f"{checked.size_bytes / 1e6:.0f} MB, {checked.mapped_bytes / 1e6:.0f} MB to write"),
            ("đối chiếu / checked by", ", ".join(checked.checked_by)),
            ("phiên bản / version", version or "tệp ảnh không ghi / the image does not say"),
        ]
    )
    say("ĐÚNG / GOOD: tệp ảnh nguyên vẹn / it is whole.", style="green")


def version_in(path: Path) -> str | None:
    """The line that the image's recipe left on the boot partition; None when there is none, or mtools is missing."""
    offset_bytes = fat.offset_in(path)
    if offset_bytes is None:
        return None
    try:
        content = fat.take(str(path), offset_bytes, fat.VERSION)
    except CardFailed:
        return None
    text = (content or b"")[:LONGEST_VERSION].decode(errors="replace").strip()
    return text if text.isprintable() and text else None
