"""`loa emergency reseal`: the same words again for nodes without a clock, answering the nonces that they gave."""

from collections.abc import Sequence

import msgspec

from controller.actions.views import IncidentView, StatusView
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.orders import Sent
from controller.cli.sealing import Hand, check_clock, close, now_ms
from protocol.orders import ExerciseStart, Start
from provisioning.ceremony import next_seq
from provisioning.errors import InputRefused
from provisioning.papers import payload_in

MAX_NONCES = 256


def reseal(folder: StateFolder, incident: str, hands: Sequence[Hand]) -> Sent:
    """Seal the newest STARTs of an incident again with the waiting nodes' nonces. Raises InputRefused."""
    with Link(folder.socket) as link:
        check_clock(link.get("/v1/status", StatusView).now_ms)
        view = link.get(f"/v1/incidents/{incident}", IncidentView)
        nonces = tuple(dict.fromkeys(row.nonce for row in view.rows if row.nonce))[:MAX_NONCES]
        if not nonces:
            raise InputRefused(f"no node of incident {incident} waits for its nonce to be answered: nothing to seal again")
        newest = _newest_starts([payload_in(link.get_bytes(f"/v1/orders/{digest}")) for digest in view.digests])
        views, seqs = [], []
        for start in newest:
            if start.accept_until_ms <= now_ms():
                raise InputRefused(f"incident {incident} is no longer accepted by anybody: start a new one")
            again = msgspec.structs.replace(start, seq=next_seq(now_ms(), start.seq), answers=nonces)
            seqs.append(again.seq)
            views.append(link.post_sealed("/v1/orders", close(again, hands), IncidentView))
    return Sent(incident=incident, via="serve", seqs=tuple(seqs), views=tuple(views))


def _newest_starts(orders: Sequence[object]) -> list[Start | ExerciseStart]:
    """The newest START of each area."""
    newest: dict[str, Start | ExerciseStart] = {}
    for order in orders:
        if isinstance(order, Start | ExerciseStart) and (order.area not in newest or newest[order.area].seq < order.seq):
            newest[order.area] = order
    return list(newest.values())
