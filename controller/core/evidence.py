"""Whether the database says of nodes what those nodes sealed: judged from the pinned root down, believing no row. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from controller.core.orders import OrderRow
from protocol.documents import Placement, Root
from protocol.envelope import claimed, open_pinned_root, payload_of, unseal
from protocol.errors import Malformed, ProtocolError
from protocol.orders import AnyOrder, ExerciseStart, ExerciseStop, Lift, Start, Stop
from protocol.reader import Clock, Me
from protocol.reports import Hello, OrderResult, Receipt
from protocol.rules import slot_of
from protocol.seen import Mark, Seen
from protocol.trust import Trust

SPOKEN: Final = "spoken"
"""The name under which the receipt is kept that told when a node began to speak."""


class Word(Struct, frozen=True, kw_only=True):
    """The sealed bytes by which a node's row came to `state` (or to its time of speaking)."""

    digest: str
    node: str
    state: str
    raw: bytes


class Doubt(Struct, frozen=True, kw_only=True):
    """What nothing proves: a state of an order on a node, or (no node) a document."""

    incident: str
    node: str
    state: str
    why: str


class Evidence(Struct, frozen=True, kw_only=True):
    """What was looked at. `root` is the digest that everything was judged from: compare it with the ceremony's record."""

    root: str
    orders: int
    states: int
    doubts: tuple[Doubt, ...]

    @property
    def good(self) -> bool:
        """Whether a node's own seal stands behind every word."""
        return not self.doubts


def root_trust(pinned: str, roots: Iterable[bytes]) -> Trust:
    """The trust at the end of a chain of roots that begins with the pinned one. Raises ProtocolError when that is not there."""
    known = {each[0]: raw for raw in roots if (each := claimed(raw)) is not None}
    if pinned not in known:
        raise Malformed(f"the pinned root {pinned[:16]}… is not among the stored ones")
    trust = Trust(open_pinned_root(known.pop(pinned), pinned))
    while (following := _next_root(trust, known)) is not None:
        trust = trust.with_document(following)
    return trust


def _next_root(trust: Trust, known: Mapping[str, bytes]) -> Root | None:
    for raw in known.values():
        try:
            root = payload_of(raw)
            if isinstance(root, Root) and trust.root is not None and root.body.version == trust.root.body.version + 1:
                unseal(raw, topic=None, trust=trust, me=Me(), now=Clock(root.seq, "good"), seen=Seen())
                return root
        except ProtocolError:
            continue
    return None


def report_keys(trust: Trust, placements: Iterable[bytes]) -> dict[str, set[str]]:
    """The report keys of each node, out of every placement that the root's technicians signed, also those retired since."""
    found: dict[str, set[str]] = {}
    for raw in placements:
        try:
            placement = payload_of(raw)
            digest, seq = claimed(raw) or ("", 0)
            if isinstance(placement, Placement):
                held = Seen({slot_of(placement): Mark(seq, digest)})
                view = trust.standing_in(placement.body.chain)
                unseal(raw, topic=None, trust=view, me=Me(), now=Clock(seq, "good"), seen=held)
                found.setdefault(placement.body.node, set()).add(placement.body.report_key)
        except ProtocolError:
            continue
    return found


def weigh(
    pinned: str, keys: Mapping[str, set[str]], orders: Mapping[str, bytes], rows: Iterable[OrderRow], words: Iterable[Word]
) -> Evidence:
    """Look for a sealed word behind everything that rows say. `orders`: sealed orders by digest, as they are stored."""
    said = {(word.digest, word.node, word.state): word.raw for word in words}
    doubts: list[Doubt] = []
    states = 0
    opened: dict[str, AnyOrder | None] = {}
    for row in rows:
        if row.digest not in opened:
            opened[row.digest] = _order(row.digest, orders.get(row.digest, b""))
            if opened[row.digest] is None:
                doubts.append(Doubt(incident="", node="", state="", why=f"order {row.digest[:16]}… is not what its digest says"))
        order = opened[row.digest]
        for state, at_ms in _claims(row):
            states += 1
            why = "nothing is known of its order"
            if order is not None:
                why = _lacks(order, row, state, at_ms, said.get((row.digest, row.node, state)), keys.get(row.node, set()))
            if why:
                incident = order.incident if order is not None else None
                doubts.append(Doubt(incident=incident or f"stop-{row.digest}", node=row.node, state=state, why=why))
    return Evidence(root=pinned, orders=len(opened), states=states, doubts=tuple(doubts))


def _order(digest: str, raw: bytes) -> AnyOrder | None:
    try:
        order = payload_of(raw)
    except ProtocolError:
        return None
    named = claimed(raw)
    if named is None or named[0] != digest or not isinstance(order, Start | Stop | Lift | ExerciseStart | ExerciseStop):
        return None
    return order


def _claims(row: OrderRow) -> Iterator[tuple[str, int | None]]:
    """What a row says that only the node can have told, with its time when the row has one for it."""
    if row.state in ("refused", "received"):
        yield row.state, row.received_ms
    elif row.state not in ("none", "sent", "sounding", "ended", "stopped"):
        yield row.state, None
    if row.sounding_ms is not None or row.state == "sounding":
        yield "sounding", row.sounding_ms
    if row.ended_ms is not None or row.state in ("ended", "stopped"):
        yield row.state, row.ended_ms
    if row.spoken_ms is not None:
        yield SPOKEN, row.spoken_ms


def _lacks(order: AnyOrder, row: OrderRow, state: str, at_ms: int | None, raw: bytes | None, keys: set[str]) -> str:
    if raw is None:
        return "no sealed receipt is kept"
    if not keys:
        return "no placement signed under this root names the node's report key"
    report = None
    for key in keys:
        try:
            trust = Trust(report_keys={row.node: key})
            report = unseal(raw, topic=None, trust=trust, me=Me(), now=Clock(0, "unknown"), seen=Seen()).payload
            break
        except ProtocolError:
            continue
    if not isinstance(report, Hello | Receipt) or report.node != row.node:
        return "the kept receipt is not sealed by the node's report key"
    if any(_tells(each, order, row, state, at_ms) for each in _results(report)):
        return ""
    return "the kept receipt says something else"


def _results(report: Hello | Receipt) -> tuple[OrderResult, ...]:
    if isinstance(report, Receipt):
        return report.results
    return tuple(
        OrderResult(incident=each.incident, order_seq=each.seq, result=each.result, at_ms=report.at_ms)
        for each in report.incidents
    )


def _tells(told: OrderResult, order: AnyOrder, row: OrderRow, state: str, at_ms: int | None) -> bool:
    if told.order_seq != order.seq or (told.digest or row.digest) != row.digest:
        return False
    if told.digest is None and told.incident != order.incident:
        return False
    if state == SPOKEN:
        return told.spoken_at_ms == at_ms
    return told.result == state and told.at_ms == at_ms
