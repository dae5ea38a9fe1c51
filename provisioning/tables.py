"""Reads the TOML files of a ceremony: persons with .pub files, roles or powers; each error names file, place and remedy."""

import datetime as dt
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from protocol.documents import Grant, Key, Person, Power, Role, Root
from protocol.errors import Malformed
from protocol.units import U32, AreaId, BulletinClass, KeyState, Name, PowerName, PublicKey, Seconds, Sha256, ShortId
from provisioning.ceremony import DEFAULT_CLASSES, ROOT, build_grant, build_root
from provisioning.errors import InputRefused
from provisioning.files import read_bytes, read_text
from provisioning.keyfile import read_public
from provisioning.papers import Paper

HERE: Final = ZoneInfo("Asia/Ho_Chi_Minh")
Shape = TypeVar("Shape")


class _Closed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class KeyTable(_Closed, frozen=True, kw_only=True):
    """One key of a person: the .pub file or the hex itself, and its state."""

    file: str | None = None
    public: PublicKey | None = None
    state: KeyState = "active"


class PersonTable(_Closed, frozen=True, kw_only=True):
    """A person and the keys of that person."""

    id: ShortId
    name: Name
    keys: Annotated[list[str | KeyTable], Meta(min_length=1)]
    service: bool = False


class PowerTable(_Closed, frozen=True, kw_only=True):
    """A power of a grant; classes default to what the power is for, `contents` and `per_day` are for its services."""

    power: PowerName
    persons: Annotated[list[ShortId], Meta(min_length=1)]
    threshold: Annotated[int, Meta(ge=1, le=16)] = 1
    classes: list[BulletinClass] | None = None
    sound_max_s: Seconds | None = None
    contents: list[Sha256] = []
    per_day: Annotated[int, Meta(ge=1, le=96)] | None = None


class Roles(_Closed, frozen=True, kw_only=True):
    """The roles of a root."""

    root: Role
    delegate: Role
    placement: Role
    release: Role | None = None
    time: Role | None = None


class RootTable(_Closed, frozen=True, kw_only=True):
    """The TOML of `root new`."""

    area: AreaId
    area_no: U32 | None = None
    persons: Annotated[list[PersonTable], Meta(min_length=1)]
    roles: Roles


class GrantTable(_Closed, frozen=True, kw_only=True):
    """The TOML of `grant new`."""

    area: AreaId
    area_no: U32 | None = None
    authority: ShortId = ROOT
    until: dt.date
    persons: Annotated[list[PersonTable], Meta(min_length=1)]
    powers: Annotated[list[PowerTable], Meta(min_length=1)]


class _AreaRow(Struct, frozen=True):
    id: AreaId
    no: U32


def read_toml(path: Path, shape: type[Shape]) -> Shape:
    """Read a TOML file into its shape. Raises InputRefused with the line or the place of what is wrong."""
    text = read_text(path, "file")
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputRefused(f"{path} is not TOML: {error}") from error
    try:
        return msgspec.convert(table, shape)
    except msgspec.ValidationError as error:
        what = str(error).replace("`$.", "`").replace("Object ", "it ")
        raise InputRefused(f"{path}: {what}; see --help for an example") from error


def read_numbers(path: Path | None) -> dict[str, int]:
    """Area numbers by id from an areas.json (the controller writes it); empty without one. Raises InputRefused."""
    if path is None:
        return {}
    try:
        rows = msgspec.json.decode(read_bytes(path, "area list"), type=list[_AreaRow])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputRefused(f"area list {path} is broken ({error}): take areas.json from the controller's state folder") from error
    return {row.id: row.no for row in rows}


def area_number(path: Path, area: str, given: int | None, numbers: Mapping[str, int]) -> int:
    """The number of the area: as the file says or as the list says; both must agree. Raises InputRefused."""
    listed = numbers.get(area)
    if given is None and listed is None:
        raise InputRefused(f"{path}: the number of area {area!r} is not known: add `area_no`, or name areas.json with --areas")
    if given is not None and listed is not None and given != listed:
        raise InputRefused(f"{path}: area_no is {given}, but the area list gives {area!r} number {listed}: correct the file")
    return listed if given is None else given  # type: ignore[return-value]  # not both are None, refused above


def _key(path: Path, person: PersonTable, entry: str | KeyTable) -> Key:
    table = KeyTable(file=entry) if isinstance(entry, str) else entry
    if (table.file is None) == (table.public is None):
        raise InputRefused(f"{path}: a key of {person.id!r} needs either file or public")
    if table.public is not None:
        return Key(public=table.public, person=person.id, state=table.state)
    try:
        found = read_public(path.parent / str(table.file))
    except InputRefused as refused:
        raise InputRefused(f"{path}: a key of {person.id!r}: {refused}") from refused
    if found.person != person.id:
        raise InputRefused(f"{path}: {table.file} is the key of {found.person!r}, not of {person.id!r}: correct one")
    return Key(public=found.public, person=person.id, state=table.state)


def _people(path: Path, tables: list[PersonTable]) -> tuple[tuple[Person, ...], tuple[Key, ...]]:
    persons = tuple(Person(id=each.id, name=each.name, service=each.service) for each in tables)
    keys = tuple(_key(path, each, entry) for each in tables for entry in each.keys)
    return persons, keys


def root_from(path: Path, *, now_ms: int, numbers: Mapping[str, int], old: Paper | None = None) -> Root:
    """The root that a TOML describes; with `old`, the one that follows it. Raises InputRefused."""
    table = read_toml(path, RootTable)
    persons, keys = _people(path, table.persons)
    follows = old.payload if old is not None else None
    try:
        return build_root(
            area=table.area,
            area_no=area_number(path, table.area, table.area_no, numbers),
            persons=persons,
            keys=keys,
            root=table.roles.root,
            delegate=table.roles.delegate,
            placement=table.roles.placement,
            release=table.roles.release,
            time=table.roles.time,
            now_ms=now_ms,
            version=follows.body.version + 1 if isinstance(follows, Root) else 1,
            prev=old.digest if old is not None else None,
            highest_known=follows.seq if isinstance(follows, Root) else -1,
        )
    except (Malformed, ValueError) as error:
        raise InputRefused(f"{path}: {error}") from error


def _power(table: PowerTable) -> Power:
    classes = DEFAULT_CLASSES.get(table.power, ()) if table.classes is None else tuple(table.classes)
    return Power(
        power=table.power,
        persons=tuple(table.persons),
        threshold=table.threshold,
        classes=classes,
        sound_max_s=table.sound_max_s,
        contents=tuple(table.contents),
        per_day=table.per_day,
    )


def grant_from(path: Path, *, now_ms: int, numbers: Mapping[str, int], old: Paper | None = None) -> Grant:
    """The grant that a TOML describes, until the end of its last day in Viet Nam. Raises InputRefused."""
    table = read_toml(path, GrantTable)
    persons, keys = _people(path, table.persons)
    ends = dt.datetime.combine(table.until, dt.time(0), tzinfo=HERE) + dt.timedelta(days=1)
    if old is not None and (not isinstance(old.payload, Grant) or old.payload.subject != table.area):
        raise InputRefused(f"{old.path} is no grant of {table.area}: name with --old the grant that this one replaces")
    try:
        return build_grant(
            area=table.area,
            area_no=area_number(path, table.area, table.area_no, numbers),
            persons=persons,
            keys=keys,
            powers=tuple(_power(each) for each in table.powers),
            until_ms=round(ends.timestamp() * 1000),
            now_ms=now_ms,
            authority=table.authority,
            prev=old.digest if old is not None else None,
            highest_known=old.payload.seq if old is not None else -1,
        )
    except (Malformed, ValueError) as error:
        raise InputRefused(f"{path}: {error}") from error
