"""The tables. JSON columns hold msgspec-encoded lists; times are UTC milliseconds; the only truth of the controller."""

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, MetaData, Table, UniqueConstraint
from sqlalchemy.types import BigInteger, Boolean, Integer, LargeBinary, Text

NAMES: Final = {"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
metadata: Final = MetaData(naming_convention=NAMES)


def _text(name: str, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _number(name: str, default: str | None = None) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=default)


def _at(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=True)


areas = Table(
    "areas",
    metadata,
    Column("id", Text, primary_key=True),
    Column("no", BigInteger, nullable=False, unique=True),
    _text("level"),
    _text("name"),
    _text("name_en", ""),
    Column("parent", Text, ForeignKey("areas.id"), nullable=True),
    _text("official_code", ""),
    _text("old_names", "[]"),
    _at("valid_from_ms"),
    _at("valid_to_ms"),
    Column("successor", Text, nullable=True),
    _text("external_ids", "{}"),
)

area_groups = Table(
    "area_groups", metadata, Column("id", Text, primary_key=True), _text("name"), _text("communes"), _text("old_names", "[]")
)

nodes = Table(
    "nodes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("area_no", BigInteger, nullable=False, unique=True),
    _text("name"),
    Column("settlement", Text, ForeignKey("areas.id"), nullable=False),
    _text("report_key"),
    _number("enrolled_ms"),
    _at("retired_ms"),
    _text("online", "never"),
    _number("birth", "0"),
    _at("last_heard_ms"),
    _number("boot_count", "0"),
    Column("nonce", Text, nullable=True),
    Column("previous_nonce", Text, nullable=True),
    _text("clock_state", "unknown"),
    _at("clock_error_ms"),
    _at("device_at_ms"),
    _at("heard_at_ms"),
    _text("holds", "[]"),
    _text("troubles", "[]"),
    _text("version", ""),
    _number("missing_media", "0"),
    Column("amnesia", Boolean, nullable=False, server_default="0"),
    _number("record_epoch", "0"),
    _number("records_first", "1"),
    _number("records_upto", "0"),
    _text("external_ids", "{}"),
    _text("lives", "[]"),
    _text("turns", "[]"),
    _number("orders_held", "0"),
    _text("doubt", ""),
    _at("doubt_ms"),
    _text("doubt_why", ""),
    _text("model", "loa-node"),
    _text("updating", ""),
    _text("network", ""),
)

node_areas = Table(
    "node_areas",
    metadata,
    Column("area", Text, primary_key=True),
    Column("node", Text, ForeignKey("nodes.id"), primary_key=True),
    Index(None, "node"),
)

documents = Table(
    "documents",
    metadata,
    Column("digest", Text, primary_key=True),
    _text("kind"),
    _text("subject"),
    _text("authority"),
    _text("slot_authority"),
    _number("seq"),
    Column("raw", LargeBinary, nullable=False),
    _text("keyids"),
    _text("persons"),
    Column("in_force", Boolean, nullable=False),
    _number("valid_from_ms"),
    _number("valid_until_ms"),
    _number("created_ms"),
    _text("created_by"),
    Index(None, "kind", "subject", "slot_authority", "seq"),
)

orders = Table(
    "orders",
    metadata,
    Column("digest", Text, primary_key=True),
    _text("kind"),
    _text("op"),
    Column("incident", Text, nullable=True),
    _text("key"),
    _text("area"),
    _text("authority"),
    _number("seq"),
    Column("raw", LargeBinary, nullable=False),
    _text("keyids"),
    _text("persons"),
    _number("accept_until_ms"),
    _text("answers", "[]"),
    _text("created_by"),
    _number("requested_at_ms"),
    _text("sealed_with"),
    Column("reseal", Boolean, nullable=False, server_default="0"),
    Index(None, "key", "seq"),
    Index(None, "area", "op", "seq"),
)

order_nodes = Table(
    "order_nodes",
    metadata,
    Column("digest", Text, ForeignKey("orders.digest"), primary_key=True),
    Column("node", Text, ForeignKey("nodes.id"), primary_key=True),
    _text("state", "none"),
    _text("reason", ""),
    _at("sent_ms"),
    _at("received_ms"),
    _at("sounding_ms"),
    _at("spoken_ms"),
    _at("ended_ms"),
    _number("offers", "0"),
    _at("next_offer_ms"),
    Index(None, "node", "state"),
    Index(None, "next_offer_ms"),
)

receipts = Table(
    "receipts",
    metadata,
    Column("digest", Text, ForeignKey("orders.digest"), primary_key=True),
    Column("node", Text, ForeignKey("nodes.id"), primary_key=True),
    Column("state", Text, primary_key=True),
    Column("raw", LargeBinary, nullable=False),
)
"""The sealed bytes by which a row of `order_nodes` came to its state ("spoken": to its time of speaking)."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _number("rank"),
    _text("topic"),
    Column("payload", LargeBinary, nullable=False),
    Column("retain", Boolean, nullable=False),
    _at("expires_ms"),
    _number("created_ms"),
    _at("sent_ms"),
    Column("digest", Text, nullable=True),
    Index(None, "sent_ms", "rank", "id"),
)

plays = Table(
    "plays",
    metadata,
    Column("node", Text, ForeignKey("nodes.id"), primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("record_id", BigInteger, primary_key=True),
    _number("boot_count"),
    _text("digest"),
    _text("item"),
    Column("incident", Text, nullable=True),
    _text("area"),
    _text("authority"),
    _text("purpose"),
    _number("planned_ms"),
    _at("started_ms"),
    _at("ended_ms"),
    _text("ending"),
    _text("reason"),
    _at("rms_cdb"),
    _at("peak_cdb"),
    _number("silent_ms"),
    _text("clock_state"),
    _at("clock_error_ms"),
    _number("stored_ms"),
    Index(None, "stored_ms"),
)

refusals = Table(
    "refusals",
    metadata,
    Column("node", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    _text("digest"),
    _number("count"),
    _number("first_ms"),
    _number("last_ms"),
)

media = Table(
    "media",
    metadata,
    Column("sha256", Text, primary_key=True),
    _number("bytes"),
    _number("samples"),
    _number("duration_ms"),
    _number("loudness_clufs"),
    _number("true_peak_cdbtp"),
    _text("source_name"),
    _text("title"),
    _text("created_by"),
    _number("created_ms"),
)

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    _text("full_name"),
    _text("password_hash"),
    Column("must_change", Boolean, nullable=False),
    _text("lang", "vi"),
    Column("disabled", Boolean, nullable=False, server_default="0"),
    _number("created_ms"),
    _number("failures", "0"),
    _number("blocked_until_ms", "0"),
    _text("factor", ""),
    _at("factor_since_ms"),
    _number("factor_step", "0"),
    _number("factor_failures", "0"),
    _number("factor_blocked_until_ms", "0"),
)

duties = Table(
    "duties",
    metadata,
    Column("name", Text, ForeignKey("users.name"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("area", Text, primary_key=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("name", Text, ForeignKey("users.name"), nullable=False),
    _text("csrf"),
    _number("created_ms"),
    _number("expires_ms"),
    _number("seen_ms", "0"),
    _at("factor_ms"),
    _text("source", ""),
    _text("agent", ""),
)

waiting = Table(
    "waiting",
    metadata,
    Column("id", Text, primary_key=True),
    _text("op"),
    _text("kind"),
    _text("areas"),
    Column("raws", LargeBinary, nullable=False),
    _number("persons"),
    _text("created_by"),
    _number("created_ms"),
    _number("expires_ms"),
    Index(None, "expires_ms"),
)

fetch_nonces = Table(
    "fetch_nonces",
    metadata,
    Column("node", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    _number("at_ms"),
    UniqueConstraint("node", "nonce"),
    Index(None, "at_ms"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _number("at_ms"),
    _text("actor"),
    _text("via"),
    _text("act"),
    _text("object"),
    _text("detail", ""),
    _text("hash", ""),
    _text("seal", ""),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("at_ms", BigInteger, primary_key=True),
    _text("hash"),
    _text("public"),
    _text("signature"),
)

enrolments = Table(
    "enrolments",
    metadata,
    Column("node", Text, primary_key=True),
    Column("waiting_verifier", Text, nullable=True),
    Column("verifier", Text, nullable=True),
    _number("expected_ms"),
    _text("expected_by"),
    Column("tls_public", LargeBinary, nullable=True),
    Column("report_key", Text, nullable=True),
    _text("digits", ""),
    _text("certificate", ""),
    _at("claimed_ms"),
    _text("source", ""),
    _at("revoked_ms"),
    _text("revoked_why", ""),
    _number("twice", "0"),
    _at("twice_ms"),
    _text("twice_source", ""),
    Index(None, "tls_public"),
    Index(None, "report_key"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", Text, primary_key=True),
    _text("node"),
    _text("issuer"),
    _number("issued_ms"),
    _number("until_ms"),
    _at("revoked_ms"),
    Index(None, "node"),
    Index(None, "revoked_ms"),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("release", Text, ForeignKey("documents.digest"), nullable=False),
    _text("area"),
    _text("bounds"),
    _text("phase"),
    _number("wave", "0"),
    _number("wave_begun_ms"),
    _text("why", ""),
    _text("accepted", "[]"),
    _number("started_ms"),
    _text("started_by"),
    _at("ended_ms"),
)

rollout_nodes = Table(
    "rollout_nodes",
    metadata,
    Column("rollout", Integer, ForeignKey("rollouts.id"), primary_key=True),
    Column("node", Text, ForeignKey("nodes.id"), primary_key=True),
    _number("wave"),
    _number("place"),
    _text("stand"),
    _number("since_ms"),
    *(_text(name, "") for name in ("state", "reason")),
    *(_number(name, "0") for name in ("bytes_done", "bytes_of")),
    Column("on_topic", Boolean, nullable=False, server_default="0"),
    Index(None, "node"),
)
