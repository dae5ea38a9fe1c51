"""An incident over all its orders: one row a node, and the phase of the whole. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import structs

from controller.actions.views import IncidentPhase, IncidentView, NodeState, Op, OrderKind, Presence, RowView, SaidView
from controller.core import fleet
from controller.core.orders import OrderRow, OrderStored
from controller.core.peek import stored
from controller.core.world import World
from protocol.orders import ExerciseStart, Start

_STATES: Final[dict[str, NodeState]] = {
    "none": "none",
    "sent": "sent",
    "received": "received",
    "refused": "refused",
    "sounding": "sounding",
    "ended": "ended",
    "stopped": "stopped",
}
_PRESENCE: Final[dict[str, Presence]] = {"online": "online", "lost": "lost", "never": "never", "unknown": "unknown"}
_OPS: Final[dict[str, Op]] = {"START": "START", "STOP": "STOP", "LIFT": "LIFT"}
_KINDS: Final[dict[str, OrderKind]] = {"order": "order", "exercise": "exercise"}


def view_of(
    orders: Sequence[OrderStored],
    rows: Iterable[OrderRow],
    world: World,
    states: Mapping[str, fleet.NodeState],
    now_ms: int,
) -> IncidentView:
    """Fold the orders of one incident (oldest first) and their rows into what people see."""
    shown = _rows(orders, rows, world, states, now_ms)
    newest = orders[-1]
    starts = [order for order in orders if order.mark.op == "START"]
    opened = stored(starts[-1].raw) if starts else None
    said = opened if isinstance(opened, Start | ExerciseStart) else None
    areas = tuple(dict.fromkeys(order.mark.area for order in (starts or orders)))
    accept_until_ms = starts[-1].accept_until_ms if starts else None
    counts: dict[str, int] = {}
    for row in shown:
        counts[row.state] = counts.get(row.state, 0) + 1
    return IncidentView(
        incident=newest.key,
        kind=_KINDS[newest.mark.kind],
        op=_OPS[newest.mark.op],
        state=_phase(newest.mark.op, shown, accept_until_ms, now_ms),
        areas=areas,
        area_names=tuple(world.name_of(area) for area in areas),
        texts=tuple(SaidView(lang=text.lang, text=text.text) for text in said.text) if said else (),
        risk=said.risk if said else 0,
        issuing_body=said.issuing_body if said else "",
        source_doc=said.source_doc if said else "",
        created_by=newest.created_by,
        requested_at_ms=(starts or orders)[0].requested_at_ms,
        accept_until_ms=accept_until_ms,
        digests=tuple(order.mark.digest for order in orders),
        counts=counts,
        rows=shown,
    )


def _rows(
    orders: Sequence[OrderStored],
    rows: Iterable[OrderRow],
    world: World,
    states: Mapping[str, fleet.NodeState],
    now_ms: int,
) -> tuple[RowView, ...]:
    place = {order.mark.digest: number for number, order in enumerate(orders)}
    has_starts = any(order.mark.op == "START" for order in orders)
    main: dict[str, OrderRow] = {}
    ends: dict[str, OrderRow] = {}
    for row in sorted(rows, key=lambda row: place[row.digest]):
        is_start = orders[place[row.digest]].mark.op == "START"
        if is_start or not has_starts:
            main[row.node] = row
        if not is_start:
            ends[row.node] = row
    stopped = {node for node, row in ends.items() if orders[place[row.digest]].mark.op == "STOP"}
    waiting = {
        row.node
        for row in main.values()
        if row.node not in stopped
        and orders[place[row.digest]].mark.op == "START"
        and orders[place[row.digest]].accept_until_ms > now_ms
        and (row.state in ("none", "sent") or row.reason == "clock-unusable")
    }
    shown = [_row(row, ends.get(row.node), world, states.get(row.node), wants_nonce=row.node in waiting) for row in main.values()]
    return tuple(sorted(shown, key=lambda row: (row.settlement_name, row.node_name, row.node)))


def _row(row: OrderRow, end: OrderRow | None, world: World, state: fleet.NodeState | None, *, wants_nonce: bool) -> RowView:
    settlement = world.nodes[row.node].settlement if row.node in world.nodes else ""
    nonce = state.nonce if state is not None and wants_nonce and state.clock_state == "unknown" else None
    return RowView(
        node=row.node,
        node_name=world.name_of(row.node),
        settlement=settlement,
        settlement_name=world.name_of(settlement),
        online=_PRESENCE[state.online] if state is not None else "unknown",
        state=_STATES[row.state],
        reason=row.reason,
        sent_ms=row.sent_ms,
        received_ms=row.received_ms,
        sounding_ms=row.sounding_ms,
        spoken_ms=row.spoken_ms,
        ended_ms=row.ended_ms,
        stop_state=_STATES[end.state] if end is not None else None,
        offers=row.offers,
        nonce=nonce,
    )


def _phase(op: str, rows: tuple[RowView, ...], accept_until_ms: int | None, now_ms: int) -> IncidentPhase:
    states = {row.state for row in rows}
    if op == "STOP":
        still = any(row.state in ("sounding", "received") and row.stop_state in ("none", "sent") for row in rows)
        return "stopping" if still else "stopped"
    if "sounding" in states:
        return "sounding"
    if "received" in states or (accept_until_ms is not None and now_ms < accept_until_ms and states & {"none", "sent"}):
        return "waiting"
    if "ended" in states:
        return "ended"
    return "stopped" if "stopped" in states else "expired"


def just_now(orders: Sequence[OrderStored], world: World, now_ms: int) -> IncidentView:
    """An incident at the moment its newest order was taken in: nothing has come back yet."""
    phase: IncidentPhase = "stopping" if orders[-1].mark.op == "STOP" else "waiting"
    return structs.replace(view_of(orders, (), world, {}, now_ms), state=phase)


def without_rows(view: IncidentView) -> IncidentView:
    """The same, for lists."""
    return structs.replace(view, rows=())


def with_name(view: IncidentView, name: str) -> IncidentView:
    """The same, with the full name of whoever asked for it."""
    return structs.replace(view, created_name=name)
