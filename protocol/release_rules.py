"""Who may release a firmware, and what no release may undo. Pure; the same for node and controller."""

from typing import Final

from protocol.errors import Malformed, NotEmpowered, NotMine, Superseded, TooFewPersons
from protocol.reader import Me
from protocol.release import Release
from protocol.seen import Mark
from protocol.trust import Signer, Trust

RELEASE_PERSONS: Final = 2
"""Code for every loudspeaker is never released by one person, whatever the root says."""


def signers_of(release: Release, keyids: tuple[str, ...], trust: Trust, me: Me, *, held: bool = False) -> tuple[Signer, ...]:
    """The persons of the root's role `release` who signed; no area below the root, and no machine, releases anything.

    Raises NotMine, NotEmpowered or TooFewPersons.
    """
    root = trust.root
    if root is None or (me.node is not None and trust.placement is None):
        raise NotMine("a node without a placement obeys nobody from afar")
    if release.authority != "root" or release.area != root.area:
        raise NotEmpowered(f"authority {release.authority} of {release.area}: only the root of {root.area} releases firmware")
    role = root.body.release
    if role is None:
        raise NotEmpowered("this root names nobody who may release firmware")
    signers = tuple(
        signer for signer in trust.signers("root", keyids, held=held) if signer.person in role.persons and not signer.service
    )
    if not signers:
        raise NotEmpowered("no signer has the root's role 'release'")
    persons, needed = len({signer.person for signer in signers}), max(role.threshold, RELEASE_PERSONS)
    if persons < needed:
        raise TooFewPersons(f"{persons} of {needed} persons signed")
    return signers


def check_floor(release: Release, held: Mark | None) -> None:
    """Refuse what would undo the floor of the release that was taken in before. Raises Superseded."""
    if held is None:
        return
    if release.body.build < held.floor:
        raise Superseded(f"build {release.body.build}, the floor is {held.floor}")
    if release.body.floor < held.floor:
        raise Superseded(f"it lowers the floor from {held.floor} to {release.body.floor}")


def check_release(release: Release) -> None:
    """Refuse a release that its own floor forbids. Raises Malformed."""
    if release.body.build < release.body.floor:
        raise Malformed(f"build {release.body.build} is below the floor {release.body.floor} that it sets itself")
