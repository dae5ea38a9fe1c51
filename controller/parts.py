"""What every act gets: the store, the picture of the world, the signer, the broker link's bell, the listeners, the time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from controller.actions.views import Draft, Request
from controller.config import Config
from controller.core.access import EVERYTHING, Duty
from controller.core.world import World
from controller.credentials import Vault
from controller.live import Live
from controller.signer_link import SignerLink
from controller.store.database import Database
from controller.store.outbox import Parcel
from controller.throttle import Throttle
from protocol.rules import Clock


class Actor(Struct, frozen=True, kw_only=True):
    """Who acts, and by which door."""

    name: str
    via: Literal["page", "cli", "system"]
    duties: tuple[Duty, ...] = ()


SYSTEM = Actor(name="loa", via="system", duties=EVERYTHING)


@dataclass
class BrokerState:
    """What is known of the link to the broker."""

    connected: bool = False
    since_ms: int | None = None
    trouble: str = ""


@dataclass
class Ports:
    """The ports in use, once they are bound."""

    https: int = 0
    signing: int = 0
    broker: int = 0
    enrol: int = 0


@dataclass
class Pending:
    """A draft that waits for its second act."""

    draft: Draft
    request: Request
    areas: tuple[str, ...]


async def _nobody(_revoked: tuple[str, ...] = ()) -> None:
    """No broker to tell."""


class Wanted(Struct, frozen=True, kw_only=True):
    """A signature that somebody was sent to give in the browser: for a START, a STOP or LIFT, once more, or as second person.

    `token` lets the signing page, which has no session, read what it is to show; only the asker's session brings it back.
    """

    act: Literal["START", "STOP", "LIFT"]
    areas: tuple[str, ...]
    request: Request | None = None
    incident: str | None = None
    exercise: bool = False
    reason: str = ""
    draft: str = ""
    waiting: str = ""
    again: bool = False
    token: str = ""
    created_by: str = ""
    expires_ms: int = 0


@dataclass
class Parts:
    """The controller's parts, built once by `serve`. `wake` rings when the outbox has something, `offers` when offers may be due.

    `rollouts` rings when a node said something that may move a rollout on; whoever changes one holds `rolling`.

    `fresh` are orders just committed, for the outbox to send without asking the database first.

    `hashing`: each check of a password takes 64 MB and a core for a moment, so two at once and the others wait
    (`waiting` of them).
    `setting_up`: second factors shown and not yet proven, by session. `audit_trouble`: why the log cannot be vouched for.
    `begun_ms`: by key, until when what it began lasts at the pace that it may keep.
    `expect` is told of each area where nodes should soon hold something new; `tell_broker` brings the broker's lists of who may
    what up to date, and breaks the connections of those named; `roots_changed` gives our own servers certificates of the root
    that signs now.
    """

    config: Config
    database: Database
    world: World
    signer: SignerLink
    live: Live
    now_ms: Callable[[], int]
    vault: Vault
    throttle: Throttle = field(default_factory=Throttle)
    setting_up: dict[str, bytes] = field(default_factory=dict)
    audit_trouble: str = ""
    fresh: list[Parcel] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    offers: asyncio.Event = field(default_factory=asyncio.Event)
    rollouts: asyncio.Event = field(default_factory=asyncio.Event)
    rolling: asyncio.Lock = field(default_factory=asyncio.Lock)
    broker: BrokerState = field(default_factory=BrokerState)
    ports: Ports = field(default_factory=Ports)
    drafts: dict[str, Pending] = field(default_factory=dict)
    begun_ms: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    wanted: dict[str, Wanted] = field(default_factory=dict)
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    expect: Callable[[str], None] = lambda _area: None
    tell_broker: Callable[[tuple[str, ...]], Awaitable[None]] = field(default=_nobody)
    roots_changed: Callable[[], Awaitable[None]] = field(default=_nobody)

    @property
    def clock(self) -> Clock:
        """The controller's clock, for judging what comes in; servers keep their time by NTP, so it counts as good."""
        return Clock(self.now_ms(), "good")
