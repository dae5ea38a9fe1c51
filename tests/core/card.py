"""A node's disk as the core sees it: transactions in order, that may come late, fail, or be the last before the power goes."""

from collections.abc import Iterable

from edge_agent.commands import (
    DropDocument,
    PutDocument,
    PutMark,
    PutNumber,
    PutOrder,
    PutReach,
    PutRecord,
    PutUpdate,
    Save,
    Write,
)
from edge_agent.events import Memory


class Card:
    """What is on it, and the journal of every transaction that it took."""

    def __init__(self) -> None:
        self.documents: dict = {}
        self.orders: dict = {}
        self.marks: dict = {}
        self.records: dict = {}
        self.numbers: dict[str, int] = {}
        self.media: frozenset[str] = frozenset()
        self.sizes: dict[str, int] = {}
        self.boots = 0
        self.update = None
        self.reach = None
        self.journal: list[tuple[Write, ...]] = []

    def commit(self, save: Save) -> None:
        self.journal.append(save.writes)
        for write in save.writes:
            self._put(write)

    def _put(self, write: Write) -> None:
        match write:
            case PutDocument(slot, document):
                self.documents.pop((slot, True), None)
                self.documents[slot, document.pending] = document
            case DropDocument(slot, pending):
                self.documents.pop((slot, pending), None)
            case PutOrder(order):
                self.orders[order.mark.digest] = order
                self.marks.setdefault(order.mark.digest, order.mark)
            case PutMark(mark):
                self.marks.setdefault(mark.digest, mark)
            case PutRecord(record, is_open):
                self.records[record.record_id] = (record, is_open)
            case PutNumber(name, value):
                self.numbers[name] = value
            case PutUpdate(update):
                self.update = update
            case PutReach(reach):
                self.reach = reach

    def records_after(self, number: int) -> tuple:
        return tuple(record for key, (record, is_open) in sorted(self.records.items()) if key > number and not is_open)

    def boot(self) -> Memory:
        """Power comes back: what was open stays as it is, closed."""
        self.boots += 1
        self.records = {number: (record, False) for number, (record, _) in self.records.items()}
        upto = self.numbers.get("records_upto", 0)
        return Memory(
            boot_count=self.boots,
            first_boot=not (self.numbers.get("introduced", 0) or upto),
            created_ms=self.numbers.get("created_ms"),
            floor_ms=self.numbers.get("floor_ms", 0),
            rtc_good_ms=self.numbers.get("rtc_good_ms"),
            documents=tuple(self.documents.values()),
            orders=tuple(sorted(self.orders.values(), key=lambda order: order.accepted_ms)),
            marks=tuple(self.marks.values()),
            records=self.records_after(upto),
            next_record_id=max([upto, *self.records]) + 1,
            first_record_id=min(self.records, default=upto + 1),
            records_upto=upto,
            bulletins=tuple(record for record, _ in self.records.values() if record.incident is None),
            media={sha256: self.sizes.get(sha256, 1_000) for sha256 in sorted(self.media)},
            media_month=self.numbers.get("media_month", 0),
            media_bytes=self.numbers.get("media_bytes", 0),
            suspends_ran_ms={
                name.removeprefix("suspend "): value for name, value in self.numbers.items() if name.startswith("suspend ")
            },
            update=self.update,
            reach=self.reach,
        )

    @classmethod
    def replayed(cls, journal: Iterable[tuple[Write, ...]], *, boots: int, media: frozenset[str]) -> "Card":
        """The card as it was after these transactions."""
        card = cls()
        card.boots, card.media = boots, media
        for ref, writes in enumerate(journal):
            card.commit(Save(ref, writes))
        return card
