"""Who may say what, where: the root's roles, the grants' powers and a node's placement, folded into one immutable view."""

from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct
from securesystemslib.signer import SSlibKey

from protocol.documents import ChainLink, Grant, GrantBody, Key, Person, Placement, Power, Root, RootBody
from protocol.errors import Malformed
from protocol.passing import Suspend
from protocol.reader import Clock
from protocol.units import AreaLevel, KeyState

WIDE_LEVELS: Final = ("province",)
"""Wider than a commune: an order there needs two persons, whatever the grant says."""
WIDE_PERSONS: Final = 2

_P: Final = 2**255 - 19
_SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _P - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)
"""y coordinates of the eight points whose order divides 8: as keys they accept trivial signatures."""


class Signer(Struct, frozen=True):
    """A key as a grant or the root names it."""

    keyid: str
    person: str
    state: KeyState
    service: bool


def is_small_order(public: str) -> bool:
    """Tell whether a public key (hex) is one of the points of small order, in any encoding."""
    y = int.from_bytes(bytes.fromhex(public), "little") & (2**255 - 1)
    return y % _P in _SMALL_ORDER_Y


class Verifier(Struct, frozen=True):
    """A public key that was looked at: its keyid, recomputed from its bytes as securesystemslib does, and the key itself."""

    keyid: str
    key: Ed25519PublicKey

    def holds(self, signature: bytes, signed: bytes) -> bool:
        """Whether this key made this signature over these bytes."""
        try:
            self.key.verify(signature, signed)
        except InvalidSignature:
            return False
        return True


@lru_cache(maxsize=512)
def public_key(public: str) -> Verifier:
    """The verifying key for 32 bytes in hex. Raises Malformed for a key not to be trusted."""
    if is_small_order(public):
        raise Malformed(f"public key {public[:16]}… is a point of small order")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed(f"public key {public[:16]}… is not an Ed25519 key") from error
    return Verifier(SSlibKey.from_crypto(key).keyid, key)


def check_keys(persons: tuple[Person, ...], keys: tuple[Key, ...], where: str) -> None:
    """Refuse a list of keys that repeats a key, or names a person who is not there. Raises Malformed."""
    names = {person.id for person in persons}
    if len(names) != len(persons):
        raise Malformed(f"{where}: a person is listed twice")
    if len({key.public for key in keys}) != len(keys):
        raise Malformed(f"{where}: a public key is listed twice")
    for key in keys:
        if key.person not in names:
            raise Malformed(f"{where}: key {key.public[:16]}… belongs to {key.person!r}, who is not listed")
        public_key(key.public)


def _signers(body: RootBody | GrantBody) -> dict[str, Signer]:
    services = {person.id for person in body.persons if person.service}
    return {
        public_key(key.public).keyid: Signer(public_key(key.public).keyid, key.person, key.state, key.person in services)
        for key in body.keys
    }


class Suspension(Struct, frozen=True):
    """A suspension that was taken in, and the keys that signed it."""

    what: Suspend
    keyids: tuple[str, ...]


class Trust:
    """An immutable view of authority: root, grants by area, this node's placement, other nodes' report keys, suspensions.

    `chain` is where the reader stands: a node's own areas; on the controller the areas above what is being judged.
    """

    def __init__(
        self,
        root: Root | None = None,
        grants: Mapping[str, Grant] | None = None,
        placement: Placement | None = None,
        report_keys: Mapping[str, str] | None = None,
        *,
        chain: tuple[ChainLink, ...] | None = None,
        suspensions: tuple[Suspension, ...] = (),
    ) -> None:
        self.root = root
        self.grants: Mapping[str, Grant] = dict(grants or {})
        self.placement = placement
        self.report_keys: Mapping[str, str] = dict(report_keys or {})
        self.chain: tuple[ChainLink, ...] = chain or (placement.body.chain if placement else ())
        self.suspensions = suspensions

    def with_document(self, document: Root | Grant | Placement) -> "Trust":
        """The same view with a newer root, grant or placement in it."""
        match document:
            case Root():
                return self._but(root=document)
            case Grant():
                return self._but(grants={**self.grants, document.subject: document})
            case Placement():
                keys = {**self.report_keys, document.body.node: document.body.report_key}
                return self._but(placement=document, report_keys=keys, chain=document.body.chain)

    def standing_in(self, chain: tuple[ChainLink, ...]) -> "Trust":
        """The same view read from the end of another chain (the controller judges for each area in turn)."""
        return self._but(chain=chain)

    def with_report_keys(self, report_keys: Mapping[str, str]) -> "Trust":
        """The same view with these nodes' report keys (the controller's side)."""
        return self._but(report_keys={**self.report_keys, **report_keys})

    def with_suspensions(self, suspensions: Iterable[Suspension]) -> "Trust":
        """The same view with just these suspensions."""
        return self._but(suspensions=tuple(suspensions))

    def without_grant(self, area: str) -> "Trust":
        """The same view without the grant of an area."""
        return self._but(grants={each: grant for each, grant in self.grants.items() if each != area})

    def _but(self, **changes: Any) -> "Trust":
        mine = {
            "root": self.root,
            "grants": self.grants,
            "placement": self.placement,
            "report_keys": self.report_keys,
            "chain": self.chain,
            "suspensions": self.suspensions,
        }
        return Trust(**(mine | changes))

    @cached_property
    def keys(self) -> Mapping[str, tuple[Verifier, bool]]:
        """Every key that root or a grant names: keyid -> (verifier, active somewhere)."""
        found: dict[str, tuple[Verifier, bool]] = {}
        bodies: list[RootBody | GrantBody] = [grant.body for grant in self.grants.values()]
        if self.root:
            bodies.append(self.root.body)
        for body in bodies:
            for key in body.keys:
                if key.state == "stolen":
                    continue
                verifier = public_key(key.public)
                active = key.state == "active" or found.get(verifier.keyid, (verifier, False))[1]
                found[verifier.keyid] = (verifier, active)
        return found

    @cached_property
    def _tables(self) -> Mapping[str, Mapping[str, Signer]]:
        tables = {area: _signers(grant.body) for area, grant in self.grants.items()}
        if self.root:
            tables["root"] = _signers(self.root.body)
        return tables

    def signers(self, authority: str, keyids: Iterable[str], *, held: bool = False) -> tuple[Signer, ...]:
        """Those keys that are empowered by this authority: active ones, and retired ones for what is already held."""
        table = self._tables.get(authority, {})
        states = ("active", "retired") if held else ("active",)
        stolen = self._stolen_above(authority)
        return tuple(table[keyid] for keyid in keyids if keyid in table and table[keyid].state in states and keyid not in stolen)

    def _stolen_above(self, authority: str) -> frozenset[str]:
        """What the root or a wider grant calls stolen is stolen here too, whatever this grant still says."""
        below = position(self.chain, authority)
        areas = () if below is None else tuple(link.area for link in self.chain[:below])
        tables = [self._tables[area] for area in ("root", *areas) if area in self._tables]
        return frozenset(keyid for table in tables for keyid, signer in table.items() if signer.state == "stolen")

    def stolen(self, authority: str) -> frozenset[str]:
        """The keys that an authority, or one above it, calls stolen."""
        own = self._tables.get(authority, {}).items()
        return self._stolen_above(authority) | {keyid for keyid, signer in own if signer.state == "stolen"}

    @cached_property
    def has_void(self) -> bool:
        """Whether any key at all is suspended or stolen; nearly never, so it is asked first."""
        return bool(self.suspensions) or any(
            signer.state == "stolen" for table in self._tables.values() for signer in table.values()
        )

    def suspended(self, authority: str, now: Clock) -> frozenset[str]:
        """The keys that are suspended now as signers of an authority: in the area of their suspension and below it."""
        mine = position(self.chain, authority) if self.suspensions else None
        if mine is None:
            return frozenset()
        held = [each for each in self.suspensions if self._reaches(each, mine)]
        return frozenset(each.what.key_id for each in held if self._in_force(each, now))

    def _reaches(self, suspension: Suspension, at: int) -> bool:
        area = position(self.chain, suspension.what.area)
        return area is not None and area <= at

    def _in_force(self, suspension: Suspension, now: Clock) -> bool:
        """Not over, not lifted by an authority as wide, by a hand that is not suspended itself (by one wider still)."""
        what = suspension.what
        if what.lifts or now.is_past(what.until_ms) or not self._still_said(suspension, now):
            return False
        return not any(
            other.what.lifts
            and (other.what.area, other.what.key_id) == (what.area, what.key_id)
            and other.what.seq > what.seq
            and (other.what.authority == what.authority or covers(self.chain, other.what.authority, what.authority))
            and self._still_said(other, now)
            for other in self.suspensions
        )

    def _still_said(self, suspension: Suspension, now: Clock) -> bool:
        what = suspension.what
        if what.authority == what.area or not covers(self.chain, what.authority, what.area):
            return False
        delegates = {person for power in self.powers(what.authority, "delegate") for person in power.persons}
        void = self.suspended(what.authority, now)
        signers = self.signers(what.authority, suspension.keyids, held=True)
        return any(signer.person in delegates and signer.keyid not in void for signer in signers)

    def names(self, area: str, keyid: str) -> bool:
        """Whether the grant of an area names this key."""
        return keyid in self._tables.get(area, {})

    def powers(self, authority: str, name: str) -> tuple[Power, ...]:
        """The powers of this name that a grant hands out; from the root, its roles."""
        if authority == "root" and self.root:
            body = self.root.body
            roles = {"root": body.root, "delegate": body.delegate, "placement": body.placement, "time": body.time}
            role = roles.get(name)
            if role is None:
                return ()
            return (Power(power="delegate", persons=role.persons, threshold=role.threshold),)
        grant = self.grants.get(authority)
        return tuple(power for power in grant.body.powers if power.power == name) if grant else ()

    def until_ms(self, authority: str) -> int | None:
        """When the grant ends; None for the root and for an unknown grant."""
        grant = self.grants.get(authority)
        return grant.body.until_ms if grant else None


def position(chain: tuple[ChainLink, ...], area: str) -> int | None:
    """Where an area stands in a chain, 0 the widest; None when it is not in it."""
    return next((index for index, link in enumerate(chain) if link.area == area), None)


def covers(chain: tuple[ChainLink, ...], authority: str, area: str) -> bool:
    """A signer of `authority` may address `area` if both are in the chain and the area is at or below it (the root: all)."""
    target = position(chain, area)
    if authority == "root":
        return target is not None
    source = position(chain, authority)
    return source is not None and target is not None and source <= target


def level_of(chain: tuple[ChainLink, ...], area: str) -> AreaLevel | None:
    """The level of an area of this chain."""
    index = position(chain, area)
    return None if index is None else chain[index].level
