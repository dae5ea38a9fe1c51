"""`loa-provision`: the offline ceremony. Works on files alone, on a computer without a network."""

import time
from pathlib import Path
from typing import Annotated

import typer

from protocol.keys import new_key, public_hex
from provisioning import keyfile, making, next_cli, papers, resigning, showing
from provisioning.ceremony_cli import keys
from provisioning.check_cli import EPILOG as CHECK_EPILOG
from provisioning.check_cli import check_command
from provisioning.checking import judge, load_trust
from provisioning.documents_cli import grant, placement, root
from provisioning.files import refuse_existing
from provisioning.flash_cli import EPILOG as FLASH_EPILOG
from provisioning.flash_cli import flash_command
from provisioning.image_cli import image
from provisioning.node_cli import node
from provisioning.recover_cli import EPILOG as RECOVER_EPILOG
from provisioning.recover_cli import recover_command
from provisioning.release_cli import release
from provisioning.showing import lines_of
from provisioning.terminal import print_json, print_lines, run, say, warn

app = typer.Typer(
    name="loa-provision",
    help="Offline: keys, roots, grants, placements, nodes' cards (khóa, gốc tin cậy, phân quyền, vị trí, thẻ và nhãn).",
    epilog="Begin with: loa-provision key new --person nguyen-van-a --name 'Nguyễn Văn A' --out a.key",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
key = typer.Typer(no_args_is_help=True, help="A person's key: an encrypted file that never leaves its owner.")
app.add_typer(key, name="key")
app.add_typer(keys, name="keys")
app.add_typer(root, name="root")
app.add_typer(grant, name="grant")
app.add_typer(placement, name="placement")
app.add_typer(release, name="release")
assert next_cli  # noqa: S101  it adds `next` to root and grant
app.add_typer(node, name="node")
app.add_typer(image, name="image")
app.command("flash", epilog=FLASH_EPILOG)(flash_command)
app.command("check", epilog=CHECK_EPILOG)(check_command)
app.command("recover", epilog=RECOVER_EPILOG)(recover_command)

JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]


@key.command("new", epilog="loa-provision key new --person nguyen-van-a --name 'Nguyễn Văn A, Chủ tịch UBND' --out a.key")
def key_new(
    person: Annotated[str, typer.Option(help="Short id of the person: small letters, digits, '-', as in the grant.")],
    name: Annotated[str, typer.Option(help="Full name and office, as others shall read it.")],
    out: Annotated[Path, typer.Option(help="The key file to write; F.pub is written beside it.")],
    on_token: Annotated[
        str | None, typer.Option("--token", help="On this token instead: pkcs11:token=LABEL?module-path=FILE.so")
    ] = None,
    passphrase_file: Annotated[Path | None, typer.Option(help="Take the passphrase from this file's first line.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a person's key. The passphrase is asked twice; F.pub (no secret) goes to those who write the grant."""
    if dry_run:
        public = keyfile.describe(out, person=person, name=name, public=public_hex(new_key()))
        for path in (out, keyfile.public_path(out)):
            refuse_existing(path, "file")
        where = f"make a key on {on_token}, write" if on_token is not None else f"write {out} and"
        say(f"Would {where} {keyfile.public_path(out)} for {public.person} ({public.name}). Nothing was written.")
        return
    public = making.make(out, person=person, name=name, on_token=on_token, secret_file=passphrase_file)
    if as_json:
        print_json({"key": on_token or str(out), "public_file": str(keyfile.public_path(out)), "public": public})
        return
    if on_token is None:
        say(f"Wrote {out} (secret, keep it off every server) and {keyfile.public_path(out)} (give this one away).")
    else:
        say(f"Made a key on {on_token}, which never leaves it, and wrote {keyfile.public_path(out)} (give this one away).")
    print_lines([("person", public.person), ("name", public.name), ("public", public.public)])


@key.command("show", epilog="loa-provision key show a.pub")
def key_show(file: Annotated[Path, typer.Argument(help="A .pub file.")], as_json: JsonOption = False) -> None:
    """Show a public key file, to compare it by eye or over the telephone."""
    public = keyfile.read_public(file)
    if as_json:
        print_json(public)
        return
    print_lines([("person", public.person), ("name", public.name), ("public", public.public)])


app.command("resign", epilog=resigning.EPILOG)(resigning.resign)


@app.command("show", epilog="loa-provision show grant-24076.json --root root.json --pin 3f0c... --under grant-52.json")
def show(
    file: Annotated[Path, typer.Argument(help="Any sealed document or draft.")],
    root_file: Annotated[Path | None, typer.Option("--root", help="The root to verify against.")] = None,
    pin: Annotated[str | None, typer.Option(help="The digest that the root must have.")] = None,
    under: Annotated[list[Path] | None, typer.Option(help="Grants and placements it stands on (repeat).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a document says, and whether it counts under a root. Status 1 when it does not."""
    paper = papers.read_paper(file)
    trust = load_trust(root_file, pin, under or []) if root_file else None
    verdict = judge(paper, trust) if trust else None
    if as_json:
        print_json(
            {
                "file": str(file),
                "kind": paper.kind,
                "digest": paper.digest,
                "draft": paper.raw is None,
                "verified": verdict.good if verdict else None,
                "why": verdict.sentence if verdict else "no root was named",
                "signers": [signer.person for signer in verdict.signers] if verdict else [],
                "keyids": paper.keyids,
                "payload": paper.payload,
            }
        )
    else:
        print_lines(lines_of(paper))
        for keyid in paper.keyids:
            say(f"signature by key {keyid[:16]}… {showing.whose(paper, keyid)}")
        if verdict is None:
            warn("NOT VERIFIED: no root was named. Add --root root.json --pin DIGEST.")
        elif verdict.good:
            names = ", ".join(signer.person for signer in verdict.signers)
            say(f"GOOD: {verdict.sentence} ({names}).", style="green")
            _say_age(paper)
        else:
            warn(f"DOES NOT COUNT: {verdict.sentence}", style="bold red")
    if verdict is not None and not verdict.good:
        raise typer.Exit(1)


def _say_age(paper: papers.Paper) -> None:
    until_ms = getattr(paper.payload, "valid_until_ms", None) or getattr(paper.payload, "accept_until_ms", None)
    if until_ms is not None and until_ms < time.time_ns() // 1_000_000:
        warn(f"It was good when issued, and ended on {showing.moment(until_ms)}.")


def main() -> None:
    """Run `loa-provision`."""
    run(app)


if __name__ == "__main__":
    main()
