"""The mobile signal, from a ModemManager on a private D-Bus."""

from __future__ import annotations

import shutil

import pytest

from edge_agent.check.mobile import default_interfaces, signal
from tests.fakes.modem_manager import HSPA, ROAMING, SEARCHING, Modem, Modem3gpp, manager
from tests.fakes.rauc import private_bus


@pytest.fixture
async def bus():
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon carries what ModemManager says (apt: dbus)")
    async with private_bus() as address:
        yield address


async def test_a_registered_modem_is_good_with_operator_technology_and_percent(bus):
    async with manager(bus, (Modem(percent=63), Modem3gpp("Viettel"))):
        found = await signal((), bus_address=bus)
    assert found.verdict == "good"
    assert "Viettel, 4G, 63 %" in found.seen


async def test_roaming_and_3g_are_told(bus):
    async with manager(bus, (Modem(technologies=HSPA), Modem3gpp("Vinaphone", ROAMING))):
        found = await signal((), bus_address=bus)
    assert (found.verdict, "Vinaphone, 3G" in found.seen) == ("good", True)


@pytest.mark.parametrize("state", [6, 7])
async def test_a_sim_for_data_alone_counts_as_registered(bus, state):
    async with manager(bus, (Modem(), Modem3gpp("Viettel", state))):
        assert (await signal((), bus_address=bus)).verdict == "good"


@pytest.mark.parametrize(
    ("modem", "network", "seen", "todo"),
    [
        (Modem(), Modem3gpp("Viettel", SEARCHING), "not registered", "antenna"),
        (Modem(percent=12), Modem3gpp(), "12 %: sóng yếu / weak", "antenna"),
        (Modem(state=-1, failed=2), None, "sees no SIM", "put the SIM in again"),
        (Modem(state=-1, failed=0), None, "the modem failed", "change it"),
        (Modem(state=2), None, "asks for its PIN", "take the PIN off"),
    ],
)
async def test_what_keeps_a_modem_from_the_net_is_named_with_its_remedy(bus, modem, network, seen, todo):
    async with manager(bus, (modem,) if network is None else (modem, network)):
        found = await signal(("eth0",), bus_address=bus)
    assert found.verdict == "bad"
    assert seen in found.seen
    assert todo in found.todo


async def test_of_two_modems_the_one_that_is_registered_is_told(bus):
    idle = (Modem(percent=90), Modem3gpp("", SEARCHING))
    async with manager(bus, idle, (Modem(percent=40), Modem3gpp("MobiFone"))):
        found = await signal((), bus_address=bus)
    assert (found.verdict, "MobiFone, 4G, 40 %" in found.seen) == ("good", True)


async def test_no_modem_is_no_fault_where_another_interface_has_the_default_route(bus):
    found = await signal(("eth0",), bus_address=bus)
    assert (found.verdict, "eth0" in found.seen) == ("unknown", True)


async def test_no_modem_and_no_other_way_is_bad(bus):
    async with manager(bus):
        assert (await signal((), bus_address=bus)).verdict == "bad"
    assert (await signal((), bus_address="unix:path=/nonexistent/bus")).verdict == "bad"


def test_default_routes_of_both_kinds_are_found(tmp_path):
    four, six = tmp_path / "route", tmp_path / "ipv6_route"
    head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
    lan = "eth0 0000A8C0 00000000 0001 0 0 100 00FFFFFF 0 0 0\n"
    four.write_text(head + lan)
    none, link = "0" * 32, "fe80" + "0" * 28
    tail = "00000400 00000001 00000000 00000003"
    six.write_text(f"{none} 00 {none} 00 {none} {tail}       lo\n{link} 40 {none} 00 {none} {tail}     eth0\n")
    assert default_interfaces(four, six) == ()
    four.write_text(head + lan + "eth0 00000000 0100A8C0 0003 0 0 100 00000000 0 0 0\n")
    six.write_text(f"{none} 00 {none} 00 {link[:-1]}1 {tail}    wwan0\n")
    assert default_interfaces(four, six) == ("eth0", "wwan0")
    assert default_interfaces(tmp_path / "none", tmp_path / "none") == ()
