"""What actions on trust return: suspensions, labels on their way into the fleet, roots of the CA. Times are UTC milliseconds."""

from typing import Literal

from msgspec import Struct


class SuspendView(Struct, frozen=True, kw_only=True):
    """A key that was suspended (or whose suspension was lifted) in an area. `held` of so many `nodes` named it in their hello."""

    digest: str
    area: str
    area_name: str
    key_id: str
    person: str
    authority: str
    seq: int
    until_ms: int
    reason: str
    lifts: bool
    in_force: bool
    nodes: int
    held: int


class EnrolmentView(Struct, frozen=True, kw_only=True):
    """A label on its way into the fleet. `expected`: nobody came yet; `pending`: it has a certificate and no signed placement.

    `twice` counts other keys that came with its claim: somebody else holds it too. `waiting`: a claim lies ready for it.
    """

    node: str
    state: Literal["expected", "pending", "placed", "revoked"]
    waiting: bool
    digits: str
    report_key: str
    expected_ms: int
    expected_by: str
    claimed_ms: int | None
    source: str
    certificate_until_ms: int | None
    revoked_ms: int | None
    revoked_why: str
    twice: int
    twice_ms: int | None
    twice_source: str


class RootView(Struct, frozen=True, kw_only=True):
    """A root of the CA. `living` nodes hold a certificate of it that counts; `key_here`: it could sign on this machine."""

    name: str
    fingerprint: str
    signs: bool
    key_here: bool
    until_ms: int
    living: int
