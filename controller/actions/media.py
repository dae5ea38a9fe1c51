"""The library of sounds: prepared, listed, and given out to nodes that may have them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from controller.actions.asking import ask_somewhere
from controller.actions.views import MediaView
from controller.core.peek import peek, stored
from controller.errors import Refused
from controller.media import Prepared, path_of, prepare
from controller.media_refused import MediaFailed, MediaRefused
from controller.parts import Actor, Parts
from controller.store import media, notes, orders, rollouts
from controller.store.database import Transaction
from protocol.envelope import unseal
from protocol.errors import ProtocolError
from protocol.orders import ExerciseStart, Start
from protocol.release import Release
from protocol.reports import FetchStatement
from protocol.rules import Me
from protocol.seen import Seen

NONCES_KEPT_MS: Final = 2 * 86_400_000
OnProgress = Callable[[str, float], None]


async def add(parts: Parts, who: Actor, path: Path, title: str, on_progress: OnProgress | None = None) -> MediaView:
    """Bring one audio file into the library. Raises Refused with what is wrong with it."""
    ask_somewhere(who, "media.add")
    if not path.is_absolute():
        raise Refused(f"{path}: give the whole path of the file", code="path")
    try:
        prepared = await prepare(path, parts.config.library, on_progress=on_progress)
    except MediaRefused as error:
        raise Refused(str(error), code="media", status=422) from error
    except MediaFailed as error:
        raise Refused(f"the sound could not be prepared: {error}", code="media-failed", status=500) from error
    view = _view(prepared, title.strip() or prepared.source_name, who.name, parts.now_ms())
    await parts.database.run(partial(_store, view=view, who=who))
    return view


def _view(prepared: Prepared, title: str, created_by: str, now_ms: int) -> MediaView:
    return MediaView(
        sha256=prepared.sha256,
        bytes=prepared.bytes,
        samples=prepared.samples,
        duration_ms=prepared.duration_ms,
        loudness_clufs=prepared.loudness_clufs,
        true_peak_cdbtp=prepared.true_peak_cdbtp,
        source_name=prepared.source_name,
        title=title,
        created_by=created_by,
        created_ms=now_ms,
    )


def _store(tx: Transaction, view: MediaView, who: Actor) -> None:
    media.add(tx, view)
    notes.note(tx, at_ms=view.created_ms, actor=who.name, via=who.via, act="media.add", what=view.sha256, detail=view.title)


async def list_all(parts: Parts, who: Actor) -> list[MediaView]:
    """The library, newest first; it is one for the whole province."""
    ask_somewhere(who, "see")
    return await parts.database.read(media.list_all)


def who_asks(parts: Parts, statement: bytes, sha256: str) -> FetchStatement:
    """The statement by which a node asks for just this, once verified; its nonce is still to be used up. Raises Refused."""
    world, clock = parts.world, parts.clock
    try:
        node = peek(statement).node
        trust = world.trust_of_reports(node)
        fetch = unseal(statement, topic=None, trust=trust, me=Me(), now=clock, seen=Seen()).payload
    except ProtocolError as error:
        raise Refused(f"this permission to fetch does not count ({error.code}): {error}", code=error.code, status=401) from error
    known = world.nodes.get(node)
    if known is None or known.retired:
        raise Refused(f"node {node} is not one of ours any more", code="retired", status=403)
    if not isinstance(fetch, FetchStatement) or fetch.sha256 != sha256:
        raise Refused("this permission to fetch is for something else", code="wrong-type", status=403)
    return fetch


async def may_fetch(parts: Parts, statement: bytes, sha256: str) -> Path:
    """Where the file lies that a node may take on the word of its sealed statement. Raises Refused."""
    world, clock = parts.world, parts.clock
    fetch = who_asks(parts, statement, sha256)

    def read(tx: Transaction) -> tuple[bool, bool]:
        fresh = media.use_nonce(tx, fetch.node, fetch.nonce, clock.wall_ms, NONCES_KEPT_MS)
        named = sha256 in world.media_of(fetch.node, clock.wall_ms)
        return fresh, named or sha256 in _clips_for(tx, fetch.node, clock.wall_ms) or sha256 in _bundles_for(tx, fetch.node)

    fresh, named = await parts.database.run(read)
    if not fresh:
        raise Refused("this permission to fetch was used before: sign a new one", code="nonce", status=401)
    path = path_of(parts.config.library, sha256)
    if not named or not path.is_file():
        raise Refused(f"no document in force for node {fetch.node} names {sha256[:16]}…", code="not-named", status=404)
    return path


def _clips_for(tx: Transaction, node: str, now_ms: int) -> set[str]:
    """The recorded voices of the orders that may still be accepted or sound on a node."""
    found: set[str] = set()
    for raw in orders.starts_for(tx, node, now_ms):
        start = stored(raw)
        if isinstance(start, Start | ExerciseStart):
            found |= {clip.sha256 for clip in start.clips}
    return found


def _bundles_for(tx: Transaction, node: str) -> set[str]:
    """The firmware that a rollout gave to a node; what another node is offered is nothing to this one."""
    releases = [stored(raw) for raw in rollouts.offered_to(tx, node)]
    return {release.body.bundle.sha256 for release in releases if isinstance(release, Release)}
