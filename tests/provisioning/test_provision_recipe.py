"""The image's recipe: one set of figures in boot script, RAUC, fstab and code; pins for the node; bundles by real RAUC."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from provisioning.bundling import manifest_of, named_in
from provisioning.errors import InputRefused
from provisioning.image import build as building
from provisioning.image import recipe as made
from provisioning.image.archive import mirrors
from provisioning.image.build import INSTALLED, UNITS, Builder, Built
from provisioning.image.ext4 import make_ext4
from provisioning.image.inventory import bill, debian_packages
from provisioning.image.recipe import PACKAGES, WHEELS, Recipe, boot_env, digest_of
from provisioning.image.tools import lay
from provisioning.image.wheels import pinned
from provisioning.terminal import print_json

HERE = Path(made.__file__).parent
FILES = HERE / "files"
PROJECT = HERE.parent.parent
GOOD = {
    "version": "2026.11.1",
    "build": 7,
    "epoch_s": 1_795_900_000,
    "mirror": "http://127.0.0.1/debian",
    "security": "http://127.0.0.1/debian-security",
    "keyring": b"-----BEGIN CERTIFICATE-----\n",
}


def text(place: str) -> str:
    return (FILES / place).read_text()


def test_the_boot_loaders_sector_is_read_by_the_programs_that_rauc_uses(tmp_path):
    card = tmp_path / "card"
    card.write_bytes(b"\0" * made.ENV_OFFSET + boot_env() + b"\0" * 4096)
    _device, offset, size = text("etc/fw_env.config").splitlines()[-1].split()
    assert (int(offset, 16), int(size, 16)) == (made.ENV_OFFSET, made.ENV_BYTES)
    config = tmp_path / "fw_env.config"
    config.write_text(f"{card} {offset} {size}\n")

    def run(program: str, *words: str) -> str:
        done = subprocess.run([program, "-c", config, *words], capture_output=True, text=True, check=True, cwd=tmp_path)
        return done.stdout

    assert dict(line.split("=", 1) for line in run("fw_printenv").splitlines()) == made.ENV
    run("fw_setenv", "BOOT_ORDER", "B A")
    assert "BOOT_ORDER=B A" in run("fw_printenv")
    written = card.read_bytes()
    assert written[: made.ENV_OFFSET].count(0) == made.ENV_OFFSET, "nothing in front of the sector was touched"
    assert not any(written[made.ENV_OFFSET + made.ENV_BYTES :]), "nor behind it"


def test_the_boot_script_counts_in_the_same_sector_and_compiles(tmp_path):
    script = (HERE / "boot.cmd").read_text()
    assert f"setenv sector {made.ENV_OFFSET // made.SECTOR_BYTES:#x}" in script
    assert f"setenv size {made.ENV_BYTES:#x}" in script
    assert all(name in script for name in made.ENV)
    words = ["mkimage", "-q", "-A", "arm64", "-T", "script", "-C", "none", "-d", HERE / "boot.cmd", tmp_path / "boot.scr"]
    subprocess.run(words, check=True)
    assert script.encode() in (tmp_path / "boot.scr").read_bytes()


@pytest.mark.parametrize("place", ["etc/fstab", "etc/rauc/system.conf", "etc/udev/rules.d/90-loa-card.rules", "usr/lib/loa/grow"])
def test_every_file_knows_the_card_by_the_same_signature(place):
    assert f"{made.DISK_SIGNATURE:08x}" in text(place)
    assert f"PARTUUID={made.DISK_SIGNATURE:08x}-0" in (HERE / "boot.cmd").read_text()


def test_rauc_takes_verity_bundles_of_this_machine_alone_and_chooses_nothing_by_itself():
    config = text("etc/rauc/system.conf")
    assert f"compatible={made.COMPATIBLE}" in config
    assert {"bundle-formats=verity", "activate-installed=false", "bootloader=uboot"} <= set(config.splitlines())


def test_nobody_can_call_a_node_and_ssh_asks_for_a_key():
    rules = text("etc/nftables.conf")
    assert rules.count("policy drop") == 2
    assert "dport 22" not in rules
    assert "PasswordAuthentication no" in text("etc/ssh/sshd_config.d/loa.conf")
    assert "ConditionPathExists=/data/ssh/authorized_keys" in text("etc/systemd/system/ssh.service.d/loa.conf")


def test_the_agent_may_open_every_gpio_chip_and_its_group_exists():
    unit = (UNITS / "loa-agent.service").read_text()
    assert [line for line in unit.splitlines() if line.startswith("DeviceAllow=") and "gpio" in line] == [
        "DeviceAllow=char-gpiochip rw"
    ]
    (rule,) = [line for line in (UNITS / "loa-agent.udev").read_text().splitlines() if not line.startswith("#")]
    assert {'SUBSYSTEM=="gpio"', 'KERNEL=="gpiochip*"', 'MODE="0660"'} < set(rule.split(", "))
    (group,) = re.findall(r'GROUP="(\w+)"', rule)
    assert group in re.findall(r"^SupplementaryGroups=(.+)$", unit, re.MULTILINE)[0].split()
    assert f"g {group} -" in (UNITS / "loa-agent.sysusers").read_text().splitlines()
    assert dict(INSTALLED)["loa-agent.udev"].startswith("etc/udev/rules.d/")


def test_the_nodes_wheels_are_pinned_with_hashes_and_without_this_machines_markers():
    lines = pinned((PROJECT / "requirements.lock").read_text())
    assert len(re.findall(r"^\S+==\S+", lines, re.MULTILINE)) == len(WHEELS)
    assert ";" not in lines
    for each in re.split(r"\n(?=\S)", lines.strip()):
        assert "--hash=sha256:" in each, each
    with pytest.raises(InputRefused, match=r"does not pin numpy-zwei"):
        pinned(lines, ["msgspec", "numpy-zwei"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"version": "một phẩy hai"}, "letters, digits"),
        ({"version": 'x"\nBUILD_ID=9'}, "letters, digits"),
        ({"build": 0}, "from 1 on"),
        ({"keyring": b""}, "no PEM certificate"),
    ],
)
def test_a_recipe_that_no_node_could_carry_is_refused(wrong, words):
    with pytest.raises(InputRefused, match=words):
        Recipe(**{**GOOD, **wrong})


def test_a_step_is_made_again_when_a_file_its_mode_or_a_package_changes(tmp_path):
    (tmp_path / "a").write_text("one")
    first = digest_of(list(PACKAGES), tmp_path)
    assert first == digest_of(list(PACKAGES), tmp_path)
    (tmp_path / "a").chmod(0o755)
    second = digest_of(list(PACKAGES), tmp_path)
    (tmp_path / "a").write_text("two")
    assert len({first, second, digest_of(list(PACKAGES), tmp_path), digest_of(list(PACKAGES[1:]), tmp_path)}) == 4


def test_the_long_step_is_kept_wherever_the_source_tree_lies(tmp_path, monkeypatch):
    calls, program = tmp_path / "calls", tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$*" >>{calls}\nfor word; do [ "$last" = trixie ] && echo tar >"$word"; last=$word; done\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    kept = []
    for name in ("here", "there"):
        shutil.copytree(FILES, tmp_path / name)
        monkeypatch.setattr(building, "FILES", tmp_path / name)
        kept.append(Builder(Recipe(**GOOD), cache=tmp_path, told=print)._base())
    assert kept[0] == kept[1]
    assert kept[0].read_text() == "tar\n"
    assert "copy-in" in calls.read_text()
    assert len(calls.read_text().splitlines()) == 1
    (tmp_path / "there/etc/initramfs-tools/modules").write_text("ext4\n")
    assert Builder(Recipe(**GOOD), cache=tmp_path, told=print)._base() != kept[0]


def test_of_our_files_rights_only_whether_they_run_counts(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("as it was")
    sums, rights = set(), []
    for name, file, program in (("strict", 0o600, 0o700), ("open", 0o664, 0o775)):
        source, target = tmp_path / name / "etc", tmp_path / f"{name}-laid"
        source.mkdir(parents=True)
        for path, mode in ((source / "words", file), (source / "run", program)):
            path.write_text("x")
            path.chmod(mode)
        (target / "etc").mkdir(parents=True)
        (target / "etc/words").symlink_to(outside)
        lay(tmp_path / name, target)
        sums.add(digest_of(tmp_path / name))
        rights.append([oct(path.lstat().st_mode) for path in sorted((target / "etc").iterdir())])
    assert rights == [["0o100755", "0o100644"]] * 2
    assert len(sums) == 1
    assert outside.read_text() == "as it was"


def test_a_folder_becomes_the_same_file_system_whenever_it_was_written_and_read(tmp_path):
    made_of = []
    for name in ("first", "second"):
        folder = tmp_path / name
        (folder / "etc").mkdir(parents=True)
        for number in range(40):
            (folder / "etc" / f"tệp-{number}").write_text(f"{number}\n")
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (GOOD["epoch_s"] + (name == "second"), GOOD["epoch_s"]))
        image = tmp_path / f"{name}.ext4"
        make_ext4(image, folder, "-L", "data", mib=8, uuid=made.DATA_UUID, epoch_s=GOOD["epoch_s"])
        made_of.append(image.read_bytes())
        time.sleep(1.1)  # what is changed later has another ctime
    assert made_of[0] == made_of[1]
    done = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="the folders of the data partition belong to the image's users")
def test_the_data_partition_keeps_no_room_for_root_in_which_the_ballast_would_go(tmp_path):
    etc = tmp_path / "tree/etc"
    etc.mkdir(parents=True)
    for name in ("passwd", "group"):
        (etc / name).write_text("root:x:0:\nloa-agent:x:990:\n_chrony:x:991:\n")
    data = tmp_path / "data.ext4"
    Builder(Recipe(**GOOD), cache=tmp_path, told=print)._data(data, tmp_path / "tree", tmp_path / "folder")
    sheet = subprocess.run(["dumpe2fs", "-h", data], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^Reserved block count:\s+0$", sheet, re.MULTILINE)
    listed = subprocess.run(["debugfs", "-R", "ls -l /", data], capture_output=True, text=True, check=True).stdout
    assert re.search(r"40700 \(2\)\s+990\s+990 .* loa-agent", listed)


def test_the_archive_is_the_machines_own_in_either_form(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    with pytest.raises(InputRefused, match="--mirror"):
        mirrors(tmp_path)
    (tmp_path / "sources.list").write_text(
        "# deb http://no/debian old main\n"
        "deb [arch=amd64] http://one/debian trixie main\n"
        "deb http://two/security trixie-security main\n"
    )
    assert mirrors(tmp_path) == ("http://one/debian", "http://two/security")
    (tmp_path / "sources.list").unlink()
    (tmp_path / "sources.list.d/debian.sources").write_text(
        "Types: deb\nURIs: http://three/debian/\nSuites: trixie trixie-updates\n\n"
        "Types: deb\nURIs: http://four/debian-security\nSuites: trixie-security\n"
    )
    assert mirrors(tmp_path) == ("http://three/debian/", "http://four/debian-security")


def test_the_bill_of_materials_names_what_is_installed_and_nothing_that_was_removed(tmp_path):
    status = (
        "Package: rauc\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1.13-1\nDescription: x\n long: line\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: arm64\nVersion: 1\n"
    )
    assert debian_packages(status) == [("rauc", "1.13-1", "arm64")]
    (tmp_path / "Six-1.dist-info").mkdir()
    (tmp_path / "Six-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: Six\nVersion: 1.17.0\n\nText\n")
    document = msgspec.json.decode(bill(Recipe(**GOOD), status, tmp_path))
    assert document["bomFormat"] == "CycloneDX"
    assert [each["purl"] for each in document["components"]] == ["pkg:deb/debian/rauc@1.13-1?arch=arm64", "pkg:pypi/six@1.17.0"]


# --- bundles, by real RAUC ---


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A small root file system, and a certificate that signs bundles."""
    folder = tmp_path_factory.mktemp("bundles")
    tree = folder / "tree"
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "usr/lib/os-release").write_text('NAME=Debian\nIMAGE_ID=loa-node\nIMAGE_VERSION="2026.11.1"\nBUILD_ID=7\n')
    (tree / "tiếng-loa").write_bytes(bytes(range(256)) * 4_096)
    for name in ("good", "blank"):
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, folder / f"{name}.ext4", "16M"], check=True)
        (tree / "usr/lib/os-release").write_text("NAME=Debian\n")
    for name, purpose in (("", "codeSigning"), ("mail-", "emailProtection")):
        files = ["-keyout", folder / f"{name}key.pem", "-out", folder / f"{name}cert.pem"]
        subject = ["-subj", "/CN=loa bundles", "-days", "30", "-addext", f"extendedKeyUsage={purpose}"]
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files]
        subprocess.run(words, check=True, capture_output=True)
    return folder


def shown_by_rauc(bundle: Path, keyring: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """What RAUC says of a bundle under the node's own configuration, with this keyring."""
    config = folder / "system.conf"
    config.write_text(text("etc/rauc/system.conf").replace("/etc/rauc/keyring.pem", str(keyring)))
    words = ["rauc", "--conf", config, "info", "--output-format=json", bundle]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def build(provision, bench: Path, rootfs: str, *more: str):
    keys = ("--cert", str(bench / "cert.pem"), "--key", str(bench / "key.pem"))
    return provision("release", "build", str(bench / rootfs), *keys, "--out", "loa.raucb", *more)


def test_a_root_file_system_becomes_a_bundle_that_rauc_believes(provision, bench, tmp_path):
    done = build(provision, bench, "good.ext4", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert (said["compatible"], said["version"], said["build"]) == ("loa-node", "2026.11.1", 7)
    assert [path.name for path in tmp_path.iterdir()] == ["loa.raucb"]
    rauc = shown_by_rauc(tmp_path / "loa.raucb", bench / "cert.pem", bench)
    assert rauc.returncode == 0, rauc.stderr
    shown = json.loads(rauc.stdout)
    assert (shown["compatible"], shown["version"]) == ("loa-node", "2026.11.1")
    again = build(provision, bench, "good.ext4")
    assert again.code == 1
    assert "already exists" in again.err


def test_a_certificate_that_is_not_for_code_signs_nothing_that_a_node_takes(bench, tmp_path):
    content = tmp_path / "content"
    content.mkdir()
    (content / "rootfs.img").write_bytes((bench / "good.ext4").read_bytes())
    (content / "manifest.raucm").write_text(manifest_of(named_in(bench / "good.ext4"), "rootfs.img"))
    bundle = tmp_path / "mail.raucb"
    signer = ("--cert", bench / "mail-cert.pem", "--key", bench / "mail-key.pem")
    subprocess.run(["rauc", "bundle", *signer, content, bundle], check=True, capture_output=True)
    refused = shown_by_rauc(bundle, bench / "mail-cert.pem", tmp_path)
    assert refused.returncode != 0
    assert "purpose" in refused.stderr


@pytest.mark.parametrize(
    ("rootfs", "words"), [("blank.ext4", "names no IMAGE_ID"), ("key.pem", "debugfs|names no"), ("none.ext4", "does not exist")]
)
def test_what_is_no_nodes_root_file_system_becomes_no_bundle(provision, bench, tmp_path, rootfs, words):
    done = build(provision, bench, rootfs)
    assert done.code == 1
    assert re.search(words, done.err)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_says_what_the_bundle_would_be(provision, bench, tmp_path):
    done = build(provision, bench, "good.ext4", "--dry-run")
    assert done.code == 0, done.err
    assert "2026.11.1" in done.out
    assert not list(tmp_path.iterdir())


def test_what_was_built_is_told_in_json_too(tmp_path, capsys):
    names = {"image": "a.img", "rootfs": "a.ext4", "bill": "a.cdx.json", "sums": "SHA256SUMS"}
    print_json(Built(**{key: tmp_path / name for key, name in names.items()}, root_used_bytes=5, step_ms={"tree": 7}))
    told = json.loads(capsys.readouterr().out)
    assert told == {key: str(tmp_path / name) for key, name in names.items()} | {"root_used_bytes": 5, "step_ms": {"tree": 7}}
    with pytest.raises(TypeError, match="has no JSON"):
        print_json(object())
