"""Opens what the configuration names: root, report key, TLS files, amplifier, sink. Each mistake is one sentence."""

import random
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from edge_agent.config import Config
from edge_agent.drivers import amplifier
from edge_agent.drivers.broker import Credentials, tls_context
from edge_agent.drivers.clock import ChronyClock, SyncFileClock
from edge_agent.drivers.enrol import IdentityBroken, Names, make_keys
from edge_agent.drivers.slots import NoSlots
from edge_agent.errors import AmplifierFailed
from edge_agent.events import Event
from edge_agent.player import sinks
from edge_agent.player.score import InputName
from edge_agent.ports import Amplifier, Clock, Slots
from protocol.documents import Root
from protocol.envelope import Sealer, open_pinned_root
from protocol.errors import ProtocolError
from protocol.keys import from_pem, public_hex, sealer

RAUC_CONFIG: Final = Path("/etc/rauc/system.conf")
TIMESYNCD_FILE: Final = "/run/systemd/timesync/synchronized"
BUNDLE_MOST_BYTES_S: Final = 250_000
"""2 Mbit/s: less than any 4G link gives at night, so that an order never waits behind firmware."""
ENROL: Final = "enrol this node anew with `loa-provision node new`"


def open_root(config: Config) -> Root:
    """The pinned root of the card. Raises ConfigWrong."""
    path = config.path(config.pins.root)
    try:
        return open_pinned_root(path.read_bytes(), config.pins.root_digest)
    except (OSError, ProtocolError) as error:
        raise config.wrong("pins.root", f"{path}: {error}; copy root and root_digest from the same ceremony") from error


def open_report_key(config: Config) -> Sealer:
    """The key that signs what this node says. Raises ConfigWrong."""
    return sealer(_report_key(config))


def _report_key(config: Config) -> Ed25519PrivateKey:
    path = config.path(config.identity.report_key)
    try:
        return from_pem(path.read_bytes(), None)
    except (OSError, ProtocolError) as error:
        raise config.wrong("identity.report_key", f"{path}: {error}; {ENROL}") from error


def open_credentials(config: Config) -> Credentials:
    """The files of TLS, once tried: CA, certificate and key that belong together, under this node's name. Raises ConfigWrong.

    Of a node that has yet to enrol they are named and not tried.
    """
    identity = config.identity
    ca, certificate, key = (config.path(name) for name in (config.pins.ca, identity.certificate, identity.key))
    try:
        ssl.create_default_context(cafile=str(ca))
    except (OSError, ValueError) as error:
        raise config.wrong("pins.ca", f"{ca} holds no certificates; copy ca.pem of the controller there") from error
    if config.claim is not None and not certificate.exists():
        return Credentials(ca, certificate, key)
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise config.wrong("identity.certificate", f"{certificate} holds no certificate; {ENROL}") from error
    names = [str(name.value) for name in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [identity.node]:
        was_for = ", ".join(names) or "nobody"
        raise config.wrong("identity.certificate", f"{certificate} was made for {was_for}, this node is {identity.node}; {ENROL}")
    credentials = Credentials(ca, certificate, key)
    try:
        tls_context(credentials, check_dates=False)
    except (OSError, ValueError) as error:
        raise config.wrong("identity.key", f"{key} is not the key of {certificate.name}; {ENROL}") from error
    return credentials


def make_identity(config: Config) -> None:
    """The keys of a node that enrols itself, made at its first start. Raises ConfigWrong."""
    if config.claim is None:
        return
    try:
        make_keys(config.path(config.identity.key), config.path(config.identity.report_key))
    except IdentityBroken as error:
        raise config.wrong("identity.key", str(error)) from error


def names_of(config: Config) -> Names:
    """Who this node is to the enrol address. Raises ConfigWrong."""
    identity = config.identity
    return Names(
        node=identity.node,
        tls_key=config.path(identity.key),
        certificate=config.path(identity.certificate),
        roots=config.path(config.pins.ca),
        report_public=public_hex(_report_key(config)),
        claim=config.claim,
    )


def open_amplifier(config: Config) -> Amplifier:
    """The amplifier of the board. Raises ConfigWrong."""
    try:
        return amplifier.parse(config.board.amplifier)
    except (AmplifierFailed, ValueError) as error:
        raise config.wrong("board.amplifier", str(error)) from error


def open_clock(config: Config, emit: Callable[[Event], None]) -> Clock:
    """Whoever keeps the clock in step. A chrony that is not installed is told as trouble: emergencies need no clock.

    Raises ConfigWrong.
    """
    spec = config.board.clock
    if spec == "chrony":
        return ChronyClock(emit)
    if "/" not in spec:
        raise config.wrong("board.clock", f"{spec!r} is neither chrony nor a path; write chrony, or {TIMESYNCD_FILE}")
    file = config.path(spec)
    if file.is_dir():
        raise config.wrong("board.clock", f"{file} is a folder; write the file in it, as {TIMESYNCD_FILE}, or chrony")
    return SyncFileClock(file, emit)


def has_slots(config: Config) -> bool:
    """Whether RAUC keeps two copies of the firmware here."""
    kept_by = config.board.slots
    return kept_by == "rauc" or (kept_by == "auto" and RAUC_CONFIG.exists())


class RunningSlots(Slots, Protocol):
    """What keeps the slots, and its work."""

    async def run(self) -> None:
        """Until cancelled."""


def open_slots(
    config: Config,
    state: Path,
    media_url: Callable[[], str],
    context: Callable[[], ssl.SSLContext],
    authorise: Callable[[str], str],
    emit: Callable[[Event], None],
    chance: random.Random,
) -> RunningSlots:
    """Whoever keeps the two copies of the firmware; a machine with one copy needs no D-Bus in its memory."""
    if not has_slots(config):
        return NoSlots()
    from edge_agent.drivers.slots.blocks import FOLDER as BUNDLES
    from edge_agent.drivers.slots.proxied import ProxiedSlots
    from edge_agent.drivers.slots.proxy import RangeProxy

    source = RangeProxy(media_url, state / BUNDLES, context, authorise, emit, chance, most_bytes_s=BUNDLE_MOST_BYTES_S)
    return ProxiedSlots(emit, source)


def check_sink(config: Config) -> str:
    """The word for the sound card, which the player opens in its own process. Raises ConfigWrong."""
    spec = config.board.sink
    kind, _, rest = spec.partition(":")
    try:
        if kind != "alsa" or not rest:
            sinks.parse(spec)
    except ValueError as error:
        raise config.wrong("board.sink", str(error)) from error
    folder = Path(rest.partition("?")[0]).parent
    if kind != "alsa" and not folder.is_dir():
        raise config.wrong("board.sink", f"there is no folder {folder}; make it, or name another")
    return spec


def inputs_of(config: Config) -> dict[InputName, str]:
    """The inputs that this board has, and the device of each."""
    named: dict[InputName, str | None] = {"fm": config.board.fm, "line": config.board.line}
    return {name: device for name, device in named.items() if device is not None}


def make_state(config: Config) -> Path:
    """The folder of the node's memory. Raises ConfigWrong."""
    folder = config.path(config.identity.state)
    try:
        (folder / "media").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise config.wrong("identity.state", f"{folder}: {error.strerror}; name a folder that the agent may write") from error
    return folder
