"""Copies of the firmware that are dead or not healthy fall back; a firmware from a stick; how soon the agent is ready."""

from pathlib import Path
from typing import Final

import pytest

from hil.card import Card, copy_sparse, remove
from hil.made import Made
from hil.office import Office
from hil.strategy import NodeStrategy, Status
from hil.updating import fallen_back, runs

BACK_S: Final = 600
TRIAL_S: Final = 900
CUT_OFF: Final = (
    "add table inet cut; add chain inet cut out {{ type filter hook output priority 0; }};"
    " add rule inet cut out ip daddr {office} tcp sport != 22 drop; add rule inet cut out ip daddr {office} udp dport != 67 drop"
)


@pytest.mark.long
@pytest.mark.lg_feature("virtual")
def test_a_bundle_on_a_stick_updates_a_node_that_reaches_nobody(
    node: NodeStrategy, office: Office, made: Made, tmp_path: Path
) -> None:
    """No broker, no controller, no time: the technician plugs in a stick and says import. By day or night."""
    node.transition("online")
    before = node.copy()
    build = 1 if any("2026.11.2" in line for line in node.run("cat /etc/os-release")) else 2
    office.release(made.bundle(build))
    stick = tmp_path / "stick.img"
    office.write_stick(node.node, f"2026.11.{build}", stick)
    node.turn_off()
    node.plug_in(stick)
    node.turn_on()
    try:
        node.status = Status.online
        node.run(f"nft '{CUT_OFF.format(office=office.host)}'")
        node.run("mount -o ro /dev/sda /mnt")
        said = node.run("/opt/loa/bin/loa-agent import /mnt --config /etc/loa/node.toml", deadline_s=300)
        print("\n".join(said))
        node.run("umount /mnt")
        office.until(lambda: runs(node, f"2026.11.{build}"), "the stick's build", BACK_S + TRIAL_S)
    finally:
        node.turn_off()
        node.plug_in(None)
    node.turn_on()
    node.status = Status.online
    assert node.copy() != before
    office.until(lambda: office.is_online(node.node), "the node online", BACK_S)
    node.point_to_clock()
    office.until(lambda: f"BOOT_{node.copy()}_LEFT=3" in node.run("fw_printenv"), "a copy marked good", TRIAL_S)


@pytest.mark.parametrize(
    "gone",
    [
        "/usr/sbin/init",
        pytest.param("/vmlinuz", marks=pytest.mark.long),
        pytest.param("/opt/loa/code/edge_agent/__main__.py", marks=pytest.mark.long),  # three times fifteen minutes
    ],
)
def test_a_dead_copy_falls_back(node: NodeStrategy, office: Office, made: Made, gone: str, tmp_path: Path) -> None:
    """Written beside the running one and chosen by the boot loader, it uses up its tries, and the node is back by itself."""
    node.transition("online")
    runs = node.copy()
    other = "B" if runs == "A" else "A"
    dead = tmp_path / "dead.ext4"
    copy_sparse(made.built(2).rootfs, dead)
    remove(dead, gone)
    node.turn_off()
    with node.card.opened() as path:
        card = Card(path)
        card.write_partition({"A": 2, "B": 3}[other], dead)
        card.choose(other)
    node.turn_on()
    node.status = Status.online
    assert node.copy() == runs
    office.until(lambda: office.is_online(node.node), "the node online", BACK_S)
    state = dict(line.split("=", 1) for line in node.run("fw_printenv"))
    assert state[f"BOOT_{other}_LEFT"] == "0"


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize(
    ("build", "gone", "lacks"),
    [(3, "/usr/lib/modules/*/kernel/sound/pci/hda/snd-hda-intel.ko.xz", "sound"), (4, "/usr/sbin/NetworkManager", "broker")],
)
def test_a_copy_that_is_not_healthy_falls_back_and_says_why(
    node: NodeStrategy, office: Office, made: Made, build: int, gone: str, lacks: str
) -> None:
    """Three starts, ten minutes each to prove itself; then the old copy runs again, and the operator reads the reason."""
    node.transition("online")
    office.publish_network(node.node)
    before, version = node.copy(), f"2026.11.{build}"
    office.release(made.spoiled(build, gone))
    reason = fallen_back(node, office, version)
    print(f"{version} without {gone}: {reason}")
    assert lacks in reason
    assert node.copy() == before
    node.point_to_clock()


@pytest.mark.lg_feature("virtual")
def test_the_agent_is_ready_soon_after_a_bare_start(node: NodeStrategy, made: Made, tmp_path: Path) -> None:
    """Power to agent ready, beside the same system without an agent to multi-user: both in the time since the kernel began."""
    node.transition("online")
    if node.copy() == "B":
        pytest.skip("copy B holds the firmware that runs")
    bare = tmp_path / "bare.ext4"
    copy_sparse(made.built(1).rootfs, bare)
    remove(bare, "/etc/systemd/system/multi-user.target.wants/loa-agent.service")
    node.turn_off()
    with node.card.opened() as path:
        Card(path).write_partition(3, bare)
        Card(path).choose("B")
    node.turn_on()
    bare_s = _reached_s(node, "multi-user.target")
    assert node.run("systemctl is-active loa-agent || true") == ["inactive"]
    node.turn_off()
    with node.card.opened() as path:
        Card(path).choose("A")
    node.turn_on()
    node.status = Status.online
    ready_s = _reached_s(node, "loa-agent.service")
    print(
        f"start: agent ready {ready_s:.1f} s after the kernel began, bare multi-user {bare_s:.1f} s: {ready_s / bare_s:.2f} times"
    )
    assert ready_s <= 1.3 * bare_s
    node.point_to_clock()


def _reached_s(node: NodeStrategy, unit: str) -> float:
    us = node.office.until(lambda: int(node.run(f"systemctl show -P ActiveEnterTimestampMonotonic {unit}")[0]), unit, BACK_S)
    return float(us) / 1e6
