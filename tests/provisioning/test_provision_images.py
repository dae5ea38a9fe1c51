"""Images and what lies beside them: nothing is taken for whole that is not, and nothing is whole without a witness."""

import hashlib
import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning import fat
from provisioning.bmap import read_bmap
from provisioning.errors import InputRefused
from provisioning.images import check_image
from tests.provisioning.cards import BLOCK, FAT_AT, IMAGE_BYTES, MIB, bmap_text, make_image, mapped_runs

CONTENT = bytes(BLOCK) + b"a" * BLOCK * 2 + bytes(BLOCK * 3) + b"b" * 100
RUNS = [(1, 2), (6, 6)]
GOOD = bmap_text(CONTENT, RUNS)


def resealed(text: bytes) -> bytes:
    """With its own checksum made right again, so that only the change is wrong."""
    own = text.split(b"<BmapFileChecksum> ")[1][:64]
    blank = text.replace(own, b"0" * 64)
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode())


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "loa-node.img"
    make_image(path, version="2026.11.2 (build 41)")
    return path


# --- bmap ---


def test_a_bmap_says_where_bytes_are_and_what_they_hash_to():
    bmap = read_bmap(GOOD, "bmap")
    assert bmap.image_bytes == len(CONTENT)
    assert [(each.offset_bytes, each.length_bytes) for each in bmap.mapped] == [(BLOCK, 2 * BLOCK), (6 * BLOCK, 100)]
    assert [each.sha256 for each in bmap.mapped] == [hashlib.sha256(part).hexdigest() for part in (b"a" * BLOCK * 2, b"b" * 100)]


def test_a_bmap_of_the_real_bmaptool_is_read(image: Path):
    if shutil.which("bmaptool") is None:
        pytest.skip("bmap-tools is not installed")
    sparse = image.with_name("sparse.img")
    subprocess.run(["cp", "--sparse=always", str(image), str(sparse)], check=True)
    subprocess.run(["bmaptool", "create", "-o", f"{sparse}.bmap", str(sparse)], check=True)
    checked = check_image(sparse)
    assert checked.checked_by == ("sparse.img.bmap",)
    assert checked.size_bytes == IMAGE_BYTES
    covered = {
        at // BLOCK for each in checked.mapped for at in range(each.offset_bytes, each.offset_bytes + each.length_bytes, BLOCK)
    }
    held = {block for first, last in mapped_runs(image.read_bytes()) for block in range(first, last + 1)}
    assert held <= covered
    assert checked.mapped_bytes < IMAGE_BYTES


WRONG = {
    "no xml": b"loa",
    "a changed byte": GOOD.replace(b"1-2", b"1-3"),
    "no checksum of its own": GOOD.replace(b"BmapFileChecksum", b"BmapChecksum"),
    "an old version": resealed(GOOD.replace(b'version="2.0"', b'version="1.4"')),
    "other sums": resealed(GOOD.replace(b"sha256 <", b"sha1 <")),
    "ranges that overlap": resealed(GOOD.replace(b"> 6 <", b"> 2 <")),
    "a range behind the end": resealed(GOOD.replace(b"> 6 <", b"> 7 <")),
    "a range backwards": resealed(GOOD.replace(b"1-2", b"2-1")),
    "a range in words": resealed(GOOD.replace(b"1-2", b"one")),
    "blocks that do not add up": resealed(GOOD.replace(b"<MappedBlocksCount> 3", b"<MappedBlocksCount> 4")),
    "another image size": resealed(GOOD.replace(b"<ImageSize> 24676", b"<ImageSize> 99999")),
    "no block size": resealed(GOOD.replace(b"<BlockSize> 4096", b"<BlockSize> 0")),
    "an entity": resealed(GOOD.replace(b"<bmap", b'<!DOCTYPE x [<!ENTITY a "b">]><bmap')),
    "a range without a sum": resealed(GOOD.replace(b"chksum", b"chk")),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_bmap_that_is_not_whole_is_a_sentence(case):
    assert WRONG[case] != GOOD
    with pytest.raises(InputRefused, match="bmap x hỏng: tải lại / is no whole bmap"):
        read_bmap(WRONG[case], "bmap x")


@given(at=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255))
def test_no_changed_byte_of_a_bmap_passes(at, byte):
    changed = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    try:
        read = read_bmap(changed, "bmap")
    except InputRefused:
        return
    assert read == read_bmap(GOOD, "bmap")


# --- images ---


def test_an_image_is_checked_against_its_bmap_and_tells_its_version(image: Path, provision):
    said = provision("image", "verify", "loa-node.img", "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert (told["good"], told["version"], told["checked_by"]) == (True, "2026.11.2 (build 41)", ["loa-node.img.bmap"])
    assert told["bytes"] == IMAGE_BYTES
    assert "ĐÚNG / GOOD" in provision("image", "verify", "loa-node.img").out


@pytest.mark.parametrize("at", [8 * MIB + 5, FAT_AT, IMAGE_BYTES - 1, 460])
def test_a_changed_byte_where_the_image_holds_something_is_found(image: Path, provision, at):
    with image.open("r+b") as file:
        file.seek(at)
        (old,) = file.read(1)
        file.seek(at)
        file.write(bytes([old ^ 1]))
    said = provision("image", "verify", "loa-node.img")
    assert said.code == 1
    assert "is damaged" in said.err
    assert "Traceback" not in said.err


def test_an_image_that_ends_early_is_found(image: Path):
    with image.open("r+b") as file:
        file.truncate(IMAGE_BYTES - BLOCK)
    with pytest.raises(InputRefused, match="its bmap says"):
        check_image(image)


@pytest.mark.parametrize("name", ["SHA256SUMS", "loa-node.img.sha256"])
def test_sums_beside_an_image_are_enough_and_are_believed(image: Path, name):
    Path(f"{image}.bmap").unlink()
    with pytest.raises(InputRefused, match="nothing beside"):
        check_image(image)
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    (image.parent / name).write_text(f"{'0' * 64}  other.img\n{digest} *loa-node.img\n")
    checked = check_image(image)
    assert (checked.checked_by, checked.mapped_bytes) == (("SHA-256",), IMAGE_BYTES)
    (image.parent / name).write_text(f"{'0' * 64}  loa-node.img\n")
    with pytest.raises(InputRefused, match="is damaged"):
        check_image(image)


def test_a_bmap_that_the_sums_do_not_know_is_refused(image: Path):
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    (image.parent / "SHA256SUMS").write_text(f"{digest}  loa-node.img\n{'0' * 64}  loa-node.img.bmap\n")
    with pytest.raises(InputRefused, match="not the one that the sums name"):
        check_image(image)


@pytest.mark.parametrize(("name", "words"), [("loa.img.xz", "unpack it"), ("none.img", "cannot be read"), (".", "is no image")])
def test_what_is_no_image_is_a_sentence(tmp_path: Path, name, words):
    with pytest.raises(InputRefused, match=words):
        check_image(tmp_path / name)


def test_a_fat_partition_is_found_in_a_gpt_too(tmp_path: Path):
    path = tmp_path / "x.img"
    content = bytearray(make_image(path))
    content[446:462] = struct.pack("<8BII", 0, 0, 0, 0, 0xEE, 0, 0, 0, 1, 2**32 - 1)
    content[512:1024] = (b"EFI PART" + bytes(64) + struct.pack("<QII", 2, 128, 128)).ljust(512, b"\0")
    linux = bytes.fromhex("af3dc60f838472478e793d69d8477de4")
    content[1024 : 1024 + 128] = (linux + bytes(16) + struct.pack("<QQ", 40, 50)).ljust(128, b"\0")
    efi = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
    content[1152 : 1152 + 128] = (efi + bytes(16) + struct.pack("<QQ", FAT_AT // 512, 9_000)).ljust(128, b"\0")
    path.write_bytes(content)
    assert fat.offset_in(path) == FAT_AT


def test_an_image_without_partitions_has_no_place_for_files(tmp_path: Path):
    (tmp_path / "x.img").write_bytes(bytes(MIB))
    assert fat.offset_in(tmp_path / "x.img") is None
