"""The people of one commune: what they sign, when, rightly and wrongly; and a register of every voice that may ever be heard."""

import hashlib
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from msgspec import structs

from protocol.bulletins import Media, Spoken, Variant
from protocol.documents import Maintenance
from protocol.envelope import claimed
from protocol.orders import Clip, Text
from protocol.units import Document
from tests.core import people
from tests.core.people import COMMUNE, HAMLET, ISSUED, MIDNIGHT, PROVINCE
from tests.protocol import vector_world as vectors
from tests.protocol.vector_world import DAY_MS, NEIGHBOUR, NODE, Sent

THIRD = next(node for number in range(1_000_004, 1_000_050) if (node := vectors.new_id(number.to_bytes(6, "big"))))
PLACES = {NODE: HAMLET, NEIGHBOUR: "52.24076.002", THIRD: HAMLET}
OPENINGS = (((300, 480), (990, 1_170)), ((270, 450), (660, 720), (1_020, 1_200)), ((300, 1_260),), ((0, 1_440),))
WORKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA")


@dataclass(frozen=True, eq=False)
class Signed:
    """Something that was sealed: by whom, and whether that was wrong of them."""

    payload: Any
    raw: bytes
    topic: str
    digest: str
    names: frozenset[str]
    op: str = ""
    key_states: dict[str, str] = field(default_factory=dict)
    media: frozenset[str] = frozenset()

    @property
    def incident(self):
        return self.payload.incident

    def __str__(self):
        payload = self.payload
        what = f"{self.op} {(payload.incident or 'all').lstrip('0')}" if self.op else payload.kind
        by = "+".join(sorted(self.names))
        return f"{payload.kind if self.op else ''} {what} {payload.area} by {by} seq {payload.seq} [{self.digest[:6]}]".strip()


def placement_of(node):
    body = vectors.PlacementBody(
        node=node,
        chain=vectors.chain(node, PLACES[node]),
        station=COMMUNE,
        report_key=vectors.keys.public_hex(vectors.key("report")),
    )
    return Place(**vectors.lasting(node, "root", ISSUED, body=body))


Place = vectors.Placement


@cache
def founding(node):
    """What a node gets in its first days; sealed once for every seed."""
    return (vectors.signed(placement_of(node), "r1", "r3"), people.province(), people.hamlet(ISSUED + 1))


class Office:
    """Signs by a seeded hand. `said` tells whose any text or recording is; `now_ms` is the true time."""

    def __init__(self, rng):
        self.rng = rng
        self.all: dict[str, Signed] = {}
        self.said: dict[str, tuple[Signed, str]] = {}
        self.key_states: dict[str, str] = {}
        self.grants: dict[int, dict[str, str]] = {}
        self.by_raw: dict[bytes, Signed] = {}
        self.last_seq = 0
        self.versions = 0
        self.incidents = 0
        self.orders: list[Signed] = []
        self.replayable: list[Signed] = []

    def _seal(self, payload, *names, topic=None, **more):
        sent: Sent = vectors.signed(payload, *names)
        return self.keep(sent, payload, names, topic=topic, **more)

    def keep(self, sent, payload, names, topic=None, **more):
        digest, _seq = claimed(sent.raw)
        signed = Signed(payload, sent.raw, topic or sent.topic, digest, frozenset(names), **more)
        self.all[digest] = self.by_raw[signed.raw] = signed
        self.replayable.append(signed)
        return signed

    def seq(self, now_ms):
        """The signer's clock, and more than anything before."""
        self.last_seq = max(self.last_seq + 1, now_ms + self.rng.randint(-300, 300))
        return self.last_seq

    # --- documents ---

    def grant(self, now_ms, state="active"):
        """The commune's grant anew, its first leader's key active, retired or stolen."""
        payload = vectors.grant(COMMUNE, PROVINCE, vectors.commune_body(state), now_ms)
        self.key_states = self.grants[now_ms] = {"c1": state}
        return self._seal(payload, "p1", "p2", key_states={"c1": state})

    def leader(self):
        """Who of the commune still has a good key."""
        return "c2" if self.key_states.get("c1", "active") != "active" else self.rng.choice(("c1", "c2"))

    def station(self, now_ms, by=None, opening=None):
        rng = self.rng
        hours = opening or rng.choice(OPENINGS)
        rules = {"half_inside": rng.choice(("cut", "refuse")), "emergency_volume_cdb": 0}
        if rng.random() < 0.3:
            rules |= {"session_max_min": rng.choice((15, 45, 120))}
        if opening is None and rng.random() < 0.15:
            rules |= {
                "maintenance": (Maintenance(area=rng.choice((COMMUNE, HAMLET)), until_ms=now_ms + rng.randint(1, 8) * 3_600_000),)
            }
        made = vectors.station(self.seq(now_ms), hours)
        return self._seal(structs.replace(made, body=structs.replace(made.body, **rules)), by or self.leader())

    def programme(self, now_ms, authority=COMMUNE, by=None, seq=None, *, empty=False):
        """A new version: its own recordings, so that an ear can tell it from the version before."""
        rng = self.rng
        self.versions += 1
        count = 0 if empty else rng.randint(5, 9) if authority == COMMUNE else rng.randint(1, 3)
        items = [self._item(number, authority) for number in range(count)]
        payload = vectors.programme(
            seq or self.seq(now_ms),
            subject=COMMUNE,
            area=COMMUNE,
            authority=authority,
            valid_from_ms=now_ms + rng.choice((-DAY_MS, -DAY_MS, 3_600_000)),
            valid_until_ms=now_ms + rng.choice((12, 20, 40)) * DAY_MS,
        )
        payload = structs.replace(payload, body=vectors.ProgrammeBody(items=tuple(items)))
        names = (by or (self.leader() if authority == COMMUNE else "p1"),)
        media = frozenset(variant.media.sha256 for item in items for variant in item.variants if variant.media)
        signed = self._seal(payload, *names, media=media)
        for item in items:
            for variant in item.variants:
                self.said[variant.media.sha256 if variant.media else variant.spoken.text] = (signed, item.id)
        return signed

    def _item(self, number, authority):
        rng = self.rng
        item_id = f"{'tin' if authority == COMMUNE else 'tinh'}-{number}"
        hour = rng.choice((5, 5, 6, 6, 7, 11, 17, 17, 18, 18, 19, rng.randint(0, 23)))
        minutes = sorted({rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50, 55)) for _ in range(rng.choice((1, 1, 2)))})
        days = rng.choice(("FREQ=DAILY", "FREQ=DAILY", "FREQ=DAILY;INTERVAL=2", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"))
        text = f"{item_id} v{self.versions}"
        if rng.random() < 0.25:
            variant = Variant(lang="vi", spoken=Spoken(text=text))
        else:
            sha256 = hashlib.sha256(f"{text} {rng.random()}".encode()).hexdigest()
            variant = Variant(
                lang="vi", media=Media(sha256=sha256, bytes=rng.randint(10_000, 900_000), samples=48_000 * rng.randint(20, 420))
            )
        return structs.replace(
            vectors.item(item_id, f"{days};BYHOUR={hour};BYMINUTE={','.join(map(str, minutes))}"),
            class_=rng.choice(("normal", "normal", "normal", "priority")),
            variants=(variant,),
            grace_s=rng.choice((0, 60, 300, 1_800)),
            on_interrupt=rng.choice(("restart", "resume", "drop")),
        )

    # --- orders ---

    def start(self, now_ms, *, exercise=False, again=None, answers=(), forged=""):
        """A START, or (again) an update of an incident; `forged` names what is wrong with it."""
        rng = self.rng
        self.incidents += again is None
        incident = again.payload.incident if again else f"{self.incidents:016x}"
        authority, area, names = self._who(again)
        fields = {
            "risk": rng.randint(0, 5),
            "repeats": rng.choice((1, 2, 3, 3, 8, 40)),
            "sound_max_s": rng.choice((20, 60, 120, 300, 600)),
            "answers": tuple(answers),
        }
        seq = self.seq(now_ms)
        fields["accept_until_ms"] = seq + (
            rng.randint(60_000, 600_000) if exercise else rng.choice((120_000, 1_800_000, 21_600_000))
        )
        match forged:
            case "stranger":
                names = ("d1",)
            case "alone":
                area = authority = PROVINCE
                names = (rng.choice(("p1", "p2")),)
            case "long":
                authority, area, names = COMMUNE, HAMLET, ("page",)
                fields["sound_max_s"] = 1_200
            case "narrow":
                authority, area, names = HAMLET, COMMUNE, ("h1",)
        text = f"{'dt' if exercise else 'lu'} {self.incidents} {len(self.orders)}"
        fields["text"] = (Text(lang="vi", text=text),)
        if rng.random() < 0.2:
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            purpose = "exercise" if exercise else "live"
            fields["clips"] = (
                Clip(lang="jra", sha256=sha256, bytes=20_000, duration_ms=rng.randint(3_000, 9_000), purpose=purpose),
            )
        make = vectors.drill if exercise else vectors.start
        signed = self._seal(make(area, authority, seq, incident, **fields), *names, op="START")
        self.said[text] = (signed, "")
        self.orders.append(signed)
        return signed

    def again(self, now_ms, signed, nonce):
        """The very same words, answering a nonce."""
        payload = signed.payload
        seq = self.seq(now_ms)
        accept_until_ms = max(seq, payload.accept_until_ms) if payload.accept_until_ms > seq else seq
        renewed = structs.replace(payload, seq=seq, answers=(nonce,), accept_until_ms=accept_until_ms)
        made = self._seal(renewed, *sorted(signed.names), op="START")
        self.said[payload.text[0].text] = (made, "")
        self.orders.append(made)
        return made

    def _who(self, again):
        rng = self.rng
        if again is not None and rng.random() < 0.7:
            return again.payload.authority, again.payload.area, tuple(sorted(again.names))
        return rng.choice(
            (
                (COMMUNE, HAMLET, (self.leader(),)),
                (COMMUNE, COMMUNE, (self.leader(),)),
                (COMMUNE, COMMUNE, ("c2",)),
                (HAMLET, HAMLET, ("h1",)),
                (PROVINCE, HAMLET, ("p1",)),
                (PROVINCE, PROVINCE, ("p1", "p2")),
            )
        )

    def stop(self, now_ms, start=None, *, area=None, exercise=False, narrow=False):
        """STOP of one incident, or of everything in an area."""
        rng = self.rng
        if start is None:
            authority, names = (HAMLET, ("h1",)) if narrow else (COMMUNE, (self.leader(),))
            where, incident = area or (HAMLET if narrow else COMMUNE), None
        else:
            incident, where = start.payload.incident, start.payload.area
            authority, names = start.payload.authority, tuple(sorted(start.names))
            if narrow:
                authority, names, where = HAMLET, ("h1",), HAMLET
            elif rng.random() < 0.2:
                authority, names = PROVINCE, ("p1", "p2")
        make = vectors.drill_stop if exercise else vectors.stop
        tie = start is not None and rng.random() < 0.1
        seq = start.payload.seq if tie else self.seq(now_ms)
        signed = self._seal(make(where, authority, seq, incident), *names, op="STOP")
        self.orders.append(signed)
        return signed

    def lift(self, now_ms, stop):
        payload = stop.payload
        made = vectors.lift(payload.area, payload.authority, self.seq(now_ms), payload.incident)
        signed = self._seal(made, *sorted(stop.names), op="LIFT")
        self.orders.append(signed)
        return signed


def is_document(signed):
    return isinstance(signed.payload, Document)


BEGIN_MS = MIDNIGHT
