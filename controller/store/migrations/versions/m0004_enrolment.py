"""Enrolment: claims by their verifiers, nodes' keys as they were first told, certificates by serial number."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002_trust"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "enrolments",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("waiting_verifier", sa.Text(), nullable=True),
        sa.Column("verifier", sa.Text(), nullable=True),
        sa.Column("expected_ms", sa.BigInteger(), nullable=False),
        sa.Column("expected_by", sa.Text(), nullable=False),
        sa.Column("tls_public", sa.LargeBinary(), nullable=True),
        sa.Column("report_key", sa.Text(), nullable=True),
        sa.Column("digits", sa.Text(), server_default="", nullable=False),
        sa.Column("certificate", sa.Text(), server_default="", nullable=False),
        sa.Column("claimed_ms", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_why", sa.Text(), server_default="", nullable=False),
        sa.Column("twice", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("twice_ms", sa.BigInteger(), nullable=True),
        sa.Column("twice_source", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("node"),
    )
    op.create_index(op.f("ix_enrolments_tls_public"), "enrolments", ["tls_public"])
    op.create_index(op.f("ix_enrolments_report_key"), "enrolments", ["report_key"])
    op.create_table(
        "certificates",
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("issued_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_index(op.f("ix_certificates_node"), "certificates", ["node"])
    op.create_index(op.f("ix_certificates_revoked_ms"), "certificates", ["revoked_ms"])
