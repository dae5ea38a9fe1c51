"""The agent's unit of systemd, stopped for some seconds and started again whatever happens meanwhile."""

import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from msgspec import Struct

from edge_agent.drivers.system import SOUNDING

UNIT: Final = "loa-agent.service"
AGAIN: Final = "loa-agent-again"
BACK_WITHIN_S: Final = 90
"""Longer than a test can take; should this program be killed, systemd starts the agent again by itself then."""
CALL_S: Final = 30.0
CARDS: Final = Path("/proc/asound")
ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class UnitFailed(Exception):
    """Systemd does not do it; the text is what it said."""


class Cut(BaseException):
    """Somebody asked this program to end, or its terminal is gone."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Unit(Struct, frozen=True):
    """What systemd says of the agent: whether it runs, as whom, and whether it sounds."""

    active: bool
    user: str = ""
    groups: tuple[str, ...] = ()
    status: str = ""

    @property
    def as_agent(self) -> dict[str, object]:
        """Words for subprocess: to run as the agent's user does. Nothing where that is us, or a user that is not there."""
        with contextlib.suppress(KeyError):
            if self.user and os.geteuid() == 0:
                who = pwd.getpwnam(self.user)
                return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": list(self.groups)}
        return {}


def read() -> Unit | None:
    """None where there is no systemd, or it knows no such unit."""
    wanted = ("LoadState", "ActiveState", "User", "SupplementaryGroups", "StatusText")
    try:
        said = _call("systemctl", "show", UNIT, *(f"--property={name}" for name in wanted))
    except UnitFailed:
        return None
    told = dict(line.partition("=")[::2] for line in said.splitlines())
    if told.get("LoadState") != "loaded":
        return None
    active = told.get("ActiveState") not in ("inactive", "failed")
    groups = tuple(told.get("SupplementaryGroups", "").split())
    return Unit(active, told.get("User", ""), groups, told.get("StatusText", ""))


def sounds_now(unit: Unit | None, cards: Path = CARDS) -> bool:
    """Whether it sounds at this moment: what may be an emergency is not cut off for a test.

    The agent itself says so: a card under ALSA's mixer (dmix, which `default` is) runs for as long as it is open. Without an
    agent it is the cards that tell.
    """
    if unit is not None and unit.active and unit.status:
        return unit.status == SOUNDING
    for status in cards.glob("card*/pcm*p/sub*/status"):
        with contextlib.suppress(OSError):
            if "RUNNING" in status.read_text(encoding="ascii"):
                return True
    return False


@contextlib.contextmanager
def stopped(unit: Unit | None) -> Iterator[None]:
    """The unit rests in here, and runs again behind it. Raises UnitFailed when it cannot be stopped; Cut passes."""
    if unit is None or not unit.active:
        with _endings_raised():
            yield
        return
    timer = (f"--unit={AGAIN}", f"--on-active={BACK_WITHIN_S}", "--timer-property=AccuracySec=1s")
    with _endings_raised():
        # refused while another check is under way: that one's timer is there already
        _call("systemd-run", "--quiet", "--collect", *timer, "systemctl", "start", UNIT)
        try:
            _call("systemctl", "stop", UNIT)
            yield
        finally:
            _bring_back()


def _bring_back() -> None:
    """Nothing that is sent to this program now keeps the agent from running again."""
    held = {number: signal.signal(number, signal.SIG_IGN) for number in ENDS}
    try:
        _call("systemctl", "start", UNIT)
        with contextlib.suppress(UnitFailed):
            _call("systemctl", "stop", f"{AGAIN}.timer")
    finally:
        for number, before in held.items():
            signal.signal(number, before)


@contextlib.contextmanager
def _endings_raised() -> Iterator[None]:
    """What would end this program becomes Cut in here, so that what was begun is put back."""

    def cut(number: int, _frame: FrameType | None) -> None:
        raise Cut(number)

    held = {number: signal.signal(number, cut) for number in ENDS}
    try:
        yield
    finally:
        for number, before in held.items():
            signal.signal(number, before)


def _call(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=CALL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnitFailed(f"{words[0]}: {error}") from error
    if done.returncode:
        raise UnitFailed(f"{' '.join(words[:2])}: {done.stderr.strip()[:200] or done.returncode}")
    return done.stdout
