"""Makes what a node starts with: a card with a one-time claim, for a node that makes its own keys; or, at a desk, a whole folder.

Both are one node.toml. The certificate itself is the controller's to give; private keys never leave the node's folder.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct

from protocol import keys, node_id
from protocol.enrolment import claim_text, make_request, new_tls_key, verifier_of
from provisioning.errors import InputRefused
from provisioning.files import refuse_existing, write_whole

RANDOM_BYTES: Final = 8
FOLDER_MODE: Final = 0o700
SECRET_MODE: Final = 0o600
CLOCK_FILE: Final = "/run/systemd/timesync/synchronized"


class Fresh(Struct, frozen=True, kw_only=True):
    """A folder with keys, before its certificate: the request goes to the CA, the report key into the placement."""

    node: str
    folder: Path
    request_pem: bytes
    report_key: str


class Links(Struct, frozen=True, kw_only=True):
    """Where the node finds the controller, and what it believes from its first start on."""

    ca_pem: bytes
    root: bytes
    root_digest: str
    broker_host: str
    broker_port: int
    media_url: str
    documents: tuple[tuple[str, bytes], ...] = ()
    enrol_url: str | None = None


class Board(Struct, frozen=True, kw_only=True):
    """What hangs on the node: sink (alsa:, wav:, fifo:), amplifier switch, who keeps the clock (`chrony`, or a sync file)."""

    sink: str = "alsa:default"
    amplifier: str = "none"
    clock: str = CLOCK_FILE


def draw_node_id(random_bytes: Callable[[int], bytes]) -> str:
    """A fresh node id out of a source of randomness."""
    while True:
        drawn = node_id.new_id(random_bytes(RANDOM_BYTES))
        if drawn is not None:
            return drawn


def check_node_id(text: str) -> str:
    """A node id as typed from a label, in capitals. Raises InputRefused when a letter is wrong."""
    tidy = text.strip().upper()
    if not node_id.is_valid(tidy):
        raise InputRefused(f"{text!r} is no node id (10 letters and digits, the last checks the rest): read the label again")
    return tidy


def _new_folder(folder: Path, node: str) -> None:
    refuse_existing(folder, "folder")
    check_node_id(node)
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True)
    except OSError as error:
        raise InputRefused(f"cannot make folder {folder} ({error.strerror})") from error


def begin(folder: Path, node: str) -> Fresh:
    """Make the folder with a TLS key, a certificate request and a report key. Raises InputRefused when it exists."""
    _new_folder(folder, node)
    report_key = keys.new_key()
    tls_pem = new_tls_key()
    write_whole(folder / "node.key", tls_pem, mode=SECRET_MODE)
    write_whole(folder / "report.key", keys.to_pem(report_key, None), mode=SECRET_MODE)
    tls_key = load_pem_private_key(tls_pem, None)
    assert isinstance(tls_key, ec.EllipticCurvePrivateKey)  # noqa: S101  made three lines above
    request_pem = make_request(node, tls_key).encode()
    write_whole(folder / "node.csr", request_pem)
    return Fresh(node=node, folder=folder, request_pem=request_pem, report_key=keys.public_hex(report_key))


def abandon(fresh: Fresh) -> None:
    """Remove a folder whose enrolment failed, so that the next try starts clean."""
    shutil.rmtree(fresh.folder, ignore_errors=True)


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def node_toml(node: str, links: Links, board: Board, *, home: str = "", state: str = "state", claim: str | None = None) -> str:
    """The node's whole configuration. `home` is put before the files of its identity, `claim` names the claim's file."""
    names = ", ".join(_text(name) for name, _content in links.documents)
    enrol = f"\n[enrol]\nurl = {_text(links.enrol_url)}\n" if links.enrol_url else ""
    if claim is not None:
        enrol += f"claim = {_text(claim)}\n"
    return f"""# Node {node}: identity, pins and the address of its controller. Keep the folder private: its keys are this node.
[identity]
node = {_text(node)}
certificate = {_text(home + "node.crt")}
key = {_text(home + "node.key")}
report_key = {_text(home + "report.key")}
state = {_text(state)}

[pins]
ca = "ca.pem"
root = "root.json"
root_digest = {_text(links.root_digest)}
documents = [{names}]

[broker]
host = {_text(links.broker_host)}
port = {links.broker_port}

[controller]
media_url = {_text(links.media_url)}
{enrol}
[board]
sink = {_text(board.sink)}
amplifier = {_text(board.amplifier)}
clock = {_text(board.clock)}
"""


def finish(fresh: Fresh, *, certificate_pem: bytes, links: Links, board: Board) -> Path:
    """Put certificate, CA, pinned root and node.toml into the folder; returns the path of node.toml."""
    folder = fresh.folder
    write_whole(folder / "node.crt", certificate_pem)
    _pins(folder, links)
    (folder / "state").mkdir(mode=FOLDER_MODE, exist_ok=True)
    write_whole(folder / "node.toml", node_toml(fresh.node, links, board).encode())
    (folder / "node.csr").unlink(missing_ok=True)
    return folder / "node.toml"


class Card(Struct, frozen=True, kw_only=True):
    """A card that was made: `verifier` goes to the controller, `claim` inside the label and nowhere else."""

    node: str
    folder: Path
    verifier: str
    claim: str


def make_card(folder: Path, node: str, claim: bytes, *, links: Links, board: Board, state: str) -> Card:
    """A card on which the node makes its own keys. Raises InputRefused when the folder exists."""
    if links.enrol_url is None:
        raise InputRefused("a card needs the address where its node enrols: make the site file anew with `loa node site`")
    _new_folder(folder, node)
    text = claim_text(claim)
    _pins(folder, links)
    write_whole(folder / "claim", f"{text}\n".encode(), mode=SECRET_MODE)
    toml = node_toml(node, links, board, home=f"{state.rstrip('/')}/", state=state, claim="claim")
    write_whole(folder / "node.toml", toml.encode())
    return Card(node=node, folder=folder, verifier=verifier_of(node, claim), claim=text)


def _pins(folder: Path, links: Links) -> None:
    write_whole(folder / "ca.pem", links.ca_pem)
    write_whole(folder / "root.json", links.root)
    for name, content in links.documents:
        write_whole(folder / name, content)
