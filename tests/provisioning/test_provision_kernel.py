"""Which kernel modules stay in the image, on a tree as a kernel's package and depmod leave it."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.errors import InputRefused
from provisioning.image import kernel

RELEASE = "6.12.0-arm64"
FILES = (
    *("drivers/net/usb/qmi_wwan", "drivers/net/usb/usbnet", "drivers/usb/class/cdc-wdm", "drivers/net/wireless/other/rtw"),
    *("fs/ext4/ext4", "fs/jbd2/jbd2", "lib/crc32c_generic", "drivers/gpu/drm/amd/amdgpu", "drivers/gpu/drm/vc4/vc4"),
)
NEEDS = {"drivers/net/usb/qmi_wwan": ("drivers/net/usb/usbnet", "drivers/usb/class/cdc-wdm"), "fs/ext4/ext4": ("fs/jbd2/jbd2",)}


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "usr/lib/modules" / RELEASE
    for name in FILES:
        path = folder / "kernel" / f"{name}.ko.xz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    lines = [f"{_path(name)}: {' '.join(map(_path, NEEDS.get(name, ())))}".rstrip() for name in FILES]
    (folder / "modules.dep").write_text("\n".join(lines) + "\n")
    (folder / "modules.softdep").write_text("# soft\nsoftdep ext4 pre: crc32c-generic\nsoftdep amdgpu post: ext4\n")
    (folder / "modules.alias").write_text("alias usb:v1234 qmi_wwan\nalias of:N*T*Cbrcm,bcm2835-vc4C* vc4\n")
    boards = tmp_path / "usr/lib" / f"linux-image-{RELEASE}"
    for name in ("broadcom/bcm2837-rpi-3-b.dtb", "broadcom/bcm2712-rpi-5-b.dtb", "qcom/board.dtb"):
        (boards / name).parent.mkdir(parents=True, exist_ok=True)
        (boards / name).write_bytes(b"\xd0\x0d\xfe\xed\0\0\0\x03brcm,bcm2835-vc4\0\0")
    listed(tmp_path, monkeypatch, "# modems", "drivers/net/usb/", "", "fs/ext4/ext*")
    return tmp_path


def _path(name: str) -> str:
    return f"kernel/{name}.ko.xz"


def listed(folder: Path, monkeypatch, *lines: str) -> None:
    (folder / "modules.txt").write_text("\n".join(lines))
    monkeypatch.setattr(kernel, "LIST", folder / "modules.txt")


def left(tree: Path) -> set[str]:
    folder = tree / "usr/lib/modules" / RELEASE / "kernel"
    return {str(path.relative_to(folder)).partition(".")[0] for path in folder.rglob("*.ko*")}


def test_the_list_the_boards_and_what_they_need_stay(tree):
    assert kernel.prune(tree) == [RELEASE]
    assert left(tree) == set(FILES) - {"drivers/net/wireless/other/rtw", "drivers/gpu/drm/amd/amdgpu"}
    assert not (tree / "usr/lib/modules" / RELEASE / "kernel/drivers/net/wireless").exists(), "an empty folder"


def test_a_module_that_one_needs_stays_though_nothing_else_names_it(tree, monkeypatch):
    listed(tree, monkeypatch, "fs/ext4/ext4")
    kernel.prune(tree)
    assert left(tree) == {"fs/ext4/ext4", "fs/jbd2/jbd2", "lib/crc32c_generic", "drivers/gpu/drm/vc4/vc4"}


def test_device_trees_of_other_boards_go(tree):
    kernel.prune(tree)
    assert [path.name for path in tree.rglob("*.dtb")] == ["bcm2837-rpi-3-b.dtb"]
    assert kernel.board_trees(tree) == list(tree.rglob("*.dtb"))


def test_a_line_that_names_nothing_is_told_before_an_image_lacks_it(tree, monkeypatch):
    listed(tree, monkeypatch, "drivers/net/usb/", "drivers/net/usb/qmi-wan", "sound/usb/")
    with pytest.raises(InputRefused, match=r"drivers/net/usb/qmi-wan, sound/usb/"):
        kernel.prune(tree)


def test_a_name_does_not_reach_into_folders_below(tree, monkeypatch):
    listed(tree, monkeypatch, "drivers/gpu/drm/vc4/*", "fs/ext4/")
    kernel.prune(tree)
    assert "drivers/net/usb/usbnet" not in left(tree)
    listed(tree, monkeypatch, "fs/*", "fs/ext4/")
    with pytest.raises(InputRefused, match=r"fs/\*"):
        kernel.prune(tree)
