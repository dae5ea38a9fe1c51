"""What tells a node from a copy of it: its lives, the orders that it held, and whether somebody should look."""

import sqlalchemy as sa
from alembic import op

revision = "0002_trust"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("nodes", sa.Column("lives", sa.Text(), server_default="[]", nullable=False))
    op.add_column("nodes", sa.Column("turns", sa.Text(), server_default="[]", nullable=False))
    op.add_column("nodes", sa.Column("orders_held", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("nodes", sa.Column("doubt", sa.Text(), server_default="", nullable=False))
    op.add_column("nodes", sa.Column("doubt_ms", sa.BigInteger(), nullable=True))
    op.add_column("nodes", sa.Column("doubt_why", sa.Text(), server_default="", nullable=False))
