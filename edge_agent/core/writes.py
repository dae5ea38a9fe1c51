"""What a write is about, so that a later one of the same thing can take the place of an earlier one."""

from collections.abc import Hashable

from edge_agent.commands import DropDocument, PutDocument, PutMark, PutNumber, PutOrder, PutReach, PutRecord, PutUpdate, Write


def outdated_by(write: Write) -> frozenset[Hashable]:
    """The keys of what says nothing any more once this is written: a document in force also ends what waited in its slot."""
    if isinstance(write, PutDocument) and not write.document.pending:
        return frozenset({(write.slot, False), (write.slot, True)})
    return frozenset({key_of(write)})


def key_of(write: Write) -> Hashable:  # noqa: PLR0911  one return a write
    """Two writes with one key: after the later, the earlier says nothing any more."""
    match write:
        case PutDocument(slot, document):
            return (slot, document.pending)
        case DropDocument(slot, pending):
            return (slot, pending)
        case PutOrder(order):
            return ("order", order.mark.digest)
        case PutMark(mark):
            return ("mark", mark.digest)
        case PutRecord(record):
            return record.record_id
        case PutUpdate():
            return "update", 0
        case PutReach():
            return "reach", 0
        case PutNumber(name):
            return name
