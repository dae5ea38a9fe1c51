"""`loa audit`, `verify`, `receipts`, `export`: who did what, whether the log holds, whether nodes sealed what is told of them."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from controller.actions.views import AuditView
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, JsonOption, StateOption
from controller.core.audit_chain import Verdict
from provisioning.errors import InputRefused
from provisioning.files import refuse_existing, write_whole
from provisioning.showing import moment
from provisioning.terminal import print_json, print_table, say

app = typer.Typer(help="Who did what, newest first (nhật ký kiểm tra); whether the log holds; the log as a file.")
KeyOption = Annotated[str | None, typer.Option("--public", help="The log's public key in hex, as noted elsewhere.")]


@app.callback(invoke_without_command=True, epilog="loa audit --limit 20")
def show(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")] = 100,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Who did what, newest first."""
    if context.invoked_subcommand is not None:
        return
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        found = link.get("/v1/audit", list[AuditView], limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [(moment(each.at_ms)[:19], each.actor, each.via, each.act, each.object, each.detail) for each in found]
    print_table(("when", "who", "through", "act", "what", "detail"), rows)


@app.command("verify", epilog="loa audit verify nhat-ky.jsonl --public 3f5c...")
def verify(
    file: Annotated[Path | None, typer.Argument(help="What `loa audit export` wrote; else this machine's database.")] = None,
    *,
    public: KeyOption = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Check chain, signed heads and signatures, without serve; name the first row that does not fit."""
    verdict = _of_file(file, public) if file is not None else _of_folder(state, public)
    if as_json:
        print_json(verdict)
    if not verdict.good:
        raise InputRefused(f"THE AUDIT LOG DOES NOT HOLD at row {verdict.wrong_id}: {verdict.why}")
    if not as_json:
        newest = f", the newest of {moment(verdict.last_at_ms)[:19]}" if verdict.last_at_ms is not None else ""
        say(f"The audit log holds: {verdict.rows} rows{newest}; {verdict.heads} signed heads, up to row {verdict.signed_upto}.")
        say(
            f"Signed by {verdict.public or 'nobody yet'}"
            + (f"; {verdict.unsigned} rows are not signed yet." if verdict.unsigned else ".")
        )


def _of_file(file: Path, public: str | None) -> Verdict:
    from controller.actions import audit
    from controller.errors import Refused

    try:
        with file.open("rb") as lines:
            return audit.verify_lines(iter(lines), public)
    except OSError as error:
        raise InputRefused(f"{file} cannot be read: {error.strerror}") from error
    except Refused as refused:
        raise InputRefused(f"{file}: {refused.sentence}") from refused


def _of_folder(state: Path, public: str | None) -> Verdict:
    from controller.actions import audit
    from controller.config import load
    from controller.errors import ConfigWrong
    from protocol.keys import public_hex

    StateFolder(state).require()
    config = load(state)
    if public is None and config.audit_key.exists():
        with contextlib.suppress(ConfigWrong):
            public = public_hex(audit.open_key(config)[0])
    return audit.verify_database(config, public)


@app.command("export", epilog="loa audit export --out nhat-ky.jsonl")
def export(
    *,
    out: Annotated[Path, typer.Option(help="The file to write: JSON lines, rows and signed heads.")],
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Write the whole log into a file that `loa audit verify FILE` checks on any machine."""
    from controller.actions import audit
    from controller.config import load

    StateFolder(state).require()
    refuse_existing(out, "file")
    lines = list(audit.export(load(state)))
    write_whole(out, b"".join(lines), new=True)
    say(f"Wrote {len(lines)} lines to {out}. Keep it where this machine's user cannot write, with the log's public key.")


@app.command("receipts", epilog="loa audit receipts --root 7d1f... --incident 0f3a6c1b2d4e5f60")
def receipts(
    *,
    root: Annotated[str | None, typer.Option(help="Digest of the pinned root, from the ceremony's record.")] = None,
    incident: Annotated[str | None, typer.Option(help="Only this incident.")] = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Look for a node's own sealed receipt behind every "received", "sounding" and "ended" in the database, without serve."""
    from controller.actions import evidence
    from controller.config import load
    from controller.errors import Refused

    StateFolder(state).require()
    try:
        found = evidence.of_database(load(state), root, incident)
    except Refused as refused:
        raise InputRefused(refused.sentence) from refused
    if as_json:
        print_json(found)
    elif found.doubts:
        rows = [(each.incident, each.node, each.state, each.why) for each in found.doubts]
        print_table(("incident", "node", "state", "why"), rows)
    if not found.good:
        raise InputRefused(f"{len(found.doubts)} of {found.states} states are proven by no receipt: do not believe them")
    if not as_json:
        say(f"A sealed receipt of its node stands behind each of {found.states} states of {found.orders} orders.")
        say(f"Judged from root {found.root}: compare it with the ceremony's record.")
