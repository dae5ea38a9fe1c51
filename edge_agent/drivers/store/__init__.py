"""The node's memory: one SQLite file whose every transaction is fsynced before it is answered."""

from edge_agent.drivers.store.driver import Store

__all__ = ["Store"]
