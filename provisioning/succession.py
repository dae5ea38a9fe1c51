"""The next root or grant out of the one in force: somebody comes, a key is retired or stolen, a floor is lowered. Pure."""

from collections.abc import Mapping
from typing import get_args

from msgspec import Struct, structs

from protocol.documents import Grant, GrantBody, Key, Person, Power, Role, Root, RootBody
from protocol.envelope import MAX_SIGNATURES
from protocol.errors import Malformed
from protocol.units import KeyState, PowerName
from provisioning.ceremony import DEFAULT_CLASSES, build_grant, build_root

ROLES = ("root", "delegate", "placement", "release", "time")


class Comes(Struct, frozen=True, kw_only=True):
    """A key that comes in, whose it is, and the roles (of a root) or powers (of a grant) that its person is to have."""

    public: str
    person: str
    name: str
    roles: tuple[str, ...]


class Change(Struct, frozen=True, kw_only=True):
    """What is to be otherwise in the next version; `states` by public key, `thresholds` by role or power."""

    comes: tuple[Comes, ...] = ()
    states: Mapping[str, KeyState] = {}
    thresholds: Mapping[str, int] = {}


def keys_of(body: RootBody | GrantBody, who: str) -> tuple[str, ...]:
    """The public keys that a person's id or a public key names here. Raises Malformed for a stranger."""
    found = tuple(key.public for key in body.keys if who in (key.public, key.person))
    if not found:
        raise Malformed(f"{who!r} is neither a person nor a key here: {', '.join(person.id for person in body.persons)} are")
    return found


def _people(body: RootBody | GrantBody, change: Change) -> tuple[tuple[Person, ...], tuple[Key, ...]]:
    persons = {person.id: person for person in body.persons}
    listed = {key.public for key in body.keys}
    for come in change.comes:
        if come.public in listed:
            raise Malformed(f"key {come.public[:16]}… of {come.person!r} is listed already: a retired key never comes back")
        persons.setdefault(come.person, Person(id=come.person, name=come.name))
    old = tuple(structs.replace(key, state=_state(key, change)) for key in body.keys)
    return tuple(persons.values()), (*old, *(Key(public=come.public, person=come.person) for come in change.comes))


def _state(key: Key, change: Change) -> KeyState:
    """Stolen stays stolen: what such a key said must not come back to life."""
    asked = change.states.get(key.public, key.state)
    return key.state if key.state == "stolen" or (key.state == "retired" and asked == "active") else asked


def _still(persons: tuple[str, ...], name: str, keys: tuple[Key, ...], change: Change) -> tuple[str, ...]:
    """Those of a role or power who have or had a key that was not stolen, and those who come to it.

    A retired person stays named: what nodes hold by that key is in force only as long as the power still names its person.
    """
    able = {key.person for key in keys if key.state != "stolen"}
    joined = [come.person for come in change.comes if name in come.roles]
    return tuple(person for person in dict.fromkeys((*persons, *joined)) if person in able)


def next_root(
    old: Root, digest: str, change: Change, *, now_ms: int, highest_known: int = -1, floor_reset_ms: int | None = None
) -> Root:
    """The version after `old`. Raises Malformed when nobody could sign it, or it names what is not there."""
    persons, keys = _people(old.body, change)
    roles: dict[str, Role | None] = {}
    for name in ROLES:
        before: Role | None = getattr(old.body, name)
        held = _still(before.persons if before else (), name, keys, change)
        threshold = change.thresholds.get(name, before.threshold if before else 1)
        roles[name] = Role(persons=held, threshold=threshold) if held else None
    _refuse_unknown(change, ROLES)
    for name in ("root", "delegate", "placement"):
        if roles[name] is None:
            raise Malformed(f"role {name!r} would be left with nobody: let somebody come to it in the same step")
    made = build_root(
        area=old.subject,
        area_no=old.area_no,
        persons=persons,
        keys=keys,
        root=roles["root"],  # type: ignore[arg-type]  # the three that must be there were looked at above
        delegate=roles["delegate"],  # type: ignore[arg-type]
        placement=roles["placement"],  # type: ignore[arg-type]
        release=roles["release"],
        time=roles["time"],
        now_ms=now_ms,
        version=old.body.version + 1,
        prev=digest,
        highest_known=max(old.seq, highest_known),
        floor_reset_ms=floor_reset_ms,
    )
    check_step(old, made)
    return made


def _able(root: Root) -> dict[str, str]:
    """The active keys of the role `root`, with their persons."""
    return {key.public: key.person for key in root.body.keys if key.state == "active" and key.person in root.body.root.persons}


def check_step(old: Root, new: Root) -> None:
    """Refuse a root that changes too much at once to be signed by old and new within one document. Raises Malformed."""
    before, after = _able(old), _able(new)
    common = {person for public, person in before.items() if public in after}
    both = min(len(common), old.body.root.threshold, new.body.root.threshold)
    needed = old.body.root.threshold + new.body.root.threshold - both
    if needed > MAX_SIGNATURES:
        raise Malformed(
            f"it needs {needed} signatures ({old.body.root.threshold} of the old root, {new.body.root.threshold} of the new, "
            f"{both} keys in both), a document carries {MAX_SIGNATURES}: change fewer keys of the role 'root' in one version"
        )


def next_grant(old: Grant, digest: str, change: Change, *, now_ms: int, until_ms: int | None = None) -> Grant:
    """The grant that replaces `old` in its area. Raises Malformed."""
    persons, keys = _people(old.body, change)
    powers = [
        structs.replace(
            power,
            persons=_still(power.persons, power.power, keys, change),
            threshold=change.thresholds.get(power.power, power.threshold),
        )
        for power in old.body.powers
    ]
    _refuse_unknown(change, get_args(PowerName))
    known = {power.power for power in powers}
    for name in dict.fromkeys(name for come in change.comes for name in come.roles if name not in known):
        joined = tuple(come.person for come in change.comes if name in come.roles)
        classes = DEFAULT_CLASSES.get(name, ())
        powers.append(Power(power=name, persons=joined, threshold=change.thresholds.get(name, 1), classes=classes))  # type: ignore[arg-type]  # decoded before
    empty = [power.power for power in powers if not power.persons]
    if empty:
        raise Malformed(f"power {empty[0]!r} would be left with nobody: let somebody come to it, or write the grant anew")
    return build_grant(
        area=old.subject,
        area_no=old.area_no,
        persons=persons,
        keys=keys,
        powers=tuple(powers),
        until_ms=until_ms or old.body.until_ms,
        now_ms=now_ms,
        authority=old.authority,
        prev=digest,
        highest_known=old.seq,
    )


def _refuse_unknown(change: Change, names: tuple[str, ...]) -> None:
    asked = [*change.thresholds, *(role for come in change.comes for role in come.roles)]
    wrong = next((name for name in asked if name not in names), None)
    if wrong is not None:
        raise Malformed(f"there is no {wrong!r} here: {', '.join(names)} are")
