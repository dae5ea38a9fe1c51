"""The CA's roots: shown, rotated from one to the other, the old one retired. Nodes pin both, so no pole is visited."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from controller import ca
from controller import roots as files
from controller.actions.asking import ask
from controller.actions.trust_views import RootView
from controller.errors import Refused
from controller.parts import Actor, Parts
from controller.store import enrolments, notes
from controller.store.database import Transaction


async def overview(parts: Parts, who: Actor) -> list[RootView]:
    """The roots that count, the signing one first. Raises Refused."""
    ask(parts, who, "ca.manage")
    found = await _loaded(parts)
    now_ms = parts.now_ms()
    keyed = {files.fingerprint(each.certificate) for each in found.keyed}

    def read(tx: Transaction) -> list[RootView]:
        return [
            _view(tx, each, signs=each == found.active.certificate, keyed=keyed, now_ms=now_ms) for each in found.certificates
        ]

    return await parts.database.read(read)


def _view(tx: Transaction, root: x509.Certificate, *, signs: bool, keyed: set[str], now_ms: int) -> RootView:
    name = files.fingerprint(root)
    return RootView(
        name=root.subject.rfc4514_string(),
        fingerprint=name,
        signs=signs,
        key_here=name in keyed,
        until_ms=int(root.not_valid_after_utc.timestamp() * 1000),
        living=enrolments.living_of(tx, name, now_ms),
    )


async def rotate(parts: Parts, who: Actor) -> list[RootView]:
    """The root that stands by signs from now on; nodes follow as they renew. Raises Refused."""
    ask(parts, who, "ca.manage")
    return await _change(parts, who, "ca.rotate", files.rotate)


async def retire_other(parts: Parts, who: Actor) -> list[RootView]:
    """The root that no longer signs is believed no more, once no node needs it. Raises Refused."""
    for each in await overview(parts, who):
        if not each.signs and each.living:
            raise Refused(
                f"{each.living} nodes still hold a certificate of {each.name}: wait until they renewed (60 days at most), "
                "or revoke them",
                code="still-needed",
                status=409,
            )
    return await _change(parts, who, "ca.retire", files.retire_other)


async def _change(parts: Parts, who: Actor, act: str, change: Callable[[Path], files.Roots]) -> list[RootView]:
    """Change the CA's files, note it, and let our own servers follow."""
    try:
        found = await asyncio.to_thread(change, parts.config.ca_folder)
    except ca.CaError as error:
        raise Refused(str(error), code="no-root", status=409) from error
    now_ms, what = parts.now_ms(), files.fingerprint(found.active.certificate)
    await parts.database.run(lambda tx: notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act=act, what=what))
    await parts.roots_changed()
    return await overview(parts, who)


async def _loaded(parts: Parts) -> files.Roots:
    try:
        return await asyncio.to_thread(files.load_roots, parts.config.ca_folder)
    except ca.CaError as error:
        raise Refused(str(error), code="no-ca", status=503) from error
