"""Releases of firmware: taken in like every document, put on no topic by themselves; and their bundles, into the library."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from msgspec import Struct

from controller.actions.asking import ask_somewhere
from controller.core.peek import Claim, stored
from controller.core.world import World
from controller.errors import Refused
from controller.media import path_of
from controller.parts import Actor, Parts
from controller.store import documents, notes
from controller.store.database import Transaction
from controller.store.documents import DocumentStored
from protocol.envelope import unseal
from protocol.errors import ProtocolError, Superseded, WrongType
from protocol.release import Release
from protocol.rules import Clock, Me, authorise, document_mark
from protocol.seen import Seen, Slot

SHORTEST_DIGEST: Final = 8


class ReleaseHeld(Struct, frozen=True, kw_only=True):
    """A release that was taken in."""

    digest: str
    document: Release
    raw: bytes
    keyids: tuple[str, ...]
    in_force: bool


def take(tx: Transaction, *, world: World, clock: Clock, who: Actor, raw: bytes, claim: Claim) -> str:
    """Judge and store a release. Which node gets it, a rollout says. Returns its digest. Raises ProtocolError."""
    slot = Slot("release", claim.subject, "-")
    held = next((each for each in documents.of_slot(tx, slot) if each.in_force), None)
    seen = Seen() if held is None else Seen({slot: document_mark(_release(held), held.digest)})
    trust = world.trust.standing_in(world.chain_of(claim.area))
    opened = unseal(raw, topic=None, trust=trust, me=Me(), now=clock, seen=seen)
    release = opened.payload
    if not isinstance(release, Release):
        raise WrongType(f"a {opened.kind} is no release")
    if not opened.fresh:
        return opened.digest
    if held is not None and release.prev not in (None, held.digest) and documents.by_digest(tx, release.prev or "") is not None:
        raise Superseded(f"it follows {release.prev[:16]}…, but {held.digest[:16]}… came after that: the desk signs a new one")
    new = DocumentStored(
        digest=opened.digest,
        slot=slot,
        authority=release.authority,
        seq=release.seq,
        raw=raw,
        keyids=opened.keyids,
        persons=opened.persons,
        valid_from_ms=release.valid_from_ms,
        valid_until_ms=release.valid_until_ms,
        created_by=who.name,
    )
    documents.add(tx, new, clock.wall_ms)
    detail = f"build {release.body.build}, {', '.join(opened.persons)} signed, digest {opened.digest}"
    what = f"release {release.subject} {release.body.version}"
    notes.note(tx, at_ms=clock.wall_ms, actor=who.name, via=who.via, act="document.submit", what=what, detail=detail)
    return opened.digest


def _release(held: DocumentStored) -> Release:
    document = stored(held.raw)
    if not isinstance(document, Release):
        raise TypeError(f"{held.digest} is stored as a release and is a {type(document).__name__}")
    return document


def named(tx: Transaction, name: str) -> ReleaseHeld:
    """The release of this digest (or the beginning of it) or of this version, the newest of several. Raises Refused."""
    found = [each for each in documents.of_authority(tx, "root") if each.slot.kind == "release"]
    fitting = [each for each in found if len(name) >= SHORTEST_DIGEST and each.digest.startswith(name.lower())]
    fitting = fitting or [each for each in found if _release(each).body.version == name]
    if not fitting:
        raise Refused(
            f"no release {name!r} is known here: take it in with `loa trust import`, then name its version or digest",
            code="unknown-release",
            status=404,
        )
    if len({_release(each).subject for each in fitting}) > 1:
        raise Refused(f"several kinds of machine have a release {name!r}: name the digest", code="several-releases")
    first = fitting[0]
    return ReleaseHeld(digest=first.digest, document=_release(first), raw=first.raw, keyids=first.keyids, in_force=first.in_force)


def check_counts(world: World, clock: Clock, held: ReleaseHeld) -> None:
    """Whether nodes would take it: no newer one is here, and who signed it may still. Raises Refused."""
    if not held.in_force:
        raise Refused(f"a newer release for {held.document.subject} is here: roll that one out", code="superseded", status=409)
    trust = world.trust.standing_in(world.chain_of(held.document.area))
    try:
        authorise(held.document, held.keyids, trust=trust, me=Me(), now=clock)
    except ProtocolError as error:
        raise Refused(f"no node would take this release ({error.code}): {error}", code=error.code, status=422) from error
    if clock.wall_ms >= held.document.valid_until_ms:
        raise Refused("this release is no longer valid: the release desk signs a new one", code="expired", status=422)


async def add_bundle(parts: Parts, who: Actor, path: Path) -> str:
    """Bring a bundle that a release names into the library, where nodes fetch it. Returns its SHA-256. Raises Refused."""
    ask_somewhere(who, "rollout.manage")
    if not path.is_absolute():
        raise Refused(f"{path}: give the whole path of the file", code="path")
    try:
        sha256 = await asyncio.to_thread(_digest, path)
        found = await parts.database.read(lambda tx: documents.raws(tx, "release"))
        bundles = {each.body.bundle.sha256: each.body for each in map(stored, found) if isinstance(each, Release)}
        if sha256 not in bundles:
            said = f"no release known here names {path.name} (SHA-256 {sha256[:16]}…)"
            raise Refused(f"{said}: take the release in first, with `loa trust import`", code="not-named", status=404)
        await asyncio.to_thread(_keep, path, parts.config.library, sha256)
    except OSError as error:
        raise Refused(f"{path} cannot be brought into the library: {error.strerror}", code="bundle", status=422) from error
    now_ms, what = parts.now_ms(), f"bundle {bundles[sha256].version}"
    await parts.database.run(
        lambda tx: notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act="bundle.add", what=what, detail=sha256)
    )
    return sha256


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _keep(path: Path, library: Path, sha256: str) -> None:
    """Whole in its place, or not at all. The file may have changed since it was looked at, so the copy is looked at too."""
    place = path_of(library, sha256)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".bundle-", delete=False) as copy:
        made = Path(copy.name)
        try:
            with path.open("rb") as file:
                shutil.copyfileobj(file, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
            if _digest(made) != sha256:
                raise OSError(0, "it changed while it was copied")
            made.chmod(0o644)
            made.replace(place)
        finally:
            made.unlink(missing_ok=True)
