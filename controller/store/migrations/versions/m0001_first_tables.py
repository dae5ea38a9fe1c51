"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "area_groups",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("communes", sa.Text(), nullable=False),
        sa.Column("old_names", sa.Text(), server_default="[]", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "areas",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("no", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), server_default="", nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("official_code", sa.Text(), server_default="", nullable=False),
        sa.Column("old_names", sa.Text(), server_default="[]", nullable=False),
        sa.Column("valid_from_ms", sa.BigInteger(), nullable=True),
        sa.Column("valid_to_ms", sa.BigInteger(), nullable=True),
        sa.Column("successor", sa.Text(), nullable=True),
        sa.Column("external_ids", sa.Text(), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["parent"],
            ["areas.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("no", name=op.f("uq_areas_no")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "documents",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("slot_authority", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("keyids", sa.Text(), nullable=False),
        sa.Column("persons", sa.Text(), nullable=False),
        sa.Column("in_force", sa.Boolean(), nullable=False),
        sa.Column("valid_from_ms", sa.BigInteger(), nullable=False),
        sa.Column("valid_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_documents_kind_subject_slot_authority_seq"), ["kind", "subject", "slot_authority", "seq"], unique=False
        )

    op.create_table(
        "fetch_nonces",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("node", "nonce", name=op.f("uq_fetch_nonces_node_nonce")),
    )
    with op.batch_alter_table("fetch_nonces", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fetch_nonces_at_ms"), ["at_ms"], unique=False)

    op.create_table(
        "media",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("samples", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("loudness_clufs", sa.BigInteger(), nullable=False),
        sa.Column("true_peak_cdbtp", sa.BigInteger(), nullable=False),
        sa.Column("source_name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "orders",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("incident", sa.Text(), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("keyids", sa.Text(), nullable=False),
        sa.Column("persons", sa.Text(), nullable=False),
        sa.Column("accept_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("answers", sa.Text(), server_default="[]", nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("requested_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("sealed_with", sa.Text(), nullable=False),
        sa.Column("reseal", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_orders_area_op_seq"), ["area", "op", "seq"], unique=False)
        batch_op.create_index(batch_op.f("ix_orders_key_seq"), ["key", "seq"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("retain", sa.Boolean(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent_ms", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_sent_ms_rank_id"), ["sent_ms", "rank", "id"], unique=False)

    op.create_table(
        "refusals",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", "reason", "topic"),
    )
    op.create_table(
        "users",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("lang", sa.Text(), server_default="vi", nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blocked_until_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("area_no", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("settlement", sa.Text(), nullable=False),
        sa.Column("report_key", sa.Text(), nullable=False),
        sa.Column("enrolled_ms", sa.BigInteger(), nullable=False),
        sa.Column("retired_ms", sa.BigInteger(), nullable=True),
        sa.Column("online", sa.Text(), server_default="never", nullable=False),
        sa.Column("birth", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_heard_ms", sa.BigInteger(), nullable=True),
        sa.Column("boot_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("previous_nonce", sa.Text(), nullable=True),
        sa.Column("clock_state", sa.Text(), server_default="unknown", nullable=False),
        sa.Column("clock_error_ms", sa.BigInteger(), nullable=True),
        sa.Column("device_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("heard_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("holds", sa.Text(), server_default="[]", nullable=False),
        sa.Column("troubles", sa.Text(), server_default="[]", nullable=False),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.Column("missing_media", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("amnesia", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("record_epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("records_first", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("records_upto", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("external_ids", sa.Text(), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["settlement"],
            ["areas.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("area_no", name=op.f("uq_nodes_area_no")),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["name"],
            ["users.name"],
        ),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_table(
        "node_areas",
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node"],
            ["nodes.id"],
        ),
        sa.PrimaryKeyConstraint("area", "node"),
    )
    with op.batch_alter_table("node_areas", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_node_areas_node"), ["node"], unique=False)

    op.create_table(
        "order_nodes",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="none", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("sent_ms", sa.BigInteger(), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=True),
        sa.Column("sounding_ms", sa.BigInteger(), nullable=True),
        sa.Column("spoken_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("offers", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_offer_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["orders.digest"],
        ),
        sa.ForeignKeyConstraint(
            ["node"],
            ["nodes.id"],
        ),
        sa.PrimaryKeyConstraint("digest", "node"),
    )
    with op.batch_alter_table("order_nodes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_order_nodes_next_offer_ms"), ["next_offer_ms"], unique=False)
        batch_op.create_index(batch_op.f("ix_order_nodes_node_state"), ["node", "state"], unique=False)

    op.create_table(
        "plays",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("boot_count", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("incident", sa.Text(), nullable=True),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("planned_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("ending", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rms_cdb", sa.BigInteger(), nullable=True),
        sa.Column("peak_cdb", sa.BigInteger(), nullable=True),
        sa.Column("silent_ms", sa.BigInteger(), nullable=False),
        sa.Column("clock_state", sa.Text(), nullable=False),
        sa.Column("clock_error_ms", sa.BigInteger(), nullable=True),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node"],
            ["nodes.id"],
        ),
        sa.PrimaryKeyConstraint("node", "epoch", "record_id"),
    )
    with op.batch_alter_table("plays", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_plays_stored_ms"), ["stored_ms"], unique=False)
