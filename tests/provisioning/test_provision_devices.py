"""One contract for every card: a fake in memory, a file, a block device of this kernel; and the sizes that fakes really have."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning.capacity import STRIDE_BYTES, check_capacity, probe_bytes
from provisioning.device import BlockDevice, Device
from provisioning.errors import CardFailed, InputRefused
from tests.provisioning.cards import MIB, FakeCard, loop_device, loops_work

SIZE = 4 * MIB
STRIDE = 128 << 10


@pytest.fixture(params=["fake", "file", "loop"])
def device(request, tmp_path: Path):
    if request.param == "fake":
        yield FakeCard(SIZE)
        return
    path = tmp_path / "card"
    path.write_bytes(bytes(SIZE))
    if request.param == "file":
        with BlockDevice(path) as opened:
            yield opened
        return
    if not loops_work():
        pytest.skip("loop devices need root")
    with loop_device(path) as loop, BlockDevice(loop) as opened:
        yield opened


# --- the contract ---


def test_a_card_tells_its_size(device: Device):
    assert device.size_bytes == SIZE
    assert len(device.read(0, SIZE)) == SIZE


def test_what_was_written_reads_back_and_its_neighbours_are_untouched(device: Device):
    device.write(MIB + 512, b"loa" * 1000)
    device.settle()
    assert device.read(MIB + 512, 3000) == b"loa" * 1000
    assert device.read(MIB, 512) == bytes(512)
    assert device.read(MIB + 3512, 512) == bytes(512)


def test_the_last_byte_can_be_written_and_none_behind_it(device: Device):
    device.write(SIZE - 512, b"e" * 512)
    device.settle()
    assert device.read(SIZE - 512, 512) == b"e" * 512
    with pytest.raises(CardFailed):
        device.write(SIZE - 512, bytes(1024))
    with pytest.raises(CardFailed):
        device.read(SIZE - 512, 1024)
    assert device.read(SIZE - 512, 512) == b"e" * 512


def test_a_card_that_was_let_go_does_nothing_more(device: Device):
    device.close()
    with pytest.raises(CardFailed):
        device.write(0, b"x" * 512)
    with pytest.raises(CardFailed):
        device.read(0, 512)
    with pytest.raises(CardFailed):
        device.settle()


def test_a_true_card_passes_the_probe(device: Device):
    done = []
    check_capacity(device, done.append, stride_bytes=STRIDE)
    assert sum(done) == probe_bytes(SIZE, STRIDE)


# --- fakes and broken ones ---


TRUE_SIZES = (2 * MIB, MIB, STRIDE, STRIDE // 2, 1_003 * 512, 3_001 * 512, 7_777 * 512, SIZE - 64 * 512)


def told_size(fake: FakeCard) -> int:
    with pytest.raises(CardFailed, match="THẺ GIẢ") as failed:
        check_capacity(fake, stride_bytes=STRIDE)
    return int(str(failed.value).split("(")[1].split(" byte")[0])


@pytest.mark.parametrize("true_bytes", TRUE_SIZES)
def test_a_card_that_wraps_around_is_named_with_its_true_size(true_bytes):
    assert told_size(FakeCard(SIZE, true_bytes=true_bytes, beyond="wrap")) == true_bytes


@pytest.mark.parametrize("true_bytes", TRUE_SIZES)
def test_a_card_that_forgets_is_named_with_its_true_size_to_a_block(true_bytes):
    assert true_bytes <= told_size(FakeCard(SIZE, true_bytes=true_bytes, beyond="forget")) <= true_bytes + 4096


@settings(max_examples=40, deadline=None)
@given(sectors=st.integers(16, SIZE // 512 - 16))
def test_no_true_size_hides_between_the_markers(sectors):
    assert told_size(FakeCard(SIZE, true_bytes=sectors * 512, beyond="wrap")) == sectors * 512


def test_markers_of_the_last_run_do_not_pass_for_this_ones():
    fake = FakeCard(SIZE, true_bytes=MIB, beyond="forget")
    for _ in range(2):
        with pytest.raises(CardFailed, match="THẺ GIẢ"):
            check_capacity(fake, stride_bytes=STRIDE)


@pytest.mark.parametrize("at", [5_000, STRIDE * 3 + 100, SIZE - 100])
def test_a_card_with_one_bad_place_is_broken_and_no_fake(at):
    with pytest.raises(CardFailed, match="broken"):
        check_capacity(FakeCard(SIZE, flips_at=at), stride_bytes=STRIDE)


def test_a_card_of_64_gb_costs_the_probe_little():
    assert probe_bytes(64 * 10**9, STRIDE_BYTES) < 150 * MIB


# --- real devices that misbehave ---


def fill(device: Device) -> None:
    for at in range(0, device.size_bytes, MIB):
        device.write(at, b"x" * MIB)
        device.settle()


def test_a_device_that_breaks_in_mid_write_is_one_sentence(tmp_path: Path):
    if not loops_work():
        pytest.skip("loop devices need root")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", str(small)], check=False).returncode != 0:
        pytest.skip("no mounts here")
    try:
        (small / "card").touch()
        with (small / "card").open("r+b") as file:
            file.truncate(8 * MIB)
        with loop_device(small / "card") as loop, BlockDevice(loop) as device:
            with pytest.raises(CardFailed) as failed:
                fill(device)
            assert "pulled out or broke while" in str(failed.value)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_what_is_mounted_cannot_be_opened(tmp_path: Path):
    if not loops_work():
        pytest.skip("loop devices need root")
    path, at = tmp_path / "card", tmp_path / "at"
    at.mkdir()
    path.write_bytes(bytes(SIZE))
    subprocess.run(["mke2fs", "-q", str(path)], check=True)
    with loop_device(path) as loop:
        if subprocess.run(["mount", str(loop), str(at)], check=False).returncode != 0:
            pytest.skip("no mounts here")
        try:
            with pytest.raises(InputRefused, match="in use"):
                BlockDevice(loop)
        finally:
            subprocess.run(["umount", str(at)], check=True)


def test_a_device_that_is_not_there_is_a_sentence(tmp_path: Path):
    with pytest.raises(InputRefused, match="there is no card"):
        BlockDevice(tmp_path / "sdz")
