"""What happens on poles: hung programs, a hung kernel, power cuts, a link that goes, a full card, a broken boot sector."""

import time
from typing import Any

import pytest

from hil.card import Card
from hil.office import Office
from hil.places import tone_s
from hil.strategy import NodeStrategy, Status

BACK_S = 240
WATCHDOG_S = 15
HEARD_S = 90
TRIAL_S = 600


def test_a_hung_agent_is_restarted_by_its_watchdog(node: NodeStrategy, office: Office) -> None:
    node.transition("online")
    (before,) = node.run("systemctl show -P MainPID loa-agent")
    node.run(f"kill -STOP {before}")
    began = time.monotonic()

    def replaced() -> bool:
        (pid,) = node.run("systemctl show -P MainPID loa-agent")
        return pid not in (before, "0")

    office.until(replaced, "another process", 4 * WATCHDOG_S)
    print(f"hung agent: another one after {time.monotonic() - began:.0f} s")
    office.until(lambda: office.is_online(node.node), "the node online again", BACK_S)


@pytest.mark.lg_feature("virtual")
def test_a_hung_kernel_is_restarted_by_the_hardware(node: NodeStrategy, office: Office) -> None:
    node.transition("online")
    (before,) = node.run("cat /proc/sys/kernel/random/boot_id")
    boots = office.node(node.node)["boot_count"]
    began = time.monotonic()
    node.ssh.run("sync; echo 0 >/proc/sys/kernel/panic; (sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &", timeout=20)
    time.sleep(3)
    node.reconnect()
    (after,) = node.run("cat /proc/sys/kernel/random/boot_id")
    assert after != before
    print(f"hung kernel: ssh answers again after {time.monotonic() - began:.0f} s")
    office.until(lambda: office.node(node.node)["boot_count"] > boots, "a hello of the new start", BACK_S)
    office.until(lambda: office.is_online(node.node), "the node online again", BACK_S)


def test_power_that_goes_in_the_middle_of_a_warning_brings_it_back(node: NodeStrategy, office: Office) -> None:
    node.transition("online")
    tone = office.add_tone(740, 30, "coi-mat-dien")
    mark = node.sound.mark()
    incident, _ = office.start_emergency(clip=tone, repeats=10)
    office.until(lambda: tone_s(node.sound.since(mark), 740) >= 1, "a second of the tone", HEARD_S)
    node.turn_off()
    node.turn_on()
    office.until(lambda: tone_s(node.sound.since(0), 740) >= 2, "the tone again by itself", BACK_S)
    office.stop_emergency(incident)
    node.status = Status.online
    office.until(lambda: office.node(node.node)["sounding"] is None, "silence", HEARD_S)


def test_a_clock_wrong_at_boot_plays_no_programme_and_still_warns(node: NodeStrategy, office: Office) -> None:
    node.transition("online")
    node.turn_off()
    node.turn_on()
    node.status = Status.online
    office.until(lambda: office.is_online(node.node), "the node online", BACK_S)
    office.until(lambda: office.node(node.node)["clock_state"] == "unknown", "a node that says it knows no time", BACK_S)
    tone = office.add_tone(988, 10, "coi-khong-gio")
    mark = node.sound.mark()
    incident, _ = office.start_emergency(clip=tone, repeats=5)
    office.until(lambda: tone_s(node.sound.since(mark), 988) >= 2, "a warning that answers its nonce", HEARD_S)
    office.stop_emergency(incident)
    node.point_to_clock()
    office.until(lambda: office.node(node.node)["clock_state"] == "good", "a good clock", BACK_S)


@pytest.mark.lg_feature("virtual")
def test_a_warning_given_while_the_link_is_cut_is_heard_when_it_is_back(node: NodeStrategy, office: Office) -> None:
    node.transition("online")
    tone = office.add_tone(622, 10, "coi-mat-mang")
    mark = node.sound.mark()
    node.power.monitor_command("set_link", {"name": "n0", "up": False})
    try:
        incident, _ = office.start_emergency(clip=tone, repeats=5)
        time.sleep(10)
        assert tone_s(node.sound.since(mark), 622) == 0
    finally:
        node.power.monitor_command("set_link", {"name": "n0", "up": True})
    office.until(lambda: tone_s(node.sound.since(mark), 622) >= 2, "the warning", HEARD_S)
    office.stop_emergency(incident)


@pytest.mark.long
def test_a_network_document_that_leads_nowhere_is_left_for_the_way_that_worked(node: NodeStrategy, office: Office) -> None:
    """Nobody listens on the port that it names: after ten minutes the node is back where it was."""
    node.transition("online")
    office.publish_network(node.node, f"{office.host}:9")
    office.until(lambda: not office.is_online(node.node), "a node that is gone", BACK_S)
    office.until(lambda: office.is_online(node.node), "the node online again", TRIAL_S + BACK_S)
    office.until(lambda: _network(office, node) == "returned", "the word that it came back", BACK_S)
    office.publish_network(node.node)
    office.until(lambda: _network(office, node) != "returned", "the word that all is well", BACK_S)


def _network(office: Office, node: NodeStrategy) -> str:
    said = office.node(node.node)["network"]
    return str(said["state"]) if said else ""


def test_a_full_card_takes_and_sounds_a_warning(node: NodeStrategy, office: Office) -> None:
    node.transition("online")
    tone = office.add_tone(494, 10, "coi-day-the")
    for full in (False, True):  # its recording is on the card before that is full
        if full:
            node.run("cat /dev/zero >/data/filled 2>/dev/null || true; sync", deadline_s=600)
        _warns(node, office, tone)
    office.until(lambda: _says_full(office.node(node.node)), "the reason on the page", BACK_S)
    node.run("rm /data/filled; sync")
    office.until(lambda: not _says_full(office.node(node.node)), "the reason gone", BACK_S)


def _warns(node: NodeStrategy, office: Office, tone: str) -> None:
    mark = node.sound.mark()
    incident, _ = office.start_emergency(clip=tone, repeats=5)
    office.until(lambda: tone_s(node.sound.since(mark), 494) >= 2, "two seconds of the tone", HEARD_S)
    office.stop_emergency(incident)
    office.until(lambda: office.node(node.node)["sounding"] is None, "silence", HEARD_S)


def _says_full(view: dict[str, Any]) -> bool:
    return any("thẻ nhớ" in reason["vi"] for reason in view["reasons"])


def test_a_broken_boot_sector_starts_the_first_copy(node: NodeStrategy, office: Office) -> None:
    node.transition("online")
    node.turn_off()
    with node.card.opened() as path:
        Card(path).spoil_boot_state()
        assert Card(path).boot_state() is None
    node.turn_on()
    node.status = Status.online
    assert node.copy() == "A"
    office.until(lambda: office.is_online(node.node), "the node online", BACK_S)
    office.until(lambda: "BOOT_A_LEFT=3" in node.run("fw_printenv"), "a copy marked good", BACK_S)
    node.point_to_clock()
