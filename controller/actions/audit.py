"""What people did."""

from controller.actions.views import AuditView
from controller.parts import Parts
from controller.store import notes


async def list_all(parts: Parts, limit: int = 500) -> list[AuditView]:
    """Acts, newest first."""
    return await parts.database.read(lambda tx: notes.list_audit(tx, limit))
