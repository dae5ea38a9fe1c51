"""Who may do what, where: a person's duties for an area and all below it, and one table of which duty each act asks for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, get_args

from msgspec import Struct

Role = Literal["author", "approver", "emergency", "technician", "operator", "auditor"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
WHOLE: Final = "*"
"""The area of duties that hold everywhere: those of this machine's own user and of the controller itself, never a person's."""

Act = Literal[
    "see",
    "emergency.start",
    "emergency.stop",
    "emergency.lift",
    "order.submit",
    "document.submit",
    "preview.draft",
    "root.pin",
    "media.add",
    "node.enrol",
    "node.retire",
    "key.suspend",
    "ca.manage",
    "areas.add",
    "people.manage",
    "people.see",
    "audit.see",
    "rollout.manage",
]
_ANY: Final = frozenset(ROLES)
ACTS: Final[dict[Act, frozenset[Role]]] = {
    "see": _ANY,
    "emergency.start": frozenset({"emergency"}),
    "emergency.stop": frozenset({"emergency", "operator"}),
    "emergency.lift": frozenset({"emergency", "operator"}),
    "order.submit": frozenset({"emergency", "operator"}),
    "document.submit": frozenset({"author", "approver", "technician", "operator"}),
    "preview.draft": frozenset({"author", "approver", "operator"}),
    "root.pin": frozenset({"operator"}),
    "media.add": frozenset({"author", "operator"}),
    "node.enrol": frozenset({"technician", "operator"}),
    "node.retire": frozenset({"technician", "operator"}),
    "key.suspend": frozenset({"operator"}),
    "ca.manage": frozenset({"operator"}),
    "areas.add": frozenset({"operator"}),
    "people.manage": frozenset({"operator"}),
    "people.see": frozenset({"operator", "auditor"}),
    "audit.see": frozenset({"auditor"}),
    "rollout.manage": frozenset({"operator"}),
}
GUARDED: Final[frozenset[Role]] = frozenset({"emergency", "operator"})
"""Duties that a password alone does not open: they ask for a second factor."""


class Duty(Struct, frozen=True, order=True):
    """One role for one area and what lies below it."""

    role: Role
    area: str


EVERYTHING: Final = tuple(Duty(role, WHOLE) for role in ROLES)


def may(duties: Iterable[Duty], act: Act, chain: Sequence[str]) -> bool:
    """Whether one of the duties allows an act in the area at the end of a chain (province first)."""
    return any(duty.role in ACTS[act] and (duty.area == WHOLE or duty.area in chain) for duty in duties)


def may_somewhere(duties: Iterable[Duty], act: Act) -> bool:
    """Whether there is any area at all where the act is allowed: whether to offer it."""
    return any(duty.role in ACTS[act] for duty in duties)


def touches(duties: Iterable[Duty], chain: Sequence[str], chain_of: Mapping[str, Sequence[str]]) -> bool:
    """Whether an area is in one's own, or holds it: a province's order is the commune's business too."""
    return may(duties, "see", chain) or any(chain[-1] in chain_of.get(duty.area, ()) for duty in duties if chain)


def needs_second_factor(duties: Iterable[Duty]) -> bool:
    """Whether these duties ask for more than a password."""
    return any(duty.role in GUARDED for duty in duties)
