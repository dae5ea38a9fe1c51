"""The clock: wall time, CLOCK_MONOTONIC, what the system's time source says, and how far the wall clock can be off."""

from edge_agent.drivers.clock.chrony import ChronyClock
from edge_agent.drivers.clock.rtc import Rtc
from edge_agent.drivers.clock.sync_file import SyncFileClock

__all__ = ["ChronyClock", "Rtc", "SyncFileClock"]
