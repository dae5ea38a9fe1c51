"""Cards from an image: what is refused before, what is found out meanwhile, and what lies on the card at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.node_id import is_valid
from provisioning import disks, fat
from provisioning.device import BlockDevice
from provisioning.disks import parse_lsblk, why_not
from provisioning.enrol import draw_node_id
from provisioning.errors import CardFailed
from provisioning.flash import flash, read_card, total_bytes
from provisioning.images import check_image
from tests.provisioning.cards import (
    BLOCK,
    IMAGE_BYTES,
    MIB,
    FakeCard,
    disk,
    loop_device,
    loops_work,
    lsblk_says,
    make_card,
    make_image,
    mapped_runs,
)
from tests.provisioning.conftest import Said

STRIDE = MIB
CARD_BYTES = 32 * MIB


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "loa-node.img"
    make_image(path)
    return path


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return blank(tmp_path / "sdx")


def blank(path: Path, size: int = CARD_BYTES) -> Path:
    path.write_bytes(b"\xa5" * size)
    return path


def run(folder: Path, *words: str, env: dict[str, str], stdin: str = "") -> Said:
    done = subprocess.run(
        [sys.executable, "-m", "provisioning", "flash", *words],
        cwd=folder,
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def holds(content: bytes, image: bytes) -> bool:
    """Whether every block that the image maps is there."""
    return all(
        content[first * BLOCK : (last + 1) * BLOCK] == image[first * BLOCK : (last + 1) * BLOCK]
        for first, last in mapped_runs(image)
    )


# --- one card ---


def test_a_card_holds_what_the_image_maps_and_every_stage_is_told_whole(image: Path):
    device, checked, done = FakeCard(CARD_BYTES), check_image(image), {}

    def told(stage: str, count: int) -> None:
        done[stage] = done.get(stage, 0) + count

    flashed = flash(device, checked, told, stride_bytes=STRIDE)
    assert holds(device.read(0, IMAGE_BYTES), image.read_bytes())
    assert done == total_bytes(checked, CARD_BYTES, STRIDE)
    assert flashed.written_bytes == checked.mapped_bytes < IMAGE_BYTES


def test_what_reads_back_otherwise_is_a_broken_card(image: Path):
    at = 8 * MIB + 9_000
    device = FakeCard(CARD_BYTES, flips_at=at)
    with pytest.raises(CardFailed, match=r"what reads back from 8\.4 to 9\.4 MB is not what was written"):
        flash(device, check_image(image), stride_bytes=STRIDE)


def test_a_bit_that_turns_where_nothing_is_mapped_or_probed_is_nobodys_business(image: Path):
    flash(device := FakeCard(CARD_BYTES, flips_at=15 * MIB + 5_000), check_image(image), stride_bytes=STRIDE)
    assert device.settled


def test_a_fake_is_found_before_the_image_is_written(image: Path):
    device, stages = FakeCard(256 * MIB, true_bytes=CARD_BYTES), set()
    with pytest.raises(CardFailed, match=r"it claims 0\.3 GB and holds 0\.0 GB"):
        flash(device, check_image(image), lambda stage, _count: stages.add(stage), stride_bytes=STRIDE)
    assert stages == {"probe"}


@pytest.mark.parametrize("after", [0, 2 * MIB, 5 * MIB])
def test_a_card_that_is_pulled_out_is_told_whenever_it_happens(image: Path, after):
    with pytest.raises(CardFailed, match="pulled out"):
        flash(FakeCard(CARD_BYTES, fails_after=after), check_image(image), stride_bytes=STRIDE)


def test_an_image_that_changes_meanwhile_is_not_the_cards_fault(image: Path):
    checked = check_image(image)
    with image.open("r+b") as file:
        file.seek(8 * MIB)
        file.write(b"other")
    with pytest.raises(CardFailed, match="changed meanwhile"):
        flash(FakeCard(CARD_BYTES), checked, stride_bytes=STRIDE)


def test_on_a_block_device_too_with_the_nodes_files_on_its_boot_partition(image: Path, card: Path, tmp_path: Path):
    if not loops_work():
        pytest.skip("loop devices need root")
    node = read_card(make_card(tmp_path / "c" / "one", draw_node_id(os.urandom)))
    with loop_device(card) as loop:
        with BlockDevice(loop) as device:
            flashed = flash(device, check_image(image), node=node, stride_bytes=STRIDE)
            offset = fat.fat_offset(device.read)
        assert set(flashed.files) == {"node.toml", "ca.pem", "root.json", "52.24076.grant.json", "claim"}
        assert offset is not None
        assert fat.take(str(loop), offset, "claim") == f"claim of {node.node}\n".encode()


# --- which devices ---

PLAIN = {"type": "disk", "rm": False, "hotplug": False, "ro": False, "mountpoints": [None]}
READER = PLAIN | {"rm": True, "hotplug": True, "tran": "usb"}


def seen(
    path: str, size: int, *children: dict[str, object], like: dict[str, object] = PLAIN, **more: object
) -> dict[str, object]:
    """What lsblk 2.38 says of a disk or a part."""
    name = path.rpartition("/")[2]
    return like | {"name": name, "path": path, "size": size, "model": None, "children": list(children)} | more


ROOT_DISK = seen("/dev/mapper/root", 511 * 10**9, type="crypt", mountpoints=["/"])
LAPTOP = {
    "blockdevices": [
        seen(
            "/dev/nvme0n1",
            512_110_190_592,
            seen("/dev/nvme0n1p1", 536_870_912, type="part", mountpoints=["/boot/efi"]),
            seen("/dev/nvme0n1p2", 511 * 10**9, ROOT_DISK, type="part"),
        ),
        seen("/dev/sda", 2_000_398_934_016, hotplug=True, tran="usb", model="My Passport "),
        seen(
            "/dev/sdb",
            31_914_983_424,
            seen("/dev/sdb1", 31 * 10**9, like=READER, type="part", mountpoints=["/media/lan/ANH"]),
            like=READER,
        ),
        seen("/dev/sdc", 15_931_539_456, like=READER),
        seen("/dev/sdd", 0, like=READER),
        seen("/dev/sde", 15_931_539_456, like=READER, ro=True),
        seen("/dev/mmcblk0", 31_268_536_320, hotplug=True),
        seen("/dev/mmcblk0boot0", 4_194_304, hotplug=True, ro=True),
        seen("/dev/mmcblk1", 31_914_983_424, hotplug=True),
        seen("/dev/sr0", 1_073_741_312, like=READER, type="rom"),
    ]
}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/dev/nvme0n1", "system disk"),
        ("/dev/nvme0n1p1", "system disk"),
        ("/dev/mapper/root", "system disk"),
        ("/dev/sda", "no removable card"),
        ("/dev/sdb", "umount /media/lan/ANH"),
        ("/dev/sdb1", "name the whole card, /dev/sdb"),
        ("/dev/sdd", "reader without a card"),
        ("/dev/sde", "move the card's switch"),
        ("/dev/mmcblk0", "no removable card"),
        ("/dev/mmcblk0boot0", "no removable card"),
        ("/dev/sr0", "no removable card"),
        ("/dev/sdc", None),
        ("/dev/mmcblk1", None),
    ],
)
def test_only_a_card_that_nobody_uses_may_be_written(path, words):
    (found,) = (each for each in parse_lsblk(json.dumps(LAPTOP).encode()) if each.path == path)
    reason = why_not(found, 4_000_000_000)
    assert (reason is None) == (words is None)
    assert (words or "") in (reason or "")
    assert "\n" not in (reason or "")


def test_a_card_smaller_than_the_image_is_refused_and_one_of_its_size_is_not():
    (found,) = (each for each in parse_lsblk(json.dumps(LAPTOP).encode()) if each.path == "/dev/sdc")
    assert why_not(found, found.size_bytes) is None
    assert "holds 15.9 GB, the image needs 15.9 GB" in (why_not(found, found.size_bytes + 1) or "")


def test_the_list_shows_cards_alone():
    assert [each.path for each in disks.cards(parse_lsblk(json.dumps(LAPTOP).encode()))] == [
        "/dev/sdb",
        "/dev/sdc",
        "/dev/sde",
        "/dev/mmcblk1",
    ]


def test_lsblk_of_this_computer_is_understood():
    assert all(each.path.startswith("/dev/") for each in disks.read_disks())


# --- the command ---


def test_two_cards_at_once_each_with_its_own_node(image: Path, card: Path, tmp_path: Path):
    other = blank(tmp_path / "sdy")
    nodes = [draw_node_id(os.urandom) for _ in range(2)]
    folders = [make_card(tmp_path / "cards" / node, node) for node in nodes]
    env = lsblk_says(tmp_path, disk(card), disk(other))
    to = ("--to", str(card), "--card", str(folders[0]), "--to", str(other), "--card", str(folders[1]))
    said = run(tmp_path, "loa-node.img", *to, "--yes", "--json", env=env)
    assert said.code == 0, said.err
    assert [(each["device"], each["node"], each["result"]) for each in json.loads(said.out)] == [
        (str(card), nodes[0], "done"),
        (str(other), nodes[1], "done"),
    ]
    for path, folder in ((card, folders[0]), (other, folders[1])):
        offset = fat.offset_in(path)
        assert offset is not None
        for file in folder.iterdir():
            assert fat.take(str(path), offset, file.name) == file.read_bytes()
        behind = slice(offset + 4 * MIB, IMAGE_BYTES)
        assert holds(bytes(behind.start) + path.read_bytes()[behind], bytes(behind.start) + image.read_bytes()[behind])


def test_a_dry_run_and_a_list_write_nothing(image: Path, card: Path, tmp_path: Path):
    env = lsblk_says(tmp_path, disk(card), disk(blank(tmp_path / "sdz"), rm=False))
    said = run(tmp_path, "loa-node.img", "--to", str(card), "--dry-run", env=env)
    assert (said.code, "nothing written" in said.out) == (0, True)
    shown = run(tmp_path, "--list", "--json", env=env)
    assert [each["path"] for each in json.loads(shown.out)] == [str(card)]
    assert card.read_bytes() == b"\xa5" * CARD_BYTES


REFUSED = {
    "nobody to ask": ((), "no terminal"),
    "a device that is not there": (("--to", "/dev/sdq"), "no disk /dev/sdq"),
    "a device twice": (("--to", "{card}", "--yes"), "named twice"),
    "fewer folders than cards": (("--to", "{other}", "--card", "{folder}", "--yes"), "one --card for each --to"),
    "one node on two cards": (
        ("--to", "{other}", "--card", "{folder}", "--card", "{folder}", "--yes"),
        "a claim is for one card",
    ),
    "a folder that is no card": (("--card", "{here}", "--yes"), "is no card's folder"),
    "a fixed disk": (("--to", "{fixed}", "--yes"), "no removable card"),
    "a mounted one": (("--to", "{mounted}", "--yes"), "umount /media/x"),
    "one too small": (("--to", "{small}", "--yes"), "take a larger card"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_must_not_be_is_one_sentence_and_no_byte(image: Path, card: Path, tmp_path: Path, case):
    words, sentence = REFUSED[case]
    node = draw_node_id(os.urandom)
    names = {name: blank(tmp_path / name) for name in ("other", "fixed", "mounted")} | {"small": blank(tmp_path / "small", MIB)}
    env = lsblk_says(
        tmp_path,
        disk(card),
        disk(names["other"]),
        disk(names["fixed"], rm=False),
        disk(names["mounted"], mountpoints=["/media/x"]),
        disk(names["small"]),
    )
    places = {name: str(path) for name, path in names.items()} | {"card": str(card), "here": str(tmp_path)}
    places["folder"] = str(make_card(tmp_path / "cards" / node, node))
    said = run(tmp_path, "loa-node.img", "--to", str(card), *(word.format(**places) for word in words), env=env)
    assert said.code == 1
    assert sentence in said.err
    assert "Traceback" not in said.err
    for path in (card, *names.values()):
        assert set(path.read_bytes()) == {0xA5}


def test_a_damaged_image_touches_no_card(image: Path, card: Path, tmp_path: Path):
    with image.open("r+b") as file:
        file.seek(8 * MIB)
        file.write(b"other")
    said = run(tmp_path, "loa-node.img", "--to", str(card), "--yes", env=lsblk_says(tmp_path, disk(card)))
    assert (said.code, "is damaged" in said.err) == (1, True)
    assert set(card.read_bytes()) == {0xA5}


def test_one_card_that_fails_leaves_the_other_whole_and_the_status_says_so(image: Path, card: Path, tmp_path: Path):
    """The second claims to lsblk what the first has; its device ends at a third of that."""
    short = blank(tmp_path / "sdy", 8 * MIB)
    env = lsblk_says(tmp_path, disk(card), disk(short, CARD_BYTES))
    said = run(tmp_path, "loa-node.img", "--to", str(card), "--to", str(short), "--yes", "--json", env=env)
    assert said.code == 1
    whole, failed = json.loads(said.out)
    assert (whole["result"], failed["result"]) == ("done", "failed")
    assert "smaller than the image" in failed["why"]
    assert holds(card.read_bytes(), image.read_bytes())


def test_a_card_that_breaks_in_mid_write_is_one_sentence_and_status_1(image: Path, tmp_path: Path):
    """A block device over a file on a disk that is soon full: the kernel answers as for a card that was pulled out."""
    small = tmp_path / "small"
    small.mkdir()
    if (
        not loops_work()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6M", "tmpfs", str(small)], check=False).returncode != 0
    ):
        pytest.skip("loop devices and mounts need root")
    try:
        with (small / "card").open("wb") as file:
            file.truncate(CARD_BYTES)
        with loop_device(small / "card") as loop:
            env = lsblk_says(tmp_path, disk(loop, CARD_BYTES))
            said = run(tmp_path, "loa-node.img", "--to", str(loop), "--yes", env=env)
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert said.code == 1
    assert "pulled out or broke" in said.err
    assert len(said.err.strip().splitlines()) == 1


def test_the_devices_name_is_typed_by_whoever_means_it(image: Path, card: Path, tmp_path: Path, at_terminal, monkeypatch):
    monkeypatch.setenv("PATH", lsblk_says(tmp_path, disk(card))["PATH"])
    status, shown = at_terminal("flash", "loa-node.img", "--to", str(card), lines=("sdy",))
    assert (status, "nothing was written" in shown) == (1, True)
    assert set(card.read_bytes()) == {0xA5}
    status, shown = at_terminal("flash", "loa-node.img", "--to", str(card), lines=("sdx",))
    assert status == 0, shown
    assert "đọc lại đúng" in shown
    assert "Next: take the card out" in shown
    assert holds(card.read_bytes(), image.read_bytes())


def test_a_used_claim_makes_no_card(tmp_path: Path):
    node = draw_node_id(os.urandom)
    assert is_valid(node)
    folder = make_card(tmp_path / node, node)
    assert read_card(folder).node == node
    (folder / "claim").write_text("")
    with pytest.raises(Exception, match="its claim was used"):
        read_card(folder)
