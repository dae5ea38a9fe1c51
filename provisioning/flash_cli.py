"""`loa-provision flash`: cards from an image, several at once, each read back; and the list of what may be written."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import Struct
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from provisioning import disks, fat
from provisioning.device import BlockDevice
from provisioning.disks import Disk
from provisioning.errors import CardFailed, InputRefused
from provisioning.flash import Flashed, NodeFiles, Stage, flash, read_card, total_bytes
from provisioning.images import Image, check_image, image_size
from provisioning.terminal import interactive, live_console, print_json, print_table, say, warn

EPILOG: Final = "loa-provision flash loa-node.img --to /dev/sdb --to /dev/sdc --card ./cards/3QBMGF42PY --card ./cards/3X34C875ED"
WORDS: Final[dict[Stage, str]] = {
    "probe": "thử dung lượng / size",
    "write": "ghi / write",
    "check": "đọc lại / read back",
    "files": "tệp của cụm / files",
}
NEXT: Final = (
    "Tiếp theo: rút thẻ, ghi mã cụm lên thẻ, cắm vào máy có nhãn ấy; sau `loa node expect` thì bật, rồi so sáu số.",
    "Next: take the card out, write the node's id on it, put it into the machine with that label; after",
    "`loa node expect` switch it on, then compare the six digits.",
)


class Job(Struct, frozen=True, kw_only=True):
    """A card to be written."""

    disk: Disk
    node: NodeFiles | None


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of one card."""

    device: str
    node: str | None
    result: str
    why: str = ""
    written_bytes: int = 0


def flash_command(
    image: Annotated[Path | None, typer.Argument(help="The node's image, with its .bmap or SHA256SUMS beside it.")] = None,
    to: Annotated[list[Path] | None, typer.Option(help="The card's device, such as /dev/sdb (repeat: several at once).")] = None,
    card: Annotated[list[Path] | None, typer.Option(help="What `node new` made for it, ./cards/NODE; one for each --to.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Show removable cards, and nothing else.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the device's name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check image, card folders and devices, write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")] = False,
) -> None:
    """Write cards: find fakes, copy what the image maps, READ IT BACK, add the node's files. Status 1 when one of them failed."""
    if show:
        _show(as_json=as_json)
        return
    if image is None or not to:
        raise InputRefused("hãy nêu tệp ảnh và thẻ / name an image and a card: flash IMAGE --to /dev/sdX --card ./cards/NODE")
    jobs = _jobs(to, card or [], image_size(image))
    checked = _checked(image, nodes=any(job.node for job in jobs), quiet=as_json)
    if dry_run:
        _would(jobs, checked, as_json=as_json)
        return
    _confirm(jobs, yes=yes)
    outcomes = _flash_all(jobs, checked, quiet=as_json or not live_console().is_terminal)
    _tell(outcomes, as_json=as_json)
    if any(outcome.result != "done" for outcome in outcomes):
        raise typer.Exit(1)


def _show(*, as_json: bool) -> None:
    found = disks.cards(disks.read_disks())
    if as_json:
        print_json(found)
        return
    if not found:
        say("Không thấy thẻ nào: cắm thẻ vào đầu đọc. / No removable card: put one into the reader.")
        return
    columns = ("thiết bị / device", "GB", "kiểu / model", "số / serial", "đang gắn ở / mounted at")
    rows = [(disk.path, f"{disk.size_bytes / 1e9:.1f}", disk.model, disk.serial, ", ".join(disk.mounts)) for disk in found]
    print_table(columns, rows)


def _jobs(to: Sequence[Path], folders: Sequence[Path], image_bytes: int) -> list[Job]:
    """Devices with their cards' folders. Raises InputRefused with the first reason against one of them."""
    if folders and len(folders) != len(to):
        raise InputRefused(f"{len(to)} thẻ, {len(folders)} thư mục / folders: name one --card for each --to, in the same order")
    nodes: list[NodeFiles | None] = [read_card(folder) for folder in folders] or [None] * len(to)
    known = {disk.path: disk for disk in disks.read_disks()}
    jobs: list[Job] = []
    for path, node in zip(to, nodes, strict=True):
        disk = known.get(str(path.resolve()))
        if disk is None:
            raise InputRefused(f"không có thiết bị / there is no disk {path}: look with `loa-provision flash --list`")
        reason = disks.why_not(disk, image_bytes)
        if reason is not None:
            raise InputRefused(reason)
        for other in jobs:
            if other.disk.path == disk.path:
                raise InputRefused(f"{disk.path} được nêu hai lần / is named twice: once for each card")
            if node is not None and other.node is not None and other.node.node == node.node:
                raise InputRefused(f"cụm {node.node} được nêu hai lần / node {node.node} is named twice: a claim is for one card")
        jobs.append(Job(disk=disk, node=node))
    return jobs


def _checked(path: Path, *, nodes: bool, quiet: bool) -> Image:
    """The image, whole and right, before any card is touched."""
    if nodes:
        fat.need_mtools()
    if not quiet:
        say(f"Đang kiểm tra tệp ảnh / checking {path} ...")
    checked = check_image(path)
    if nodes and fat.offset_in(path) is None:
        raise InputRefused(f"tệp ảnh {path} không có phân vùng FAT / has no FAT partition: is it a node's image?")
    return checked


def _would(jobs: Sequence[Job], image: Image, *, as_json: bool) -> None:
    if as_json:
        print_json([Outcome(device=job.disk.path, node=job.node.node if job.node else None, result="would") for job in jobs])
        return
    _table(jobs)
    say(f"Sẽ ghi / would write {image.mapped_bytes / 1e6:.0f} MB / {image.size_bytes / 1e6:.0f}. Chưa ghi gì / nothing written.")


def _table(jobs: Sequence[Job]) -> None:
    rows = [
        (job.disk.path, f"{job.disk.size_bytes / 1e9:.1f}", job.disk.model, job.disk.serial, job.node.node if job.node else "-")
        for job in jobs
    ]
    print_table(("thiết bị / device", "GB", "kiểu / model", "số / serial", "cụm loa / node"), rows)


def _confirm(jobs: Sequence[Job], *, yes: bool) -> None:
    """Each device's name is typed by whoever means it. Raises InputRefused for another word, or when nobody can be asked."""
    if yes:
        return
    if not interactive():
        raise InputRefused("không có ai để hỏi / there is no terminal to ask at: look with --dry-run, then say --yes")
    _table(jobs)
    warn("MỌI THỨ trên các thẻ này sẽ mất. / EVERYTHING on these cards will be lost.", style="bold red")
    for job in jobs:
        typed: str = typer.prompt(f"Gõ tên để ghi đè / type the name to write over it ({job.disk.name})", err=True)
        if typed.strip() not in (job.disk.name, job.disk.path):
            raise InputRefused(f"{typed.strip()!r} không phải / is not {job.disk.name}: nothing was written, begin again")


def _flash_all(jobs: Sequence[Job], image: Image, *, quiet: bool) -> list[Outcome]:
    """All cards at once, a thread each. One that fails leaves the others alone; Ctrl-C ends all of them."""
    stopped = threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with ExitStack() as stack:
        devices = [stack.enter_context(BlockDevice(Path(job.disk.path))) for job in jobs]
        bars = stack.enter_context(Progress(*columns, console=live_console(), disable=quiet))
        pool = stack.enter_context(ThreadPoolExecutor(max_workers=len(jobs)))
        begun = [
            pool.submit(_one, job, device, image, _bar(bars, job, image, stopped))
            for job, device in zip(jobs, devices, strict=True)
        ]
        try:
            return [each.result() for each in begun]
        except KeyboardInterrupt:
            stopped.set()
            warn("Dừng giữa chừng: các thẻ này chưa dùng được. / Stopped: these cards are not to be used.", style="bold red")
            raise


def _bar(bars: Progress, job: Job, image: Image, stopped: threading.Event) -> Callable[[Stage, int], None]:
    totals = total_bytes(image, job.disk.size_bytes)
    rows = {stage: bars.add_task(f"{job.disk.name} {WORDS[stage]}", total=total, start=False) for stage, total in totals.items()}

    def told(stage: Stage, count: int) -> None:
        if stopped.is_set():
            raise CardFailed(f"{job.disk.path}: dừng giữa chừng, thẻ chưa dùng được / was stopped: the card is not to be used")
        bars.start_task(rows[stage])
        bars.advance(rows[stage], count)

    return told


def _one(job: Job, device: BlockDevice, image: Image, told: Callable[[Stage, int], None]) -> Outcome:
    node = job.node.node if job.node else None
    try:
        flashed: Flashed = flash(device, image, told, node=job.node)
    except (CardFailed, InputRefused) as failed:
        return Outcome(device=job.disk.path, node=node, result="failed", why=str(failed))
    return Outcome(device=job.disk.path, node=node, result="done", written_bytes=flashed.written_bytes)


def _tell(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    if as_json:
        print_json(outcomes)
        return
    for outcome in outcomes:
        if outcome.result != "done":
            warn(outcome.why, style="bold red")
            continue
        whose = f", cụm / node {outcome.node}" if outcome.node else ""
        say(
            f"{outcome.device}: xong, đọc lại đúng{whose} / done, {outcome.written_bytes / 1e6:.0f} MB read back",
            style="green",
        )
    if any(outcome.result == "done" for outcome in outcomes):
        for line in NEXT:
            say(line)
