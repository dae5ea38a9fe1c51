"""What a ceremony makes: where, who holds which role, how many of them act together; from a TOML plan or from answers."""

from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from protocol.documents import Key, Person, Role, Root
from protocol.errors import Malformed
from protocol.units import U32, AreaId, Name, ShortId
from provisioning import token
from provisioning.ceremony import build_root
from provisioning.errors import InputRefused
from provisioning.keyfile import PublicFile
from provisioning.tables import read_toml

RoleName = Literal["root", "delegate", "placement", "release", "time"]
ROOT_PERSONS: Final = 5
DELEGATE_PERSONS: Final = 3
EXAMPLE: Final = """Example of plan.toml (3 of 5 for the root, 2 of 3 for grants are the defaults):

area = "52"
place = "Sở Khoa học và Công nghệ, Pleiku"
witnesses = ["Rơ Châm H'Yéo, Thanh tra tỉnh"]

[[persons]]
id = "goc-1"
name = "Nguyễn Văn A, Chủ tịch UBND tỉnh"
roles = ["root"]
# token = "pkcs11:token=goc-1?module-path=/usr/lib/opensc-pkcs11.so"   instead of an encrypted file
# passphrase_file = "goc-1.pass"                                       for scripts; else it is asked
# ... goc-2 to goc-5 likewise, then three with roles = ["delegate"]

[thresholds]
root = 3
delegate = 2
"""


class PersonPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who takes part: with an encrypted file (the default) or on a token."""

    id: ShortId
    name: Name
    roles: Annotated[tuple[RoleName, ...], Meta(min_length=1)]
    token: str | None = None
    passphrase_file: str | None = None


class Thresholds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many persons of each role act together."""

    root: int = 3
    delegate: int = 2
    placement: int = 2
    release: int = 2
    time: int = 1


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole ceremony. Without a person for `placement` the delegates place nodes."""

    area: AreaId
    area_no: U32 | None = None
    place: Annotated[str, Meta(max_length=200)] = ""
    witnesses: tuple[Name, ...] = ()
    persons: Annotated[tuple[PersonPlan, ...], Meta(min_length=1, max_length=32)]
    thresholds: Thresholds = Thresholds()

    def role(self, name: RoleName) -> Role | None:
        """A role of the root, as planned."""
        held = tuple(person.id for person in self.persons if name in person.roles)
        if name == "placement" and not held:
            held = tuple(person.id for person in self.persons if "delegate" in person.roles)
        return Role(persons=held, threshold=getattr(self.thresholds, name)) if held else None


def read_plan(path: Path) -> Plan:
    """Read a TOML plan. Raises InputRefused."""
    plan = read_toml(path, Plan)
    check(plan, str(path))
    return plan


def check(plan: Plan, where: str) -> None:
    """Refuse, before any key is made, a plan whose root could never be signed. Raises InputRefused."""
    ids = [person.id for person in plan.persons]
    if len(set(ids)) != len(ids):
        raise InputRefused(f"{where}: a person stands in it twice")
    for person in plan.persons:
        if person.token is not None:
            token.parse_uri(person.token)
    for name in ("root", "delegate"):
        if plan.role(name) is None:
            raise InputRefused(f"{where}: nobody has the role {name!r}: the root needs it")
    stand_ins = {person.id: f"{number:064x}" for number, person in enumerate(plan.persons, 1000)}
    publics = tuple(PublicFile(person=person.id, name=person.name, public=stand_ins[person.id]) for person in plan.persons)
    root_of(plan, publics, area_no=0, now_ms=0, where=where)


def root_of(plan: Plan, publics: tuple[PublicFile, ...], *, area_no: int, now_ms: int, where: str) -> Root:
    """The first root out of the keys that were made. Raises InputRefused."""
    root, delegate, placement = plan.role("root"), plan.role("delegate"), plan.role("placement")
    if root is None or delegate is None or placement is None:
        raise InputRefused(f"{where}: the root needs persons for root and delegate")
    try:
        return build_root(
            area=plan.area,
            area_no=area_no,
            persons=tuple(Person(id=person.id, name=person.name) for person in plan.persons),
            keys=tuple(Key(public=public.public, person=public.person) for public in publics),
            root=root,
            delegate=delegate,
            placement=placement,
            release=plan.role("release"),
            time=plan.role("time"),
            now_ms=now_ms,
        )
    except (Malformed, ValueError) as error:
        raise InputRefused(f"{where}: {error}") from error
