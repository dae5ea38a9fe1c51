"""`loa-agent import DIR`: hands a folder of sealed documents to the agent, running or not, and says what came of it."""

import argparse
import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Final

from edge_agent.config import ConfigWrong, load
from edge_agent.drivers.stick import FOLDER, MOST_FILES, REFUSED
from protocol.carrying import in_order
from protocol.envelope import CAP_ANY_BYTES, peek

WAIT_S: Final = 30.0
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


def lay(raws: list[bytes], state: Path) -> list[Path]:
    """Copy them into the node's folder, whole and synced, owned by whoever owns it. Raises ImportRefused."""
    inbox = state / FOLDER
    owner = state.stat()
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
            if os.geteuid() == 0:
                os.chown(half, owner.st_uid, owner.st_gid)
            half.replace(path)
            paths.append(path)
        if os.geteuid() == 0:
            os.chown(inbox, owner.st_uid, owner.st_gid)
    except OSError as error:
        raise ImportRefused(f"{inbox} cannot be written ({error.strerror}): run it as root or as the agent's user") from error
    return paths


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
            refused.append(f"{peek_name(path, note)}")
    return len(paths) - len(left) - len(refused), refused, len(left)


def peek_name(path: Path, note: Path) -> str:
    """One refusal: which file, and the agent's own sentence."""
    return f"{path.name[:4]}: {note.read_text(encoding='utf-8').strip()}"


def main(words: list[str]) -> int:
    """Run the command; status 0: all judged, 1: something refused or nothing handed in, 3: the agent did not answer."""
    parser = argparse.ArgumentParser(prog="loa-agent import", description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder of sealed documents, as `loa export` writes on a stick")
    parser.add_argument("--config", type=Path, required=True, help="the node's node.toml")
    parser.add_argument("--wait-s", type=float, default=WAIT_S, help="how long to wait for the agent's answer")
    args = parser.parse_args(words)
    try:
        config = load(args.config)
        raws = read(args.folder)
        paths = lay(raws, config.path(config.identity.state))
    except (ConfigWrong, ImportRefused, OSError) as error:
        print(f"loa-agent import: {error}", file=sys.stderr)  # noqa: T201
        return 1
    taken, refused, left = wait(paths, args.wait_s)
    troubles = [line for line in refused if not any(f": {code}:" in line for code in SETTLED)]
    for line in troubles:
        print(f"từ chối / refused: {line}", file=sys.stderr)  # noqa: T201
    print(f"đã nhận hoặc đã có {taken}, không cần {len(refused) - len(troubles)}, từ chối {len(troubles)}, đang chờ {left}")  # noqa: T201
    print(f"taken or held {taken}, not needed {len(refused) - len(troubles)}, refused {len(troubles)}, waiting {left}")  # noqa: T201
    if left:
        print("cụm loa không chạy: sẽ nhận khi khởi động / the agent is not running: it takes them when it starts")  # noqa: T201
        return 3
    return 1 if troubles else 0
