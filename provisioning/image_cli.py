"""`loa-provision image verify`: whether an image is whole and the one that was published, and which version it says it is."""

from pathlib import Path
from typing import Annotated

import typer

from provisioning import fat
from provisioning.errors import CardFailed
from provisioning.images import check_image
from provisioning.terminal import print_json, print_lines, say

image = typer.Typer(no_args_is_help=True, help="A node's image (tệp ảnh của cụm loa).")
LONGEST_VERSION = 200


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
