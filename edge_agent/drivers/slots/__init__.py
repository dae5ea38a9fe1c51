"""The two copies of the firmware and the boot loader that chooses between them."""

from edge_agent.drivers.slots.none import NoSlots

__all__ = ["NoSlots"]
