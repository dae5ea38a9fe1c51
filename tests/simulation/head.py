"""The controller: its real knowledge of areas and documents, its real rules of offering and of lag, tables in memory beside."""

from dataclasses import dataclass, field

import msgspec

from controller.core.orders import OrderStored
from controller.core.succession import advance, next_offer_ms, replaces
from controller.core.world import AreaKnown, NodeKnown, Standing, World
from controller.offers import Lagging
from protocol import topics
from protocol.documents import Programme, Station
from protocol.reports import Hello, Receipt, RecordMark
from protocol.rules import slot_of
from protocol.seen import OrderMark
from tests.core.people import COMMUNE, PROVINCE
from tests.protocol.vector_world import NUMBERS


@dataclass(eq=False)
class Known:
    """What nodes said, as the table `nodes` has it."""

    id: str
    online: str = "never"
    boot_count: int = 0
    holds: tuple[str, ...] = ()
    at_ms: int = 0
    epoch: int = 0
    records_first: int = 1
    upto: int = 0
    nonce: str = ""
    clock: str = "good"
    troubles: tuple[str, ...] = ()
    plays: dict = field(default_factory=dict)


@dataclass(eq=False)
class Row:
    """How far an order got on a node."""

    state: str = "none"
    due_ms: int | None = None


class Head:
    """`broker.publish` is its only way out."""

    def __init__(self, world) -> None:
        self.world, self.clockwork, self.broker = world, world.clockwork, world.broker
        names = {PROVINCE: ("province", None), COMMUNE: ("commune", PROVINCE)}
        hamlets = dict.fromkeys(sorted(set(world.places.values())), ("settlement", COMMUNE))
        areas = [
            AreaKnown(id=area, no=NUMBERS[area], level=level, name=area, parent=parent)
            for area, (level, parent) in (names | hamlets).items()
        ]
        nodes = [
            NodeKnown(id=node, area_no=7, name=node, settlement=place, report_key="") for node, place in world.places.items()
        ]
        self.map = World(areas, nodes, [])
        self.nodes = {node: Known(node) for node in world.places}
        self.orders: dict[str, OrderStored] = {}
        self.rows: dict[tuple[str, str], Row] = {}
        self.lagging = Lagging()
        self.looking_ms: int | None = None

    # --- acts ---

    def put(self, signed) -> None:
        """A document that people signed: newer only."""
        held = Standing(digest=signed.digest, document=signed.payload, raw=signed.raw)
        known = self.map.standing.get(slot_of(signed.payload))
        if known is None or (signed.payload.seq, signed.digest) > (known.document.seq, known.digest):
            self.map.take_document(held)
            area = signed.payload.subject
            self.lagging.expect(sorted(self.map.nodes_in(area) or self.nodes), self.clockwork.now_ms)
            self._look()
        self.broker.publish(
            signed.topic, signed.raw, retain=known is None or held is self.map.standing.get(slot_of(signed.payload))
        )

    def withdraw_stolen(self, name: str) -> None:
        """Documents of a stolen key stand no longer."""
        for slot, held in list(self.map.standing.items()):
            if isinstance(held.document, Programme | Station) and name in self.world.office.all[held.digest].names:
                self.map.drop_document(slot)
                self.broker.retained.pop(held.topic, None)

    def order(self, signed) -> None:
        payload, now_ms = signed.payload, self.clockwork.now_ms
        mark = OrderMark(
            kind=payload.kind,
            op=signed.op,
            incident=payload.incident,
            area=payload.area,
            authority=payload.authority,
            seq=payload.seq,
            digest=signed.digest,
            keyids=(),
            persons=tuple(sorted(signed.names)),
        )
        stored = OrderStored(
            mark=mark,
            key=payload.incident or signed.digest,
            raw=signed.raw,
            accept_until_ms=getattr(payload, "accept_until_ms", 0),
            answers=(),
            created_by="",
            requested_at_ms=now_ms,
            sealed_with="",
        )
        self.orders[mark.digest] = stored
        for node in sorted(self.map.nodes_in(payload.area)):
            self.rows[mark.digest, node] = Row()
            self._next(stored, node, next_offer_ms(now_ms, now_ms))
        self._close_replaced(mark)
        self.broker.publish(stored.topic, stored.raw, retain=stored.retained, expires_ms=self._expiry(stored))

    @staticmethod
    def _expiry(order: OrderStored) -> int | None:
        return None if order.retained else order.accept_until_ms

    def _close_replaced(self, new: OrderMark) -> None:
        for (digest, _node), row in self.rows.items():
            old = self.orders[digest].mark
            if row.due_ms is not None and replaces(new, old, self.map.chain_of(old.area)):
                row.due_ms = None

    # --- offers ---

    def _next(self, order: OrderStored, node: str, at_ms: int) -> None:
        row = self.rows[order.mark.digest, node]
        row.due_ms = at_ms
        self.clockwork.after_ms(at_ms - self.clockwork.now_ms, lambda: self._due(order, node, at_ms))

    def _due(self, order: OrderStored, node: str, at_ms: int) -> None:
        row = self.rows.get((order.mark.digest, node))
        if row is not None and row.due_ms == at_ms and self.nodes[node].online != "lost" and self.world.head_up:
            self._offer(order, node)

    def _offer(self, order: OrderStored, node: str) -> None:
        row, now_ms = self.rows[order.mark.digest, node], self.clockwork.now_ms
        if order.offered_until_ms <= now_ms:
            row.due_ms = None
            return
        row.state = "sent" if row.state == "none" else row.state
        self._next(order, node, next_offer_ms(order.requested_at_ms, now_ms))
        self.broker.publish(order.topic_of(node), order.raw, expires_ms=order.offered_until_ms)

    def _look(self) -> None:
        """Look again at nodes that lag, when the first of them is due."""
        at_ms = self.lagging.next_ms()
        if at_ms is None or (self.looking_ms is not None and self.clockwork.now_ms < self.looking_ms <= at_ms):
            return
        self.looking_ms = at_ms

        def look() -> None:
            if self.looking_ms == at_ms:
                self.looking_ms = None
                for node in self.lagging.due(self.clockwork.now_ms):
                    self._documents(node)
                self._look()

        self.clockwork.after_ms(max(1, at_ms - self.clockwork.now_ms), look)

    def _documents(self, node: str) -> None:
        known = self.nodes[node]
        if not self.world.head_up:
            return
        lag = [held for held in self.map.due(node, self.clockwork.now_ms) if held.digest not in known.holds]
        if not lag or known.online in ("lost", "never"):
            self.lagging.settled(node)
            return
        for held in lag:
            self.broker.publish(topics.topic("document", node=node), held.raw)

    # --- reports ---

    def alive(self, pole, *, online: bool) -> None:
        self.nodes[pole.name].online = "online" if online else "lost"

    def takes(self, node: str, message) -> None:
        known = self.nodes[node]
        match message:
            case Hello():
                if message.boot_count < known.boot_count and not message.amnesia:
                    return
                late = message.boot_count == known.boot_count and message.at_ms < known.at_ms
                known.boot_count, known.at_ms, known.online = message.boot_count, message.at_ms, "online"
                self._hello(known, message, late=late)
            case Receipt():
                known.at_ms, known.online = message.at_ms, "online"
                self._receipt(known, message)
            case _:
                known.troubles = message.troubles

    def _hello(self, known: Known, hello: Hello, *, late: bool) -> None:
        now_ms, node = self.clockwork.now_ms, known.id
        counted = max((number for epoch, number in known.plays if epoch == known.epoch), default=0) if hello.amnesia else 0
        if hello.amnesia and not late and hello.last_record_id < max(known.upto, counted):
            known.epoch += 1
            known.upto = 0
        known.holds = tuple(held.digest for held in hello.holds)
        known.troubles, known.nonce, known.clock = hello.troubles, hello.nonce, hello.clock_state
        known.records_first = max(hello.first_record_id, 1)
        lag = [held for held in self.map.due(node, now_ms) if held.digest not in known.holds]
        self.lagging.told({node: bool(lag)}, now_ms)
        self._look()
        for held in lag:
            self.broker.publish(topics.topic("document", node=node), held.raw)
        for digest, order in self.orders.items():
            row = self.rows.get((digest, node))
            alive = order.offered_until_ms > now_ms
            if row is None and alive and node in self.map.nodes_in(order.mark.area):
                row = self.rows[digest, node] = Row(due_ms=now_ms)
                self._close_replaced(order.mark)
            if row is not None and row.due_ms is not None:
                self._offer(order, node)
        self._mark(known)

    def _receipt(self, known: Known, receipt: Receipt) -> None:
        for result in receipt.results:
            row = self.rows.get((result.digest or "", known.id))
            if row is None or result.order_seq is None:
                continue
            if not (result.result == "refused" and result.reason.startswith("storage")):
                row.due_ms = None
            change = advance(row.state, result.result)
            row.state = change.state if change is not None else row.state
            if result.result == "refused" and result.reason.startswith("clock-unusable"):
                self.world.without_clock(known, self.orders[result.digest])
        if receipt.plays:
            for record in receipt.plays:
                held = known.plays.setdefault((known.epoch, record.record_id), record)
                if held != record:
                    self.world.broken(7, self.world.poles[known.id], f"one number, two plays: {held} and {record}")
            self._count(known)
            self._mark(known)

    @staticmethod
    def _count(known: Known) -> None:
        known.upto = max(known.upto, known.records_first - 1)
        while (known.epoch, known.upto + 1) in known.plays:
            known.upto += 1

    def _mark(self, known: Known) -> None:
        raw = msgspec.json.encode(RecordMark(upto=known.upto))
        self.broker.publish(topics.topic("records", node=known.id), raw)

    # --- its own misfortunes ---

    def broker_is_back(self) -> None:
        """It is a cache: what should be retained is retained again."""
        if not self.world.head_up:
            return
        now_ms = self.clockwork.now_ms
        for topic, raw in self.map.retained(now_ms).items():
            if topic not in self.broker.retained:
                self.broker.publish(topic, raw, retain=True)
        for order in sorted(self.orders.values(), key=lambda order: order.mark.seq):
            if order.retained and order.offered_until_ms > now_ms:
                self.broker.publish(order.topic, order.raw, retain=True)

    def restored(self, lost: int) -> None:
        """From a backup: of every node the newest records are not there any more."""
        for known in self.nodes.values():
            numbers = sorted(number for epoch, number in known.plays if epoch == known.epoch)
            for number in numbers[max(0, len(numbers) - lost) :]:
                del known.plays[known.epoch, number]
            known.upto = known.records_first - 1
            self._count(known)
            if known.online == "online":
                self._mark(known)
