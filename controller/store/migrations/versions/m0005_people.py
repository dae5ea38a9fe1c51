"""Duties by area instead of two roles, second factors, what is known of a session, and the audit log as a chain."""

import hashlib

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DUTIES = {"officer": ("emergency", "author"), "operator": ("operator", "technician", "auditor")}
"""What the two former roles become, for the whole tree."""


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "duties",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["name"], ["users.name"]),
        sa.PrimaryKeyConstraint("name", "role", "area"),
    )
    for former, roles in DUTIES.items():
        for role in roles:
            op.execute(
                sa.text(
                    "INSERT INTO duties (name, role, area) SELECT users.name, :role, areas.id FROM users, areas "
                    "WHERE users.role = :former AND areas.level = 'province'"
                ).bindparams(role=role, former=former)
            )
    # SQLite makes a table anew to alter it, which the sessions' reference to it forbids; this statement does not.
    op.execute("ALTER TABLE users DROP COLUMN role")
    for column in (_text("factor"), _number("factor_step"), _number("factor_failures"), _number("factor_blocked_until_ms")):
        op.add_column("users", column)
    op.add_column("users", sa.Column("factor_since_ms", sa.BigInteger(), nullable=True))
    # Nobody stays signed in: from here on a session knows whether a second factor opened it.
    op.execute("DELETE FROM sessions")
    for column in (_number("seen_ms"), _text("source"), _text("agent")):
        op.add_column("sessions", column)
    op.add_column("sessions", sa.Column("factor_ms", sa.BigInteger(), nullable=True))
    op.add_column("audit", _text("hash"))
    op.add_column("audit", _text("seal"))
    op.create_table(
        "audit_heads",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("public", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "at_ms"),
    )
    _chain()


def _chain() -> None:
    """The rows of before are numbered without gaps and chained; the first head that is signed covers them."""
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, at_ms, actor, via, act, object, detail FROM audit ORDER BY id")).fetchall()
    before = "0" * 64
    for number, row in enumerate(rows, 1):
        said = msgspec.json.encode([number, *row[1:]])
        before = hashlib.sha256(bytes.fromhex(before) + said).hexdigest()
        change = sa.text("UPDATE audit SET id = :number, hash = :hash WHERE id = :id")
        connection.execute(change.bindparams(number=number, hash=before, id=row[0]))
