"""The receipts behind what is said of nodes, looked at where they lie, without serve."""

from contextlib import closing

from controller.config import Config
from controller.core.evidence import Evidence, report_keys, root_trust, weigh
from controller.errors import Refused
from controller.store import documents, orders
from controller.store.database import Database, Transaction
from protocol.envelope import claimed
from protocol.errors import ProtocolError


def of_database(config: Config, pinned: str | None = None, incident: str | None = None) -> Evidence:
    """Judge every row, or those of one incident. `pinned` None: the root that was pinned on this machine. Raises Refused."""
    digest = pinned or _pinned(config)

    def look(tx: Transaction) -> Evidence:
        keys = report_keys(root_trust(digest, documents.raws(tx, "root")), documents.raws(tx, "placement"))
        found = orders.of_key(tx, incident) if incident is not None else orders.every(tx)
        if incident is not None and not found:
            raise Refused(f"there is no incident {incident}", code="unknown-incident", status=404)
        digests = [order.mark.digest for order in found]
        raws = {order.mark.digest: order.raw for order in found}
        return weigh(digest, keys, raws, orders.rows_of(tx, digests), orders.words_of(tx, digests))

    with closing(Database(config.database_url)) as database:
        try:
            return database.look_now(look)
        except ProtocolError as error:
            raise Refused(f"nothing can be judged from this root: {error}", code=error.code, status=422) from error


def _pinned(config: Config) -> str:
    try:
        named = claimed(config.root_file.read_bytes())
    except OSError as error:
        raise Refused(
            f"no root is pinned on this machine ({error.strerror}): name its digest", code="no-root", status=422
        ) from error
    if named is None:
        raise Refused(f"{config.root_file} is no root: name the digest of the pinned one", code="no-root", status=422)
    return named[0]
