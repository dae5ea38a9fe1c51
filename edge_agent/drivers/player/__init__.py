"""The player and the amplifier in front of it: what must happen in order lives in this one driver."""

from edge_agent.drivers.player.driver import PlayerDriver, PlayerKeepsDying

__all__ = ["PlayerDriver", "PlayerKeepsDying"]
