"""The signer: its own process, the only opener of service keys. It writes the order itself and signs no bytes of others.

A key is a file `<area>.pem` in its folder. Beside it lies `<area>.grant.json`, the sealed grant that names it: the signer starts
the recordings that stand there, under the name that stands there, so often a day, and nothing else. It signs no STOP and no
word. Nodes and controller judge the same by themselves; this is so that a seized controller gets no signature at all.
"""

import asyncio
import contextlib
import logging
import os
import re
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from controller.ca import write_once
from controller.config import Config
from controller.errors import ConfigWrong
from controller.signing import QUESTION, Answer, Asked, KeyKnown, Keys, start_of
from protocol import keys, node_id
from protocol.documents import Grant, GrantBody, Power
from protocol.envelope import Sealer, payload_of, seal
from protocol.errors import Malformed
from protocol.rules import ACCEPT_MAX_MS, FUTURE_SLACK_MS
from protocol.services import SOUND_MAX_S, day_of

CLOCKS_APART_MS: Final = 60_000
MINUTE_MS: Final = 60_000
LINE_BYTES: Final = 65_536
LAST: Final = "last.json"
GRANT: Final = ".grant.json"
COMMUNE: Final = re.compile(r"[0-9]{2}\.[0-9]{5}")
log = logging.getLogger("loa.signer")


class Refusal(Exception):
    """The signer does not sign this; the text goes back to the caller."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code


def new_service_key(folder: Path, area: str) -> str:
    """Make the service key of a commune and return its public half in hex. Raises ConfigWrong if there is one."""
    if not COMMUNE.fullmatch(area):
        raise ConfigWrong(f"`{area}` is no commune: a service key is for one commune, as in 52.24076")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = keys.new_key()
    try:
        write_once(folder / f"{area}.pem", keys.to_pem(key, None), mode=0o600)
    except FileExistsError as error:
        raise ConfigWrong(
            f"{folder / area}.pem exists: use that key, or retire it in the grant and move the file away"
        ) from error
    return keys.public_hex(key)


class Started(Struct, frozen=True):
    """One start of a key, kept for its day."""

    at_ms: int
    area: str
    incident: str


class Memory(Struct):
    """By key: its last number, and what it started today."""

    last: dict[str, int]
    started: dict[str, list[Started]]


def _grant_of(raw: bytes) -> Grant:
    payload = payload_of(raw)
    if not isinstance(payload, Grant):
        raise Malformed(f"a {payload.kind}, not a grant")
    return payload


def take_grant(folder: Path, raw: bytes) -> str:
    """Lay a signed grant beside the service key that it names; gives the area. Raises ConfigWrong."""
    try:
        grant = _grant_of(raw)
    except Malformed as error:
        raise ConfigWrong(f"this is no signed grant ({error}): name the file that `loa-provision grant sign` wrote") from error
    pem = folder / f"{grant.subject}.pem"
    if not COMMUNE.fullmatch(grant.subject) or not pem.is_file():
        raise ConfigWrong(f"{folder} has no service key of {grant.subject}: make it first with `loa service-key`")
    public = keys.public_hex(keys.from_pem(pem.read_bytes(), None))
    services = {person.id for person in grant.body.persons if person.service}
    if not any(key.public == public and key.person in services for key in grant.body.keys):
        raise ConfigWrong(f"this grant of {grant.subject} does not name {pem} as a service: sign one that does")
    new = folder / f"{grant.subject}{GRANT}.new"
    with new.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / f"{grant.subject}{GRANT}")
    return grant.subject


class Signer:
    """Keys, their last sequence numbers and the limits. `now_ms` is this process's own clock."""

    def __init__(self, folder: Path, now_ms: Callable[[], int], *, starts_a_minute: int) -> None:
        self._folder = folder
        self._now_ms = now_ms
        self._starts_a_minute = starts_a_minute
        self._sealed_ms: deque[int] = deque()
        self._sealers: dict[str, Sealer] = {}
        self._known: dict[str, KeyKnown] = {}
        self._memory = Memory(last={}, started={})
        with contextlib.suppress(FileNotFoundError):
            self._memory = msgspec.json.decode((folder / LAST).read_bytes(), type=Memory)

    def keys(self) -> tuple[KeyKnown, ...]:
        """What is in the folder now; new files are taken up without a restart."""
        for file in sorted(self._folder.glob("*.pem")):
            if file.stem not in self._known and COMMUNE.fullmatch(file.stem):
                key = keys.from_pem(file.read_bytes(), None)
                sealer = keys.sealer(key)
                self._sealers[file.stem] = sealer
                self._known[file.stem] = KeyKnown(area=file.stem, public=keys.public_hex(key), keyid=sealer.public_key.keyid)
        return tuple(self._known.values())

    def seal(self, asked: Asked) -> bytes:
        """Write, check and sign an order. Raises Refusal."""
        now_ms = self._now_ms()
        sealer = self._sealers.get(asked.authority)
        if sealer is None:
            self.keys()
            sealer = self._sealers.get(asked.authority)
        if sealer is None:
            raise Refusal(f"no service key for {asked.authority}: make one and let the grant name it", "no-key")
        self._within(asked, now_ms)
        seq = max(now_ms, self._memory.last.get(asked.authority, 0) + 1, asked.highest_seq + 1)
        if seq > now_ms + FUTURE_SLACK_MS // 2:
            raise Refusal("an order from the future is known there: check the clocks of controller and signer", "clock")
        self._count(asked, seq, self._limits(asked))
        try:
            return seal(start_of(asked, seq), [sealer])
        except (Malformed, msgspec.ValidationError) as error:
            raise Refusal(f"this order breaks the limits of its kind: {error}", "malformed") from error

    def _within(self, asked: Asked, now_ms: int) -> None:
        if abs(asked.now_ms - now_ms) > CLOCKS_APART_MS:
            apart_s = (asked.now_ms - now_ms) // 1000
            raise Refusal(
                f"controller and signer disagree on the time by {apart_s} s: set the clocks, nothing was signed", "clock"
            )
        below = asked.area == asked.authority or asked.area.startswith(asked.authority + ".") or node_id.is_valid(asked.area)
        if not below:
            raise Refusal(f"the service key of {asked.authority} does not speak for {asked.area}", "not-empowered")
        if asked.sound_max_s > SOUND_MAX_S:
            raise Refusal(f"a service key sounds for at most {SOUND_MAX_S} s; longer needs an officer's key", "too-long")
        until_ms = asked.accept_until_ms or now_ms + asked.accept_s * 1000
        if not now_ms < until_ms <= now_ms + ACCEPT_MAX_MS[asked.kind]:
            raise Refusal("its time of acceptance is over, or further away than its kind allows", "expired")
        if not asked.clips:
            raise Refusal("there is nothing to be said: name a recording that the grant lists", "malformed")
        self._not_too_many(now_ms)

    def _limits(self, asked: Asked) -> Power:
        """What the grant beside the key allows it for this kind, if it allows these recordings. Raises Refusal."""
        body, public = self._grant(asked.authority), self._known[asked.authority].public
        mine = {key.person for key in body.keys if key.public == public and key.state == "active"}
        called = [person.name for person in body.persons if person.id in mine and person.service]
        if asked.issuing_body not in called:
            raise Refusal(
                f"this key speaks only as {' or '.join(called) or 'nobody: the grant names it no service'}", "not-empowered"
            )
        wanted = {clip.sha256 for clip in asked.clips}
        name = "emergency" if asked.kind == "order" else "exercise"
        for power in body.powers:
            if power.power == name and mine & set(power.persons) and wanted <= set(power.contents):
                return power
        raise Refusal("the grant of this key lists no such recording: only an officer's own key starts it", "not-listed")

    def _grant(self, area: str) -> GrantBody:
        try:
            return _grant_of((self._folder / f"{area}{GRANT}").read_bytes()).body
        except (OSError, Malformed) as error:
            raise Refusal(
                f"the signer has no grant of {area}, so it cannot know what this key may start: run `loa service-grant`",
                "no-grant",
            ) from error

    def _not_too_many(self, now_ms: int) -> None:
        recent = self._sealed_ms
        while recent and recent[0] <= now_ms - MINUTE_MS:
            recent.popleft()
        if len(recent) >= self._starts_a_minute:
            raise Refusal(f"{len(recent)} orders within a minute: wait, or use an officer's key", "too-many")
        recent.append(now_ms)

    def _count(self, asked: Asked, seq: int, power: Power) -> None:
        """One start more of the day of `seq`; the same incident said again (to a node without a clock) counts once an area.

        On disk before the signature leaves: a restart with a clock set back must repeat no number and grant no new day.
        """
        begin, end = day_of(seq)
        today = [each for each in self._memory.started.get(asked.authority, []) if begin <= each.at_ms < end]
        if not any(each.area == asked.area and each.incident == asked.incident for each in today):
            if len(today) >= (power.per_day or 0):
                raise Refusal(f"the grant allows this key {power.per_day} starts a day, and they are used up", "day-used-up")
            today.append(Started(at_ms=seq, area=asked.area, incident=asked.incident))
        self._memory.started[asked.authority] = today
        self._memory.last[asked.authority] = seq
        new = self._folder / (LAST + ".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(self._memory))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._folder / LAST)

    def answer(self, line: bytes) -> Answer:
        """Answer one question; whatever is wrong with it becomes a refusal."""
        try:
            question = QUESTION.decode(line)
        except msgspec.MsgspecError as error:
            return Answer(refused=f"the signer does not understand the question: {error}", code="malformed")
        if isinstance(question, Keys):
            return Answer(keys=self.keys())
        told = f"{question.kind} {question.incident} for {question.area} by {question.authority}"
        try:
            sealed = self.seal(question)
        except Refusal as refusal:
            log.warning("refused %s: %s", told, refusal.sentence)
            return Answer(refused=refusal.sentence, code=refusal.code)
        log.info("sealed %s", told)
        return Answer(sealed=sealed.decode())


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer: socket.socket = writer.get_extra_info("socket")
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


async def serve(config: Config) -> None:
    """Answer the controller on the socket until cancelled."""
    folder = config.signer_folder
    if not folder.is_dir():
        raise ConfigWrong(f"{folder} is missing: run `loa init`, then make a service key for each commune that the page serves")
    limits = config.settings.signer
    signer = Signer(folder, lambda: time.time_ns() // 1_000_000, starts_a_minute=limits.starts_a_minute)
    allowed = {os.getuid(), limits.caller_uid if limits.caller_uid is not None else os.getuid()}

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            uid = _peer_uid(writer)
            if uid not in allowed:
                log.warning("user %d was turned away", uid)
                return
            while line := await reader.readuntil(b"\n"):
                writer.write(msgspec.json.encode(signer.answer(line)) + b"\n")
                await writer.drain()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await converse(reader, writer)
        finally:
            writer.close()

    path = config.signer_socket
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177 if limits.caller_uid is None else 0o117)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    server = await asyncio.start_unix_server(once, sock=listener, limit=LINE_BYTES)
    log.info("signer ready with %d keys", len(signer.keys()))
    async with server:
        await server.serve_forever()
