"""The firmware from A to B and back, streamed through a bad link; copies that are dead fall back."""

import shutil
from pathlib import Path
from typing import Final

import pytest

from hil.card import Card, remove
from hil.made import Made
from hil.office import Office
from hil.strategy import NodeStrategy, Status
from hil.updating import update

BACK_S: Final = 600
BAD_LINK: Final = "delay 150ms 30ms loss 2% rate 8mbit"


def test_an_update_streams_through_a_bad_link_into_b_and_another_back_into_a(
    node: NodeStrategy, office: Office, made: Made
) -> None:
    node.transition("online")
    office.publish_network(node.node)
    node.run(f"tc qdisc add dev eth0 root netem {BAD_LINK}")
    update(node, office, made.bundle(2), "2026.11.2")
    assert node.copy() == "B"
    update(node, office, made.bundle(1), "2026.11.1")
    assert node.copy() == "A"


@pytest.mark.parametrize(
    "gone",
    [
        "/usr/sbin/init",
        "/vmlinuz",
        pytest.param("/opt/loa/code/edge_agent/__main__.py", marks=pytest.mark.long),  # three times fifteen minutes
    ],
)
def test_a_dead_copy_falls_back(node: NodeStrategy, office: Office, made: Made, gone: str, tmp_path: Path) -> None:
    """Written beside the running one and chosen by the boot loader, it uses up its tries, and the node is back by itself."""
    node.transition("online")
    runs = node.copy()
    other = "B" if runs == "A" else "A"
    dead = tmp_path / "dead.ext4"
    shutil.copyfile(made.built(2).rootfs, dead)
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
