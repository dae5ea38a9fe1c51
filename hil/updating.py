"""One update of one node as an operator does it, watched; what it cost is printed."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from labgrid.driver import ExecutionError

from hil.office import Office
from hil.strategy import NodeStrategy

UPDATE_S: Final = 2400
BACK_S: Final = 600
REFUSED_S: Final = 900
FALLEN_S: Final = 2 * 3600
CUT_S: Final = 4
BAD_LINK: Final = "delay 150ms 30ms loss 2% rate 8mbit"
AGENT_ONLY: Final = 0.035
"""A release in which only the agent is new carries no more of its bundle, with all that TLS, MQTT and acknowledgements take."""
RECEIVED: Final = "cat /sys/class/net/eth0/statistics/rx_bytes"


def update(
    node: NodeStrategy, office: Office, bundle: Path, version: str, *, while_it_writes: Callable[[], None] = lambda: None
) -> float:
    """Release the bundle, roll it out to the node, wait until it is good there; what part of its bytes came over the network.

    `while_it_writes` is called about every second as long as the node says so. Raises AssertionError when the node gives up.
    """
    office.release(bundle)
    before = received = int(node.run(RECEIVED)[0])
    number = office.roll_out(version, node.node)
    said: list[tuple[str, str]] = []

    def standing() -> str:
        nonlocal received
        with contextlib.suppress(ExecutionError):  # it restarts as soon as the other copy is written
            received = max(received, int(node.run(RECEIVED)[0]))
        (own,) = _status(office, number)["nodes"]
        if (own["state"], own["reason"]) not in said[-1:]:
            said.append((own["state"], own["reason"]))
            print(f"update to {version}: {time.strftime('%H:%M:%S')} {own['state']} {own['reason']}", flush=True)
        assert own["state"] not in ("refused", "rolled-back"), said
        if own["state"] == "installing":
            while_it_writes()
        return str(own["state"])

    began = time.monotonic()
    office.until(lambda: standing() in ("installed", "trial", "good"), "the other copy written", UPDATE_S)
    took_s, carried, size = time.monotonic() - began, received - before, bundle.stat().st_size
    print(
        f"update to {version}: written in {took_s:.0f} s, {carried} bytes on the wire, {carried / size:.1%} of {size}", flush=True
    )
    office.until(lambda: runs(node, version), "the new build", BACK_S)
    node.point_to_clock()
    office.until(lambda: standing() == "good", "a copy marked good", BACK_S)
    print(f"update to {version}: good {time.monotonic() - began:.0f} s after it was offered", flush=True)
    return carried / size


class Cuts:
    """The link of a node in QEMU is cut so many times, four seconds each; one for each call."""

    def __init__(self, node: NodeStrategy, count: int) -> None:
        self._node, self.left = node, count

    def __call__(self) -> None:
        """One more, if one is left."""
        if self.left:
            self.left -= 1
            self._node.power.monitor_command("set_link", {"name": "n0", "up": False})
            time.sleep(CUT_S)
            self._node.power.monitor_command("set_link", {"name": "n0", "up": True})


def runs(node: NodeStrategy, version: str) -> bool:
    """Whether this build runs; a connection that its restart broke is made anew."""
    try:
        return any(version in line for line in node.run("cat /etc/os-release"))
    except ExecutionError:
        node.reconnect()
        return False


def refusal(node: NodeStrategy, office: Office, version: str) -> str:
    """Roll out what the node must not take, until it says why it did not. Raises AssertionError when it takes it."""
    number = office.roll_out(version, node.node)

    def said() -> str:
        (own,) = _status(office, number)["nodes"]
        assert own["state"] not in ("installed", "trial", "good"), own
        return str(own["reason"]) if own["state"] in ("refused", "waiting") and own["reason"].startswith("install") else ""

    reason = office.until(said, "a refusal", REFUSED_S)
    if _status(office, number)["nodes"][0]["state"] == "waiting":
        office.loa("rollout", "abort", str(number), "--yes")  # it would try again
    return reason


def fallen_back(node: NodeStrategy, office: Office, version: str) -> str:
    """Roll out what will not prove itself; the reason it went back for. Raises AssertionError when it is called good."""
    number = office.roll_out(version, node.node)

    def said() -> str:
        (own,) = _status(office, number)["nodes"]
        assert own["state"] not in ("refused", "good"), own
        return str(own["reason"]) if own["state"] == "rolled-back" else ""

    reason = office.until(said, "the old copy, and why", FALLEN_S)
    node.reconnect()
    return reason


def _status(office: Office, number: int) -> dict[str, Any]:
    return dict(office.loa_json("rollout", "status", str(number)))
