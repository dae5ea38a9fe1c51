"""What the agent tells systemd, over a real unix socket, and the figures of the machine."""

from __future__ import annotations

import asyncio
import shutil
import socket

import pytest

from edge_agent.drivers import system
from edge_agent.drivers.system import Machine, notify
from edge_agent.events import MachineChecked
from tests.waiting import until


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_systemd_hears_each_word(systemd):
    notify("READY=1")
    notify("WATCHDOG=1")
    assert [systemd.recv(100), systemd.recv(100)] == [b"READY=1", b"WATCHDOG=1"]


def test_an_abstract_socket_is_reached_too(monkeypatch, tmp_path):
    name = f"loa-{tmp_path.name}-notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notify("READY=1")
        assert sock.recv(100) == b"READY=1"


def test_a_systemd_that_does_not_read_never_holds_the_agent_up(systemd):
    for _ in range(10_000):
        notify("WATCHDOG=1")


def test_without_systemd_nothing_happens(monkeypatch, tmp_path):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify("READY=1")


async def test_the_machine_tells_its_disk_its_heat_and_its_age(tmp_path, monkeypatch):
    thermal = tmp_path / "temp"
    thermal.write_text("45123\n")
    monkeypatch.setattr(system, "THERMAL", thermal)
    monkeypatch.setattr(system, "LOOK_EVERY_S", 0.05)
    events: list[MachineChecked] = []
    task = asyncio.create_task(Machine(tmp_path, events.append).run())
    await until(lambda: len(events) >= 2)
    thermal.unlink()
    await until(lambda: events[-1].temperature_cc is None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert events[0].temperature_cc == 4_512
    assert abs(events[0].disk_free_bytes - shutil.disk_usage(tmp_path).free) < 2**30
    assert events[0].uptime_s > 0
