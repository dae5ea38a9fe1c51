"""One strategy for both places: off, flashed, booted, online. Each state is reached from the one before."""

import enum
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attr
from labgrid import target_factory
from labgrid.driver import ExecutionError
from labgrid.strategy import Strategy, StrategyError
from labgrid.util import get_free_port

from hil.office import Office
from hil.places import recording, with_stick

BOOT_S: Final = 420
ONLINE_S: Final = 240
COMMAND_S: Final = 60


class Status(enum.Enum):
    """How far a node is."""

    unknown = 0
    off = 1
    flashed = 2
    booted = 3
    online = 4


@target_factory.reg_driver
@attr.s(eq=False)
class NodeStrategy(Strategy):  # type: ignore[misc]  # labgrid has no types
    """Power, card, sound and ssh of one node; `office` and `image` are given by the tests before the first transition."""

    bindings = {  # noqa: RUF012  labgrid's way
        "power": "PowerProtocol",
        "card": {"QemuCard", "MuxCard"},
        "sound": {"QemuSound", "CapturedSound"},
        "ssh": "SSHDriver",
    }
    sink: str = attr.ib(default="alsa:default", validator=attr.validators.instance_of(str))
    amplifier: str = attr.ib(default="none", validator=attr.validators.instance_of(str))
    status: Status = attr.ib(default=Status.unknown)

    office: Office
    image: Path
    public_key: bytes
    node = ""

    def transition(self, status: Status | str) -> None:
        """Go there; what is there already stays, but for a connection that broke."""
        wanted = Status[status] if isinstance(status, str) else status
        if wanted is self.status:
            if wanted is Status.online:
                self._connected()
            return
        steps = {Status.off: self._off, Status.flashed: self._flashed, Status.booted: self._booted, Status.online: self._online}
        if wanted not in steps:
            raise StrategyError(f"there is no way to {wanted.name}")
        steps[wanted]()
        self.status = wanted

    # --- the states ---

    def _off(self) -> None:
        self.target.deactivate(self.ssh)
        self.target.activate(self.power)
        self.power.off()

    def _flashed(self) -> None:
        self.transition(Status.off)
        self.target.activate(self.card)
        self.node, card = self.office.make_card(sink=self.sink, amplifier=self.amplifier)
        self.card.write(self.image, card, {"authorized_keys": self.public_key})

    def _booted(self) -> None:
        if self.status is not Status.flashed:
            self.transition(Status.flashed)
        self.turn_on()

    def _online(self) -> None:
        if self.status is not Status.booted:
            self.transition(Status.booted)
        told = self.office.until(self._digits, "six digits", ONLINE_S)
        self.office.until(self._pending, f"{self.node} to ask for its certificate", ONLINE_S)
        self.office.approve(self.node, told)
        self.office.until(lambda: self.office.is_online(self.node), f"{self.node} online", ONLINE_S)
        self.point_to_clock()
        self.office.until(lambda: self.office.node(self.node)["clock_state"] == "good", "a good clock", ONLINE_S)

    def _connected(self) -> None:
        try:
            self.run("true")
        except ExecutionError:
            self.reconnect()

    # --- what a pair of hands does ---

    def turn_on(self) -> None:
        """Power, and wait until ssh answers."""
        self.target.activate(self.power)
        self.target.activate(self.sound)
        self.power.on()
        self.reconnect()
        self.status = Status.booted

    def turn_off(self) -> None:
        """Power away, as a cable is pulled."""
        self.target.deactivate(self.ssh)
        self.power.off()
        self.status = Status.off

    def reconnect(self) -> None:
        """A new ssh connection: the node was started again."""
        self.target.deactivate(self.ssh)
        if type(self.power).__name__ == "QEMUDriver" and self.ssh.networkservice.port == 0:
            self.ssh.networkservice.port = get_free_port()
            self.power.add_port_forward("tcp", "127.0.0.1", self.ssh.networkservice.port, "", 22, "n0")
        self.ssh.connection_timeout = float(BOOT_S)
        self.target.activate(self.ssh)

    def record(self, log: Path | None) -> None:
        """Keep every write to the card in a log from the next start on, or no more; QEMU alone can."""
        self._rebuild(lambda plain: plain if log is None else recording(plain, self.card.file, log))

    def plug_in(self, stick: Path | None) -> None:
        """A USB stick with this content is there from the next start on, or none; QEMU alone can."""
        self._rebuild(lambda plain: plain if stick is None else with_stick(plain, stick))

    def _rebuild(self, change: Callable[[str], str]) -> None:
        self.target.deactivate(self.power)
        self.power.extra_args = change(self.__dict__.setdefault("_plain", self.power.extra_args))
        self.target.activate(self.power)

    def run(self, command: str, deadline_s: float = COMMAND_S) -> list[str]:
        """A command on the node; its lines. Raises when its status is not 0."""
        return list(self.ssh.run_check(command, timeout=deadline_s))

    def point_to_clock(self) -> None:
        """Name the office's server of the time, as a local network would by DHCP; until the next start."""
        server = f"server {self.office.host} port {self.office.ntp_port} iburst minpoll 3 maxpoll 4"
        self.run(f"mkdir -p /run/chrony-dhcp; echo '{server}' >/run/chrony-dhcp/office.sources; chronyc reload sources")

    def amplifier_is_on(self) -> bool | None:
        """The level of the amplifier's line, as the kernel has it; None where the place has no such line."""
        if self.amplifier == "none":
            return None
        (line,) = [each for each in self.run("cat /sys/kernel/debug/gpio") if "loa-amplifier" in each]
        return " hi" in line

    def copy(self) -> str:
        """Which copy of the firmware runs: A or B."""
        (line,) = self.run("sed -n 's/.*rauc.slot=\\([AB]\\).*/\\1/p' /proc/cmdline")
        return line

    def _digits(self) -> str:
        out, _, code = self.ssh.run("/opt/loa/bin/loa-agent status --config /etc/loa/node.toml", timeout=COMMAND_S)
        if code != 0:
            return ""
        return next((line.rpartition("digits")[2].replace(" ", "") for line in out if "digits" in line), "")

    def _pending(self) -> bool:
        return any(each["node"] == self.node and each["state"] == "pending" for each in self.office.api("GET", "/v1/enrolments"))
