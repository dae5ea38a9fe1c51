"""What happened, short enough to be read, the same in every run of a seed; a digest of it all, and the last of each node."""

import hashlib
from collections import Counter, deque

from edge_agent.events import Arrived, ClockChecked, MediaStored, PartSounding, PlayEnded, Saved, SaveFailed, Sounding, Woke
from tests.simulation.clockwork import MS_NS
from tests.simulation.oracle import clock_face

KEPT = 60
QUIET = (Woke, ClockChecked)


class Transcript:
    """Lines are made when they are printed; the digest takes every turn."""

    def __init__(self, *, aloud: bool = False) -> None:
        self._aloud = aloud
        self._hash = hashlib.blake2b(digest_size=8)
        self._last: dict[int | None, deque] = {}
        self.counts: Counter = Counter()

    def turn(self, at_ns: int, pole, event, commands) -> None:
        """A node took an event and gave commands."""
        name = type(event).__name__
        self._hash.update(f"{at_ns} {pole.number} {name} {len(commands)} {pole.state.next_ref}".encode())
        self._keep(at_ns, pole, (name, event, commands))

    def note(self, at_ns: int, pole, *words) -> None:
        """Something that an onlooker would say."""
        self._hash.update(f"{at_ns} {' '.join(map(str, words))}".encode())
        self._keep(at_ns, pole, words)

    def _keep(self, at_ns: int, pole, what) -> None:
        number = None if pole is None else pole.number
        error_ms = 0 if pole is None else pole.error_ms
        entry = (at_ns, number, error_ms, what)
        if self._aloud and (line := _line(entry)):
            print(line)
        self._last.setdefault(number, deque(maxlen=KEPT)).append(entry)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def tail(self, number: int | None) -> list[str]:
        """The last of one node."""
        return [line for entry in self._last.get(number, ()) if (line := _line(entry))]


def _line(entry) -> str:
    at_ns, number, error_ms, what = entry
    who = "world " if number is None else f"node {number}"
    clock = f" (its clock {error_ms:+} ms)" if error_ms else ""
    if len(what) == 3 and isinstance(what[2], tuple):
        said = _turn_line(*what)
        return f"{clock_face(at_ns // MS_NS)} {who}{clock} {said}" if said else ""
    return f"{clock_face(at_ns // MS_NS)} {who}{clock} {' '.join(map(str, what))}"


def _turn_line(name: str, event, commands) -> str:
    if isinstance(event, QUIET) and not commands:
        return ""
    match event:
        case Arrived():
            detail = f"{event.ref} {event.topic.removeprefix('loa/1/')}"
        case Saved() | SaveFailed():
            detail = str(event.ref)
        case Sounding() | PartSounding() | PlayEnded():
            detail = f"play {event.play_id} {getattr(event, 'how', '')}{getattr(event, 'part', '')}"
        case MediaStored():
            detail = event.sha256[:8]
        case _:
            detail = ""
    given = ", ".join(_command(command) for command in commands)
    return f"{name} {detail}{' -> ' + given if given else ''}"


def _command(command) -> str:
    name = type(command).__name__
    match name:
        case "Save":
            return f"Save {command.ref} ({' '.join(_write(write) for write in command.writes)})"
        case "Speak":
            return f"Speak {command.play.play_id}"
        case "Hush":
            return f"Hush {command.play_id}"
        case "Acknowledge":
            return f"Ack {command.ref}"
        case "Publish":
            message = command.message
            results = " ".join(
                f"{told.result}{':' + told.reason[:40] if told.reason else ''}" for told in getattr(message, "results", ())
            )
            plays = " ".join(f"#{record.record_id} {record.ending}" for record in getattr(message, "plays", ()))
            return " ".join(word for word in (type(message).__name__, results, plays) if word)
        case _:
            return name


def _write(write) -> str:
    match type(write).__name__:
        case "PutOrder":
            return f"order {write.order.mark.digest[:6]} {write.order.state}"
        case "PutMark":
            return f"mark {write.mark.op} {write.mark.digest[:6]}"
        case "PutRecord":
            record = write.record
            ending = "open" if write.is_open else record.ending
            return f"record #{record.record_id} {record.item} {ending} {record.reason[:50]}".strip()
        case "PutNumber":
            return f"{write.name}={write.value}"
        case "PutDocument":
            return f"{write.slot.kind} {write.document.digest[:6]}{' waits' if write.document.pending else ''}"
        case _:
            return f"drop {write.slot.kind}{' waiting' if write.pending else ''}"
