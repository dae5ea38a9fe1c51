"""What a person signs with `loa`: keys opened here, the clock held against the server's, an authority that fits."""

import time
from collections.abc import Sequence
from typing import Final

from controller.cli.folder import StateFolder
from protocol.documents import ChainLink
from protocol.envelope import seal, unseal
from protocol.errors import ProtocolError
from protocol.messages import Sealed
from protocol.rules import Clock, Me
from protocol.seen import Seen
from protocol.trust import Trust
from provisioning.checking import chain_above, load_trust
from provisioning.errors import InputRefused
from provisioning.hands import Hand, open_hands

CLOCK_SLACK_MS: Final = 60_000
"""A signer whose clock is further off must not sign (contract): its orders would be stale or from the future."""


def now_ms() -> int:
    """UTC milliseconds by this computer's clock."""
    return time.time_ns() // 1_000_000


def check_clock(server_ms: int) -> None:
    """Refuse to sign while this clock and the server's are over 60 s apart. Raises InputRefused."""
    apart_ms = now_ms() - server_ms
    if abs(apart_ms) > CLOCK_SLACK_MS:
        which = "ahead of" if apart_ms > 0 else "behind"
        raise InputRefused(
            f"this computer's clock is {abs(apart_ms) // 1000} s {which} the server's: nothing was signed. "
            "Set the clock (timedatectl set-ntp true) and try again"
        )


def known_trust(folder: StateFolder) -> Trust | None:
    """The pinned root and the grants that `loa trust import` kept here; None before the first import. Raises InputRefused."""
    if not folder.root.is_file():
        return None
    return load_trust(folder.root, None, sorted(folder.trust.glob("grant-*.json")))


def _empowers(trust: Trust, authority: str, power: str, hands: Sequence[Hand]) -> bool:
    signers = trust.signers(authority, [hand.keyid for hand in hands])
    persons = {signer.person for signer in signers}
    if len(signers) != len(hands):
        return False
    return any(persons <= set(each.persons) for each in trust.powers(authority, power))


def choose_authority(given: str | None, chain: Sequence[str], power: str, hands: Sequence[Hand], trust: Trust | None) -> str:
    """The authority to sign under: as given, or the narrowest of the chain that empowers all these keys. Raises InputRefused."""
    if given is not None:
        return given
    for area in (*reversed(chain), "root"):
        if trust is not None and _empowers(trust, area, power, hands):
            return area
    names = ", ".join(hand.where for hand in hands)
    raise InputRefused(
        f"no grant known here gives {names} the power {power!r} for {chain[-1]}: check the key, import the grant with "
        "`loa trust import`, or name the authority with --authority"
    )


def close(payload: Sealed, hands: Sequence[Hand]) -> bytes:
    """Seal a payload with all hands. Raises InputRefused."""
    try:
        return seal(payload, [hand.sealer for hand in hands])
    except (ProtocolError, ValueError) as error:
        raise InputRefused(f"this cannot be sealed: {error}") from error


def objection(payload: Sealed, raw: bytes, trust: Trust | None, chain: tuple[ChainLink, ...] = ()) -> str | None:
    """Why every node would refuse it, as far as the trust kept here tells; None when nothing speaks against it.

    `chain` is where it applies, the node itself included; without one it is read off the dotted area id.
    """
    if trust is None:
        return None
    standing = trust.standing_in(chain or chain_above(payload.area))
    try:
        unseal(raw, topic=None, trust=standing, me=Me(), now=Clock(payload.seq, "good"), seen=Seen())
    except ProtocolError as error:
        return f"{error.code}: {error}"
    return None


__all__ = ["Hand", "check_clock", "choose_authority", "close", "known_trust", "now_ms", "objection", "open_hands"]
