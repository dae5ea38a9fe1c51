"""`loa-agent import DIR` (or `--https`): hands sealed documents to the agent, running or not, and says what came of it."""

import argparse
import hashlib
import http.client
import os
import secrets
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from edge_agent import bringing
from edge_agent.config import Config, ConfigWrong, load
from edge_agent.drivers.broker import tls_context
from edge_agent.drivers.stick import FOLDER, MOST_FILES, REFUSED
from edge_agent.material import open_credentials, open_report_key
from protocol.carrying import DOCUMENTS_SHA256, in_order
from protocol.envelope import CAP_ANY_BYTES, peek, seal
from protocol.reports import FetchStatement

WAIT_S: Final = 30.0
HTTPS_S: Final = 60.0
HTTPS_BYTES: Final = 1 << 24
LOOK_EVERY_S: Final = 0.2
SETTLED: Final = ("superseded", "not-mine")
"""Refusals that are no trouble: a newer one is held, or it is another node's."""


class ImportRefused(Exception):
    """Nothing was handed in; one sentence for the technician."""


def read(folder: Path) -> list[bytes]:
    """Every sealed document of a folder, in the order in which they can be taken. Raises ImportRefused."""
    if not folder.is_dir():
        raise ImportRefused(f"{folder} is no folder: name the one that `loa export` wrote")
    raws: list[bytes] = []
    for path in sorted(folder.glob("*.json"))[:MOST_FILES]:
        try:
            with path.open("rb") as file:
                raw = file.read(CAP_ANY_BYTES + 1).strip()
        except OSError as error:
            raise ImportRefused(f"{path} cannot be read ({error.strerror}): try the stick in another computer") from error
        if peek(raw)[0] and len(raw) <= CAP_ANY_BYTES:
            raws.append(raw)
        else:
            print(f"left out, no sealed document: {path.name}", file=sys.stderr)  # noqa: T201
    if not raws:
        raise ImportRefused(f"{folder} holds no sealed documents: write them with `loa export`")
    return in_order(raws)


def fetch(config: Config) -> list[bytes]:
    """All that the controller has for this node, over HTTPS: where the broker's port is closed. Raises ImportRefused."""
    node, now_ms = config.identity.node, time.time_ns() // 1_000_000
    statement = FetchStatement(
        authority="placement",
        area=node,
        area_no=0,
        seq=now_ms,
        purpose="routine",
        node=node,
        boot_count=0,
        clock_state="unknown",
        at_ms=now_ms,
        sha256=DOCUMENTS_SHA256,
        nonce=secrets.token_hex(8),
    )
    url = urlsplit(config.controller.media_url)
    context = tls_context(open_credentials(config), check_dates=False)  # nobody here knows whether the clock is good
    headers = {"authorization": "Loa " + b64encode(seal(statement, [open_report_key(config)])).decode()}
    connection = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=HTTPS_S, context=context)
    try:
        connection.request("GET", "/documents", headers=headers)
        reply = connection.getresponse()
        body = reply.read(HTTPS_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise ImportRefused(
            f"{config.controller.media_url} gives nothing ({error}): is serve reachable? Else use a stick"
        ) from error
    finally:
        connection.close()
    if reply.status != http.client.OK:
        raise ImportRefused(f"{config.controller.media_url} refused ({reply.status}): {body[:300].decode(errors='replace')}")
    try:
        return in_order(text.encode() for text in msgspec.json.decode(body, type=list[str]))
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ImportRefused(f"{config.controller.media_url} answered what is no list of documents ({error})") from error


def become_owner(state: Path) -> None:
    """From root to whoever owns the node's memory: root must follow no link that the agent's user could have laid there."""
    if os.geteuid() == 0:
        owner = state.stat()
        os.setgroups([owner.st_gid])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)


def lay(raws: list[bytes], state: Path) -> list[Path]:
    """Copy them into the node's folder, whole and synced. Raises ImportRefused."""
    inbox = state / FOLDER
    paths = []
    try:
        inbox.mkdir(exist_ok=True)
        for old in inbox.glob(f"*{REFUSED}"):
            old.unlink()
        for number, raw in enumerate(raws):
            path = inbox / f"{number:04}-{hashlib.sha256(raw).hexdigest()[:16]}.json"
            half = path.with_suffix(".half")
            with half.open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
            paths.append(path)
    except OSError as error:
        raise ImportRefused(f"{inbox} cannot be written ({error.strerror}): run it as root or as the agent's user") from error
    return paths


def bring(bundles: list[bringing.Found], state: Path) -> list[str]:
    """Copy firmware bundles into the node's folder; a sentence about each that could not be. Raises OSError."""
    troubles = []
    for each in bundles:
        version = each.releases[0].body.version
        print(f"đang chép gói phần mềm / copying firmware {version}: {each.name}", flush=True)  # noqa: T201
        if why := bringing.lay(each, state):
            troubles.append(f"{each.name}: {why}")
        else:
            print(f"đã chép, cài ngay khi im tiếng / copied; it is installed as soon as nothing sounds: {version}")  # noqa: T201
    return troubles


def wait(paths: list[Path], wait_s: float) -> tuple[int, list[str], int]:
    """Until the agent has judged all: how many it took or had, the refusals in words, how many still lie there."""
    until_s = time.monotonic() + wait_s
    while any(path.exists() for path in paths) and time.monotonic() < until_s:
        time.sleep(LOOK_EVERY_S)
    left = [path for path in paths if path.exists()]
    refused = []
    for path in paths:
        note = path.with_name(path.name + REFUSED)
        if note.exists():
            refused.append(f"{path.name[:4]}: {note.read_text(encoding='utf-8').strip()}")
    return len(paths) - len(left) - len(refused), refused, len(left)


def main(words: list[str]) -> int:
    """Run the command; status 0: all judged, 1: something refused or nothing handed in, 3: the agent did not answer."""
    parser = argparse.ArgumentParser(prog="loa-agent import", description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", help="sealed documents, and firmware (--release), as `loa export` writes them on a stick"
    )
    parser.add_argument("--https", action="store_true", help="take them from the controller over HTTPS instead")
    parser.add_argument("--config", type=Path, required=True, help="the node's node.toml")
    parser.add_argument("--wait-s", type=float, default=WAIT_S, help="how long to wait for the agent's answer")
    args = parser.parse_args(words)
    if (args.folder is None) != args.https:
        parser.error("name a folder, or say --https")
    try:
        config = load(args.config)
        raws = fetch(config) if args.https else read(args.folder)
        bundles, troubles = ([], []) if args.https else bringing.find(args.folder, raws)
        state = config.path(config.identity.state)
        become_owner(state)
        troubles += bring(bundles, state)
        paths = lay(raws, state)
    except (ConfigWrong, ImportRefused, OSError) as error:
        print(f"loa-agent import: {error}", file=sys.stderr)  # noqa: T201
        return 1
    taken, refused, left = wait(paths, args.wait_s)
    untaken = [line for line in refused if not any(f": {code}:" in line for code in SETTLED)]
    troubles += untaken
    for line in troubles:
        print(f"từ chối / refused: {line}", file=sys.stderr)  # noqa: T201
    print(f"đã nhận hoặc đã có {taken}, không cần {len(refused) - len(untaken)}, từ chối {len(untaken)}, đang chờ {left}")  # noqa: T201
    print(f"taken or held {taken}, not needed {len(refused) - len(untaken)}, refused {len(untaken)}, waiting {left}")  # noqa: T201
    if left:
        print("cụm loa không chạy: sẽ nhận khi khởi động / the agent is not running: it takes them when it starts")  # noqa: T201
        return 3
    return 1 if troubles else 0
