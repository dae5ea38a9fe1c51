"""Fleet upgrades: started, paused, resumed, aborted by people; moved on by what nodes say. Each step is one transaction."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, structs

from controller.actions import releases
from controller.actions.asking import allowed, ask
from controller.actions.rollout_plans import area_of, weigh
from controller.actions.rollout_views import RolloutNode, RolloutView, RolloutWish
from controller.core import rollout as core
from controller.core.rollout import Around, Decision, Rollout
from controller.core.rollout_plan import Picture, is_updating, neighbours_of, picture_of, told_of
from controller.core.rollout_windows import ends_of
from controller.errors import Refused
from controller.media import path_of
from controller.parts import SYSTEM, Actor, Parts
from controller.store import nodes, notes, outbox, rollouts
from controller.store.database import Transaction
from controller.store.rollouts import RolloutStored
from protocol.release import ReleaseBody
from protocol.topics import topic


async def start(parts: Parts, who: Actor, wish: RolloutWish) -> RolloutView:
    """Begin what `plan` says with the same words. Raises Refused, and then nothing is stored."""
    area, world, clock = area_of(parts, who, wish), parts.world, parts.clock
    picture = picture_of(world)

    async with parts.rolling:
        weighed = await parts.database.read(lambda tx: weigh(tx, world, picture, clock, wish, area))
        body = weighed.held.document.body
        if not path_of(parts.config.library, body.bundle.sha256).is_file():
            raise Refused(
                f"the bundle of {body.version} is not in the library: bring it in with `loa rollout bundle`", code="no-bundle"
            )
        rollout = core.begin(weighed.held.digest, weighed.waves, wish.bounds, clock.wall_ms)
        number = await parts.database.run(partial(_add, who=who, rollout=rollout, area=area, body=body))
    await tick(parts)
    return await one(parts, who, number)


def _add(tx: Transaction, *, who: Actor, rollout: Rollout, area: str, body: ReleaseBody) -> int:
    number = rollouts.add(tx, rollout, area, who.name)
    count = len(rollout.members)
    detail = f"{body.version} (build {body.build}) to {count} nodes in {area}, {len(rollout.waves)} waves, {rollout.release}"
    _note(tx, who, "rollout.start", number, detail, rollout.started_ms)
    return number


async def pause(parts: Parts, who: Actor, number: int, reason: str = "") -> RolloutView:
    """Offer nothing new. Raises Refused."""
    return await _act(parts, who, number, "pause", reason)


async def resume(parts: Parts, who: Actor, number: int, reason: str = "") -> RolloutView:
    """Go on, knowing the failures so far. Raises Refused."""
    return await _act(parts, who, number, "resume", reason)


async def abort(parts: Parts, who: Actor, number: int, reason: str = "") -> RolloutView:
    """Take back what did not begin. Raises Refused."""
    return await _act(parts, who, number, "abort", reason)


async def _act(parts: Parts, who: Actor, number: int, act: str, reason: str) -> RolloutView:
    stored = await _known(parts, who, number)
    ask(parts, who, "rollout.manage", *_scope(parts, stored))
    now_ms = parts.now_ms()

    def work(tx: Transaction) -> None:
        before = _one(tx, number).rollout
        if before.ended_ms is not None or (act, before.phase) in (
            ("pause", "paused"),
            ("resume", "running"),
            ("abort", "aborted"),
        ):
            raise Refused(f"rollout {number} is {before.phase}: there is nothing to {act}", code="phase", status=409)
        if before.phase == "aborted":
            raise Refused(f"rollout {number} is aborted: start another one", code="phase", status=409)
        said = f"{who.name}: {reason}" if reason else who.name
        match act:
            case "pause":
                made = Decision(rollout=core.pause(before, said))
            case "resume":
                made = Decision(rollout=core.resume(before))
            case _:
                made = core.abort(before, said, now_ms)
        _settle(tx, number, before, made, b"", now_ms)
        _note(tx, who, f"rollout.{act}", number, reason, now_ms)

    async with parts.rolling:
        await parts.database.run(work)
    parts.wake.set()
    await tick(parts)
    return await one(parts, who, number)


class Moved(Struct, frozen=True):
    """What was decided of one rollout."""

    number: int
    raw: bytes
    before: Rollout
    made: Decision

    @property
    def changes(self) -> bool:
        """Whether there is anything to store or to send."""
        return bool(self.before != self.made.rollout or self.made.offers or self.made.withdrawals)


async def tick(parts: Parts) -> int | None:
    """Let every rollout that is not over hear what nodes said and go on. Gives the time when to look again, if any.

    It reads and decides beside the writing lane: ten thousand nodes take some 0.2 s, and an order must not stand behind that.
    """
    async with parts.rolling:
        if not await parts.database.read(rollouts.live_numbers):
            return None
        neighbours, now_ms = neighbours_of(parts.world), parts.now_ms()
        listening_ms = parts.broker.since_ms if parts.broker.connected else None
        look = partial(_moves, neighbours=neighbours, listening_ms=listening_ms, now_ms=now_ms)
        moves = await parts.database.read(look)
        if any(move.changes for move in moves):
            await parts.database.run(partial(_store, moves=moves, now_ms=now_ms))
            parts.wake.set()
    return min((move.made.wake_ms for move in moves if move.made.wake_ms is not None), default=None)


def _moves(tx: Transaction, *, neighbours: Mapping[str, frozenset[str]], listening_ms: int | None, now_ms: int) -> list[Moved]:
    live = [_one(tx, number) for number in rollouts.live_numbers(tx)]
    busy = {stored.id: core.under_way(stored.rollout) for stored in live}
    moves = []
    for stored in live:
        rollout, held = stored.rollout, releases.named(tx, stored.rollout.release)
        beside = frozenset[str]().union(*(neighbours.get(node, frozenset()) for node in rollout.members))
        states = nodes.states_of(tx, beside.union(rollout.members))
        elsewhere = {node for number, under in busy.items() if number != stored.id for node in under}
        elsewhere |= {node for node in beside.difference(rollout.members) if is_updating(states.get(node), rollout, now_ms)}
        around = Around(
            told={node: told_of(states.get(node), held.digest, held.document) for node in rollout.members},
            neighbours=neighbours,
            busy=frozenset(elsewhere),
            listening_ms=listening_ms,
        )
        made = core.decide(rollout, around, now_ms)
        busy[stored.id] = core.under_way(made.rollout)
        moves.append(Moved(stored.id, held.raw, rollout, made))
    return moves


def _store(tx: Transaction, *, moves: list[Moved], now_ms: int) -> None:
    for move in moves:
        _settle(tx, move.number, move.before, move.made, move.raw, now_ms)
        _note_change(tx, move.number, move.before, move.made.rollout, now_ms)


def _settle(tx: Transaction, number: int, before: Rollout, made: Decision, raw: bytes, now_ms: int) -> None:
    """Rows and what goes out, in one transaction."""
    rollouts.save(tx, number, before, made.rollout)
    rollouts.put_on_topic(tx, number, made.offers)
    rollouts.take_off_topic(tx, made.withdrawals)
    outbox.put(tx, [*_parcels(made.offers, raw), *_parcels(made.withdrawals, b"")], now_ms)


def _parcels(to: Iterable[str], raw: bytes) -> list[outbox.Parcel]:
    return [outbox.Parcel(topic=topic("release", node=node), payload=raw, rank=outbox.DOCUMENT_RANK, retain=True) for node in to]


def _note(tx: Transaction, who: Actor, act: str, number: int, detail: str, now_ms: int) -> None:
    notes.note(tx, at_ms=now_ms, actor=who.name, via=who.via, act=act, what=f"rollout {number}", detail=detail)


def _note_change(tx: Transaction, number: int, before: Rollout, after: Rollout, now_ms: int) -> None:
    """What the rollout did by itself stands in the log too."""
    if after.phase == "paused" and before.phase == "running":
        _note(tx, SYSTEM, "rollout.pause", number, after.why, now_ms)
    if after.wave != before.wave:
        _note(tx, SYSTEM, "rollout.wave", number, f"wave {after.wave} of {len(after.waves) - 1} begins", now_ms)
    if after.ended_ms is not None and before.ended_ms is None:
        counts = ", ".join(f"{count} {stand}" for stand, count in _counts(after).items())
        _note(tx, SYSTEM, "rollout.end", number, counts, now_ms)


def _counts(rollout: Rollout) -> dict[str, int]:
    return dict(Counter(member.stand for member in rollout.members.values()))


def _one(tx: Transaction, number: int) -> RolloutStored:
    found = rollouts.one(tx, number)
    if found is None:
        raise Refused(f"no rollout {number} is known here: see `loa rollout list`", code="unknown-rollout", status=404)
    return found


def _scope(parts: Parts, stored: RolloutStored) -> tuple[str, ...]:
    """The areas that a rollout touches: its own, or when it was for named nodes of the whole province, those."""
    if stored.area == parts.config.settings.province:
        return tuple(node for node in stored.rollout.members if node in parts.world.nodes) or (stored.area,)
    return (stored.area,)


def _seen(parts: Parts, who: Actor, stored: RolloutStored) -> bool:
    return any(allowed(parts, who, "see", area) for area in _scope(parts, stored))


async def _known(parts: Parts, who: Actor, number: int) -> RolloutStored:
    stored = await parts.database.read(lambda tx: _one(tx, number))
    if not _seen(parts, who, stored):
        raise Refused(f"no rollout {number} is known here: see `loa rollout list`", code="unknown-rollout", status=404)
    return stored


async def one(parts: Parts, who: Actor, number: int) -> RolloutView:
    """One rollout with its nodes. Raises Refused for one that nobody knows."""
    await _known(parts, who, number)
    picture = picture_of(parts.world)

    def read(tx: Transaction) -> RolloutView:
        stored = _one(tx, number)
        view = _view(tx, stored, parts=parts, picture=picture)
        return structs.replace(view, nodes=_members(tx, stored.rollout, picture))

    return await parts.database.read(read)


async def list_all(parts: Parts, who: Actor) -> list[RolloutView]:
    """Every rollout of one's own areas, newest first, without its nodes."""
    picture = picture_of(parts.world)

    def read(tx: Transaction) -> list[RolloutView]:
        found = [_one(tx, number) for number in rollouts.all_numbers(tx)]
        return [_view(tx, stored, parts=parts, picture=picture) for stored in found if _seen(parts, who, stored)]

    return await parts.database.read(read)


def _view(tx: Transaction, stored: RolloutStored, *, parts: Parts, picture: Picture) -> RolloutView:
    """A rollout without its nodes."""
    rollout, held = stored.rollout, releases.named(tx, stored.rollout.release)
    release, bundle = held.document, held.document.body.bundle
    left = [[node for node in wave if rollout.members[node].stand in ("open", "offered", "begun")] for wave in rollout.waves]
    going = rollout.ended_ms is None and rollout.phase == "running"
    ends = ends_of([wave for wave in left if wave], picture.networks, parts.now_ms())
    return RolloutView(
        id=stored.id,
        release=rollout.release,
        compatible=release.subject,
        version=release.body.version,
        build=release.body.build,
        area=stored.area,
        area_name=parts.world.name_of(stored.area),
        phase=rollout.phase,
        why=rollout.why,
        wave=rollout.wave,
        waves=len(rollout.waves),
        counts=_counts(rollout),
        bytes_done=sum(member.bytes_done for member in rollout.members.values()),
        bytes_most=bundle.bytes * len(rollout.members),
        started_ms=rollout.started_ms,
        started_by=stored.started_by,
        ended_ms=rollout.ended_ms,
        deadline_ms=rollout.deadline_ms,
        eta_ms=min(ends[-1], rollout.deadline_ms) if going and ends else None,
        bounds=rollout.bounds,
    )


def _members(tx: Transaction, rollout: Rollout, picture: Picture) -> tuple[RolloutNode, ...]:
    states = nodes.states_of(tx, rollout.members)
    return tuple(
        RolloutNode(
            node=node,
            name=picture.names.get(node, node),
            settlement_name=picture.settlements.get(node, ""),
            wave=wave,
            online=states[node].online if node in states else "retired",
            **structs.asdict(rollout.members[node]),
        )
        for wave, members in enumerate(rollout.waves)
        for node in members
    )
