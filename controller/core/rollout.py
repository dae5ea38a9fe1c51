"""A fleet upgrade, decided: who is offered the release next, when to go on, when to stop. Pure; asked again it says the same.

Waves are fixed at the start; what happens in them is decided from what nodes say. A node's word rules over our belief of it.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, structs

Phase = Literal["running", "paused", "aborted", "ended"]
Stand = Literal["open", "offered", "begun", "good", "failed", "unreached", "withdrawn"]
"""`open`: not offered yet; `offered`: it may fetch; `begun`: it installs, or runs the new slot on trial; the rest are ends."""

UNDER_WAY: Final[frozenset[Stand]] = frozenset({"offered", "begun"})
BEGUN: Final = frozenset({"installing", "installed", "trial"})
NOT_BEGUN: Final = frozenset({"waiting", "fetching"})
FAILED: Final = frozenset({"rolled-back", "refused"})
SILENT: Final = "silent"
LATE: Final = "deadline"
EVERYBODY: Final = 100
NAMED_AT_MOST: Final = 8
Percent = Annotated[int, Meta(ge=1, le=100)]


class Bounds(Struct, frozen=True, kw_only=True):
    """How carefully: the sizes of waves, when to go on, when to stop. Percents of waves are shares of all selected, rising."""

    canaries: Annotated[int, Meta(ge=1, le=1_000)] = 1
    waves_percent: Annotated[tuple[Percent, ...], Meta(min_length=1, max_length=20)] = (5, 20, 100)
    advance_percent: Percent = 95
    failures_max: Annotated[int, Meta(ge=1, le=10_000)] = 2
    failures_percent: Percent = 5
    under_way_max: Annotated[int, Meta(ge=1, le=10_000)] = 100
    deadline_s: Annotated[int, Meta(ge=60, le=365 * 86_400)] = 14 * 86_400
    silent_s: Annotated[int, Meta(ge=60, le=7 * 86_400)] = 6 * 3_600
    patience_s: Annotated[int, Meta(ge=60, le=7 * 86_400)] = 3_600

    def __post_init__(self) -> None:
        """Waves end with everybody, and each is larger than the one before."""
        if self.waves_percent[-1] != EVERYBODY or any(
            a >= b for a, b in zip(self.waves_percent, self.waves_percent[1:], strict=False)
        ):
            raise ValueError("waves are rising percents that end with 100, such as 5,20,100")


class Told(Struct, frozen=True, kw_only=True):
    """What a node last said. `runs`: the release's build or a newer one; the rest is its update state, if it told any."""

    reachable: bool
    heard_ms: int | None = None
    runs: bool = False
    release: str = ""
    state: str = ""
    reason: str = ""
    bytes_done: int = 0
    bytes_of: int = 0


ABSENT: Final = Told(reachable=False)


class Around(Struct, frozen=True, kw_only=True):
    """What is known outside the rollout: what nodes said, who is whose neighbour, whom other rollouts have under way.

    `listening_ms`: since when we hear nodes at all; None while the broker is away, and then nobody is judged and nothing begins.
    """

    told: Mapping[str, Told]
    neighbours: Mapping[str, frozenset[str]]
    busy: frozenset[str] = frozenset()
    listening_ms: int | None = None


class Member(Struct, frozen=True, kw_only=True):
    """One node of a rollout: where it stands since when, and what it last said of this release."""

    stand: Stand = "open"
    since_ms: int = 0
    state: str = ""
    reason: str = ""
    bytes_done: int = 0
    bytes_of: int = 0


class Rollout(Struct, frozen=True, kw_only=True):
    """One release on its way to the nodes of its waves. `accepted`: failures that a person knew of when they resumed."""

    release: str
    bounds: Bounds
    waves: tuple[tuple[str, ...], ...]
    members: Mapping[str, Member]
    started_ms: int
    wave_begun_ms: int
    phase: Phase = "running"
    wave: int = 0
    why: str = ""
    accepted: frozenset[str] = frozenset()
    ended_ms: int | None = None

    @property
    def deadline_ms(self) -> int:
        """When who was not reached is given up."""
        return self.started_ms + self.bounds.deadline_s * 1000


class Decision(Struct, frozen=True, kw_only=True):
    """What follows: the rollout as it stands now, who is offered the release, whose offer is taken back, when to look again."""

    rollout: Rollout
    offers: tuple[str, ...] = ()
    withdrawals: tuple[str, ...] = ()
    wake_ms: int | None = None


def begin(release: str, waves: Iterable[tuple[str, ...]], bounds: Bounds, now_ms: int) -> Rollout:
    """A rollout that has offered nothing yet."""
    fixed = tuple(waves)
    members = {node: Member(since_ms=now_ms) for wave in fixed for node in wave}
    return Rollout(release=release, bounds=bounds, waves=fixed, members=members, started_ms=now_ms, wave_begun_ms=now_ms)


def decide(rollout: Rollout, around: Around, now_ms: int) -> Decision:
    """Hear what nodes said, then stop, go on or end. Deciding again about the same changes nothing more."""
    heard = _hear(rollout, around, now_ms)
    if around.listening_ms is not None and now_ms >= heard.deadline_ms:
        heard = _give_up(heard, now_ms)
    elif heard.phase == "aborted":
        heard = structs.replace(heard, members=_taken_back(heard, now_ms))
    elif around.listening_ms is not None and heard.phase == "running":
        heard = _judge(heard, around)
        before = None
        while heard.phase == "running" and heard is not before:
            before = heard
            heard = _offer(heard, around, now_ms)
            heard = _advance(heard, around, now_ms)
    heard = _end(heard, now_ms)
    return _decision(rollout, heard, around, now_ms)


def pause(rollout: Rollout, why: str) -> Rollout:
    """Nothing new is offered; who has it goes on."""
    return structs.replace(rollout, phase="paused", why=why)


def resume(rollout: Rollout) -> Rollout:
    """Go on; the failures so far are known and do not stop it again."""
    failed = frozenset(node for node, member in rollout.members.items() if member.stand == "failed")
    return structs.replace(rollout, phase="running", why="", accepted=rollout.accepted | failed)


def abort(rollout: Rollout, why: str, now_ms: int) -> Decision:
    """Nothing more begins: offers not begun are taken back; who installs already finishes."""
    members = _taken_back(rollout, now_ms)
    after = _end(structs.replace(rollout, phase="aborted", why=why, members=members), now_ms)
    taken = tuple(node for node, member in rollout.members.items() if member.stand == "offered")
    return Decision(rollout=after, withdrawals=taken)


def _taken_back(rollout: Rollout, now_ms: int) -> dict[str, Member]:
    return {
        node: _at(member, "withdrawn", now_ms) if member.stand in ("open", "offered") else member
        for node, member in rollout.members.items()
    }


def under_way(rollout: Rollout) -> frozenset[str]:
    """The nodes that may be updating now."""
    return frozenset(node for node, member in rollout.members.items() if member.stand in UNDER_WAY)


def failures(rollout: Rollout) -> frozenset[str]:
    """The failures that nobody has accepted by resuming."""
    return frozenset(node for node, member in rollout.members.items() if member.stand == "failed") - rollout.accepted


def reached(rollout: Rollout, around: Around, nodes: Iterable[str]) -> frozenset[str]:
    """Of these, whose end is known or can be waited for; an accepted failure counts no more, on neither side."""
    return frozenset(node for node in nodes if node not in rollout.accepted and _counts(rollout, around, node))


def _counts(rollout: Rollout, around: Around, node: str) -> bool:
    there = around.told.get(node, ABSENT).reachable
    match rollout.members[node].stand:
        case "good" | "failed" | "begun":
            return True
        case "offered":
            return there
        case "open":
            return there and all(around.told.get(other, ABSENT).reachable for other in _blockers(rollout, around, node))
        case "unreached" | "withdrawn":
            return False


def _blockers(rollout: Rollout, around: Around, node: str) -> list[str]:
    """The neighbours under way, here or elsewhere: what two of them cover would else be silent if both fell out."""
    mine = rollout.members
    return [
        other
        for other in around.neighbours.get(node, frozenset())
        if other in around.busy or (other in mine and mine[other].stand in UNDER_WAY)
    ]


def _at(member: Member, stand: Stand, now_ms: int, reason: str | None = None) -> Member:
    if member.stand == stand:
        return member
    return structs.replace(member, stand=stand, since_ms=now_ms, reason=member.reason if reason is None else reason)


def _hear(rollout: Rollout, around: Around, now_ms: int) -> Rollout:
    members = {node: _heard(rollout, around, node, now_ms) for node in rollout.members}
    return structs.replace(rollout, members=members)


def _heard(rollout: Rollout, around: Around, node: str, now_ms: int) -> Member:
    member, told = rollout.members[node], around.told.get(node, ABSENT)
    judged = member.stand == "failed" and member.reason in (SILENT, LATE)
    if judged and (told.heard_ms or 0) <= member.since_ms:
        return member
    if told.release == rollout.release and told.state:
        said = structs.replace(
            member, state=told.state, reason=told.reason, bytes_done=told.bytes_done, bytes_of=told.bytes_of or member.bytes_of
        )
        after = _follow(said, told.state, now_ms)
    else:
        after = _at(member, "good", now_ms) if told.runs else member
    if after.stand == "begun" and not told.reachable and _silence_due_ms(rollout, around, after, told) <= now_ms:
        return _at(after, "failed", now_ms, SILENT)
    return after


def _follow(member: Member, state: str, now_ms: int) -> Member:
    if state == "good":
        return _at(member, "good", now_ms)
    if state in FAILED:
        return _at(member, "failed", now_ms)
    if state in BEGUN:
        return _at(member, "begun", now_ms)
    if state in NOT_BEGUN and member.stand == "begun":  # its installation was cut short: the slot that runs was not touched
        return _at(member, "offered", now_ms)
    return member


def _silence_due_ms(rollout: Rollout, around: Around, member: Member, told: Told) -> int:
    """When a node that was installing and is gone counts as failed; while we did not listen ourselves, never."""
    if around.listening_ms is None:
        return 2**53
    return max(member.since_ms, told.heard_ms or 0, around.listening_ms) + rollout.bounds.silent_s * 1000


def _give_up(rollout: Rollout, now_ms: int) -> Rollout:
    """The deadline is over: who did not begin was not reached; who began and has not ended by now failed."""
    members = {}
    for node, member in rollout.members.items():
        match member.stand:
            case "open" | "offered":
                members[node] = _at(member, "unreached", now_ms)
            case "begun":
                members[node] = _at(member, "failed", now_ms, LATE)
            case _:
                members[node] = member
    return structs.replace(rollout, members=members)


def _judge(rollout: Rollout, around: Around) -> Rollout:
    """Pause at so many failures, or at such a share of those reached in a wave, whichever comes first."""
    bounds, failed = rollout.bounds, failures(rollout)
    if len(failed) >= bounds.failures_max:
        return pause(rollout, f"{len(failed)} failures: {_names(failed)}")
    for number, wave in enumerate(rollout.waves):
        here = failed.intersection(wave)
        met = len(reached(rollout, around, wave)) if here else 0
        if here and len(here) * 100 >= bounds.failures_percent * met:
            return pause(rollout, f"{len(here)} of {met} reached in wave {number} failed: {_names(here)}")
    return rollout


def _names(nodes: Iterable[str]) -> str:
    found = sorted(nodes)
    return ", ".join(found[:NAMED_AT_MOST]) + (" …" if len(found) > NAMED_AT_MOST else "")


def _offer(rollout: Rollout, around: Around, now_ms: int) -> Rollout:
    """Offer to whoever is there, in the order of the waves, and has no neighbour under way."""
    members = dict(rollout.members)
    growing = structs.replace(rollout, members=members)  # sees each offer as it is made
    room = rollout.bounds.under_way_max - len(under_way(rollout))
    offered = False
    for node in (node for wave in rollout.waves[: rollout.wave + 1] for node in wave):
        if room <= 0:
            break
        if members[node].stand != "open" or not around.told.get(node, ABSENT).reachable or node in around.busy:
            continue
        if not _blockers(growing, around, node):
            members[node] = _at(members[node], "offered", now_ms)
            room, offered = room - 1, True
    return growing if offered else rollout


def _advance(rollout: Rollout, around: Around, now_ms: int) -> Rollout:
    if rollout.wave + 1 >= len(rollout.waves) or not _satisfied(rollout, around, now_ms):
        return rollout
    return structs.replace(rollout, wave=rollout.wave + 1, wave_begun_ms=now_ms)


def _satisfied(rollout: Rollout, around: Around, now_ms: int) -> bool:
    """Whether enough of those reached succeeded. Nobody reached proves nothing: canaries are waited for, others for a while."""
    wave = rollout.waves[rollout.wave]
    counted = reached(rollout, around, wave)
    if counted:
        good = sum(rollout.members[node].stand == "good" for node in counted)
        return good * 100 >= rollout.bounds.advance_percent * len(counted)
    if all(node in rollout.accepted for node in wave):
        return True
    ours = any(told.reachable for told in around.told.values())
    return rollout.wave > 0 and ours and _patience_due_ms(rollout, around) <= now_ms


def _patience_due_ms(rollout: Rollout, around: Around) -> int:
    return max(rollout.wave_begun_ms, around.listening_ms or 0) + rollout.bounds.patience_s * 1000


def _end(rollout: Rollout, now_ms: int) -> Rollout:
    """It is over when nothing is open and nobody is under way."""
    if rollout.ended_ms is not None or any(m.stand == "open" or m.stand in UNDER_WAY for m in rollout.members.values()):
        return rollout
    phase: Phase = "aborted" if rollout.phase == "aborted" else "ended"
    return structs.replace(rollout, phase=phase, ended_ms=now_ms)


def _decision(before: Rollout, after: Rollout, around: Around, now_ms: int) -> Decision:
    offers, withdrawals = [], []
    for node, member in after.members.items():
        was = before.members[node].stand
        if member.stand == "offered" and was == "open":
            offers.append(node)
        if member.stand in ("failed", "unreached", "withdrawn") and was in UNDER_WAY:
            withdrawals.append(node)
    return Decision(rollout=after, offers=tuple(offers), withdrawals=tuple(withdrawals), wake_ms=_wake_ms(after, around, now_ms))


def _wake_ms(rollout: Rollout, around: Around, now_ms: int) -> int | None:
    """When time alone changes something; None when only a node's word can."""
    if rollout.ended_ms is not None:
        return None
    times = [rollout.deadline_ms, _patience_due_ms(rollout, around)]
    for node, member in rollout.members.items():
        told = around.told.get(node, ABSENT)
        if member.stand == "begun" and not told.reachable:
            times.append(_silence_due_ms(rollout, around, member, told))
    return min((at_ms for at_ms in times if at_ms > now_ms), default=None)
