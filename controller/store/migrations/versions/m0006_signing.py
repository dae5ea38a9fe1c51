"""Orders that wait for the signature of a second person."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "waiting",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("areas", sa.Text(), nullable=False),
        sa.Column("raws", sa.LargeBinary(), nullable=False),
        sa.Column("persons", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_waiting_expires_ms", "waiting", ["expires_ms"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_waiting_expires_ms", "waiting")
    op.drop_table("waiting")
