"""A machine with one copy of its firmware: nothing is ever asked of it, for the core never hears of slots."""

import asyncio

from edge_agent.commands import Install


class NoSlots:
    """Says nothing, so a release waits with the reason `no-slots`."""

    async def run(self) -> None:
        """Wait until cancelled."""
        await asyncio.Event().wait()

    def install(self, command: Install) -> None:
        """There is nowhere to install it."""

    def activate(self) -> None:
        """There is nothing to choose."""

    def confirm(self) -> None:
        """Nobody counts the starts."""

    def restart(self) -> None:
        """The core asks for it only after an install."""

    def hold(self, *, held: bool) -> None:
        """Nothing is under way."""
