"""What people did: listed, exported, verified; its heads signed."""

import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller import credentials
from controller.actions.asking import ask_somewhere, sees_all
from controller.actions.views import AuditView
from controller.config import Config
from controller.core.audit_chain import GENESIS, Head, Row, Verdict, seal_head, verify
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import chain, notes
from controller.store.chain import Scribe
from controller.store.database import Database, Transaction
from protocol import keys

CREDENTIAL: Final = "loa-audit-key"
ZONE: Final = ZoneInfo("Asia/Ho_Chi_Minh")
log: Final = logging.getLogger("loa.audit")
LINE: Final = msgspec.json.Decoder(Row | Head)


async def list_all(parts: Parts, who: Actor, limit: int = 500) -> list[AuditView]:
    """Acts, newest first. The log is one for the whole province, and so is who may read it. Raises Refused."""
    ask_somewhere(who, "audit.see")
    if not sees_all(parts, who):
        raise Refused(
            "the audit log is one for the whole province: an auditor of the province reads it", code="right", status=403
        )
    return await parts.database.read(lambda tx: notes.list_audit(tx, limit))


def open_key(config: Config) -> tuple[Ed25519PrivateKey, bool]:
    """The controller's key for its audit log and nothing else, and whether it was made just now. Raises ConfigWrong."""
    pem, fresh = credentials.read(CREDENTIAL, config.audit_key, lambda: keys.to_pem(keys.new_key(), None))
    return keys.from_pem(pem, None), fresh


def begin(database: Database, key: Ed25519PrivateKey, now_ms: int, *, first: bool) -> str:
    """At the start: look at the log, then sign from here on. Returns what is wrong with it, else nothing.

    A log with rows that nobody signed is taken as it stands only with the `first` key, as after an upgrade.
    """
    public = keys.public_hex(key)

    def look(tx: Transaction) -> Verdict:
        heads = chain.heads(tx)
        return verify(chain.rows(tx), heads, None if first and not heads else public)

    verdict = database.run_now(look)
    scribe = Scribe(key)
    database.sign_with(scribe)
    if not verdict.good:
        why = f"row {verdict.wrong_id}: {verdict.why}"
        database.run_now(
            lambda tx: notes.note(tx, at_ms=now_ms, actor="loa", via="system", act=chain.BROKEN, what="audit", detail=why)
        )
        log.error("the audit log does not hold at %s; see `loa audit verify`", why)
        return why
    database.run_now(lambda tx: _sign(tx, key, now_ms))
    return ""


def _sign(tx: Transaction, key: Ed25519PrivateKey, now_ms: int) -> Head | None:
    row_id, row_hash = chain.tip(tx)
    heads = chain.heads(tx)
    if row_hash == GENESIS or (heads and heads[-1].id == row_id):
        return None
    head = seal_head(key, keys.public_hex(key), row_id, row_hash, now_ms)
    chain.add_head(tx, head)
    log.info("audit head: row %d, hash %s, signed by %s: %s", head.id, head.hash, head.public, head.signature)
    return head


def day_of(at_ms: int) -> date:
    """The local day."""
    return datetime.fromtimestamp(at_ms / 1000, ZONE).date()


async def sign_head(parts: Parts, key: Ed25519PrivateKey, *, daily: bool = True) -> Head | None:
    """Sign the head as it stands, unless that was done today (`daily`) or nothing was added, or the log does not hold."""
    now_ms = parts.now_ms()
    if parts.audit_trouble:
        return None

    def store(tx: Transaction) -> Head | None:
        heads = chain.heads(tx)
        if daily and heads and day_of(heads[-1].at_ms) == day_of(now_ms):
            return None
        return _sign(tx, key, now_ms)

    return await parts.database.run(store)


def export(config: Config) -> Iterator[bytes]:
    """Rows and heads as JSON lines, out of the database itself; serve may run or not."""
    with closing(Database(config.database_url)) as database:
        rows, heads = database.look_now(lambda tx: (list(chain.rows(tx)), chain.heads(tx)))
    for each in (*heads, *rows):
        yield msgspec.json.encode(each) + b"\n"


def verify_database(config: Config, public: str | None) -> Verdict:
    """Check the log where it lies, without serve. `public` None: the key of this machine, when it can be read."""
    with closing(Database(config.database_url)) as database:
        return database.look_now(lambda tx: verify(chain.rows(tx), chain.heads(tx), public))


def verify_lines(lines: Iterator[bytes], public: str | None) -> Verdict:
    """Check an export. Raises Refused for a line that is none of ours."""
    rows: list[Row] = []
    heads: list[Head] = []
    for number, line in enumerate(lines, 1):
        try:
            each = LINE.decode(line)
        except msgspec.MsgspecError as error:
            raise Refused(f"line {number} is no row or head of an audit log: {error}") from error
        if isinstance(each, Row):
            rows.append(each)
        else:
            heads.append(each)
    return verify(rows, heads, public)
