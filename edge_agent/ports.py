"""What drivers ask of each other's things without knowing them."""

from pathlib import Path
from typing import Protocol

from edge_agent.commands import Install, Play, Save, Want
from edge_agent.events import Instant
from protocol.documents import Endpoint, Reach


class Amplifier(Protocol):
    """The power of the loudspeakers' amplifier."""

    power_on_ms: int

    @property
    def is_on(self) -> bool:
        """Whether it has power."""

    def on(self) -> None:
        """Give it power; it can sound `power_on_ms` later. Raises AmplifierFailed."""

    def off(self) -> None:
        """Take its power; harmless when it is off. Raises AmplifierFailed."""

    def close(self) -> None:
        """Take its power and let go of it."""


class Clock(Protocol):
    """The system's clock and what keeps it in step."""

    async def open(self) -> None:
        """Look for the first time; within a few seconds, whatever hangs."""

    def instant(self) -> Instant:
        """Now, with what was last learned of how far the clock can be off; never waits."""

    async def run(self) -> None:
        """Go on looking; ClockChecked tells what changed. Raises TimeSourceFailed."""


class Voice(Protocol):
    """The node's own voice."""

    def path_of(self, lang: str, text: str) -> Path:
        """Where the recording of a text is, or will be. Raises SpeechUnavailable."""

    async def clip(self, lang: str, text: str) -> Path:
        """Make the recording unless it is there. Raises SpeechUnavailable."""


class Store(Protocol):
    """The node's memory on disk."""

    def save(self, command: Save) -> None:
        """Write in one fsynced transaction; Saved or SaveFailed follows."""

    def recall(self, after: int) -> None:
        """Read closed records again; RecordsRecalled follows."""


class Broker(Protocol):
    """The link to the controller."""

    def acknowledge(self, ref: int) -> None:
        """PUBACK."""

    def go_to(self, brokers: tuple[Endpoint, ...]) -> None:
        """Be linked with the first of these that answers, from now on; none: the one of the card."""

    def subscribe(self, filters: tuple[str, ...]) -> None:
        """Read these topics."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Say this at QoS 1; dropped without a link."""


class Uplink(Protocol):
    """The SIM's access point and the time sources."""

    def lay(self, reach: Reach) -> None:
        """Use what it names, and else what the firmware says."""


class Player(Protocol):
    """What sounds."""

    def start(self, play: Play) -> None:
        """Sound this; Sounding, PartSounding, PlayEnded follow."""

    def stop(self, play_id: int, fade_ms: int = 5) -> None:
        """End it."""


class Fetcher(Protocol):
    """What brings media."""

    def fetch(self, wants: tuple[Want, ...], budget_bytes: int | None = None) -> None:
        """These are needed, in this order; MediaStored or MediaFailed follow, and MediaReceived for what the link carried."""

    def evict(self, files: tuple[str, ...]) -> None:
        """Take these off the card; MediaEvicted or MediaFailed follow."""

    def hold(self, *, held: bool) -> None:
        """Leave the link to an order, or go on."""


class Slots(Protocol):
    """The two copies of the firmware, and the boot loader that chooses between them."""

    def install(self, command: Install) -> None:
        """Bring a bundle into the slot that does not run; InstallProgressed and InstallEnded follow."""

    def activate(self) -> None:
        """Let the boot loader try that slot next; SlotsChecked follows, or SlotsFailed."""

    def confirm(self) -> None:
        """The slot that runs is good; SlotConfirmed follows, or SlotsFailed."""

    def restart(self) -> None:
        """Restart the machine; SlotsFailed follows when that is refused."""

    def hold(self, *, held: bool) -> None:
        """Leave the link to an order, or go on."""


class Stick(Protocol):
    """Documents that came by hand."""

    def acknowledge(self, ref: int, why_not: str) -> None:
        """What came under this ref is on the disk, or was refused."""
