"""Rollouts of releases, which node stands where in them, what kind of machine a node is and what it says of its update."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("nodes", sa.Column("model", sa.Text(), nullable=False, server_default="loa-node"))
    op.add_column("nodes", sa.Column("updating", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("bounds", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("wave", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("wave_begun_ms", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False, server_default=""),
        sa.Column("accepted", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["release"], ["documents.digest"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "rollout_nodes",
        sa.Column("rollout", sa.Integer(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("wave", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("stand", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, server_default=""),
        sa.Column("reason", sa.Text(), nullable=False, server_default=""),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("bytes_of", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("on_topic", sa.Boolean(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(["node"], ["nodes.id"]),
        sa.ForeignKeyConstraint(["rollout"], ["rollouts.id"]),
        sa.PrimaryKeyConstraint("rollout", "node"),
    )
    op.create_index("ix_rollout_nodes_node", "rollout_nodes", ["node"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("rollout_nodes")
    op.drop_table("rollouts")
    op.drop_column("nodes", "updating")
    op.drop_column("nodes", "model")
