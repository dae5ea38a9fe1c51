"""The sealed receipts behind what is said of nodes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "receipts",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["orders.digest"]),
        sa.ForeignKeyConstraint(["node"], ["nodes.id"]),
        sa.PrimaryKeyConstraint("digest", "node", "state"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("receipts")
