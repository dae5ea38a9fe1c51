"""`loa-provision keys ceremony`: everybody's key, one person after the other, then the first root, signed, and its record."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from msgspec import Struct
from rich.markup import escape

from provisioning import papers, tables
from provisioning.documents_cli import JsonOption, YesOption, now_ms
from provisioning.errors import InputRefused
from provisioning.files import write_whole
from provisioning.hands import open_hand
from provisioning.keyfile import PublicFile, public_path, read_public
from provisioning.making import make
from provisioning.plan import DELEGATE_PERSONS, EXAMPLE, ROOT_PERSONS, PersonPlan, Plan, Thresholds, check, read_plan, root_of
from provisioning.record import groups, html
from provisioning.showing import lines_of
from provisioning.terminal import ask, interactive, print_json, print_lines, say, warn

ROOT_FILE: Final = "root.json"
RECORD_FILE: Final = "bien-ban.html"
keys = typer.Typer(no_args_is_help=True, help="All keys of a ceremony at once (lễ ký).")


class _Place(Struct, frozen=True):
    """Where things are: the folder that is filled, and the one that the plan's passphrase files are relative to."""

    out: Path
    plan_folder: Path

    def private(self, person: PersonPlan) -> Path:
        return self.out / f"{person.id}.key"

    def key(self, person: PersonPlan) -> str:
        """What --key would say."""
        return person.token or str(self.private(person))

    def secret(self, person: PersonPlan) -> Path | None:
        return self.plan_folder / person.passphrase_file if person.passphrase_file else None


def _ask_person(kind: str, number: int, of: int) -> PersonPlan:
    say(f"\nNgười thứ {number}/{of} giữ khóa {kind} / person {number} of {of} with a {kind} key", style="bold")
    name: str = typer.prompt("Họ tên, chức vụ / full name and office", err=True)
    id_: str = typer.prompt("Mã ngắn không dấu / short id (a-z, 0-9, -)", default=f"{kind}-{number}", err=True)
    token: str = typer.prompt("Thẻ khóa pkcs11:... , để trống: tệp mã hóa / token, empty: encrypted file", default="", err=True)
    try:
        return msgspec.convert({"id": id_, "name": name, "roles": (kind,), "token": token or None}, PersonPlan)
    except msgspec.ValidationError as error:
        raise InputRefused(f"{id_}: {error}: begin again, the keys that were made are found again") from error


def _ask_plan() -> Plan:
    """The plan, by questions. Raises InputRefused without a terminal."""
    if not interactive():
        raise InputRefused("there is no terminal to ask at: name a plan with --plan (see --help for an example)")
    area: str = typer.prompt("Mã tỉnh / area id of the province", err=True)
    place: str = typer.prompt("Nơi làm lễ / place", default="", err=True)
    thresholds, persons = {}, []
    for kind, usual, least in (("root", ROOT_PERSONS, 3), ("delegate", DELEGATE_PERSONS, 2)):
        of: int = typer.prompt(
            f"Bao nhiêu người giữ khóa {kind} / how many persons for {kind}", default=usual, type=int, err=True
        )
        need: int = typer.prompt("Mấy người cùng ký / how many of them sign together", default=min(of, least), type=int, err=True)
        thresholds[kind] = need
        persons += [_ask_person(kind, number, of) for number in range(1, of + 1)]
    together = Thresholds(root=thresholds["root"], delegate=thresholds["delegate"], placement=thresholds["delegate"])
    plan = Plan(area=area, place=place, persons=tuple(persons), thresholds=together)
    check(plan, "these answers")
    return plan


def _made(place: _Place, person: PersonPlan, turn: Callable[[PersonPlan], None]) -> PublicFile:
    """The person's key: made now, or found from an earlier, interrupted ceremony or as a .pub that the person brought."""
    private = place.private(person)
    beside = public_path(private)
    if beside.exists():
        public = read_public(beside)
        if public.person != person.id:
            raise InputRefused(
                f"{beside} is the key of {public.person!r}, not of {person.id!r}: move it away, or correct the plan"
            )
        say(f"{person.id}: {beside} is there already, its key is taken as it is.")
        return public
    turn(person)
    public = make(private, person=person.id, name=person.name, on_token=person.token, secret_file=place.secret(person))
    say(f"{person.id}: {'on ' + person.token if person.token else private}; public key {public.public[:16]}…", style="green")
    return public


def _turn(person: PersonPlan) -> None:
    if interactive():
        say(f"\n{person.name}: mời vào chỗ, những người khác quay đi / please sit down, the others look away.", style="bold")


def _sign(place: _Place, plan: Plan, *, yes: bool) -> papers.Paper:
    """Each root person in turn until it is whole. Raises InputRefused."""
    paper = papers.read_paper(place.out / ROOT_FILE)
    print_lines(lines_of(paper))
    for person in plan.persons:
        if "root" not in person.roles or _whole(paper):
            continue
        if not yes and not typer.confirm(f"{person.name}: ký gốc này / sign this root?", err=True):
            continue
        try:
            hand = open_hand(place.key(person), place.secret(person))
            if hand.keyid in paper.keyids:
                continue
            write_whole(paper.path, papers.signed(paper, [hand]) + b"\n")
        except InputRefused as refused:
            warn(f"{person.id} did not sign: {refused}")
            continue
        paper = papers.read_paper(paper.path)
    return paper


def _whole(paper: papers.Paper) -> bool:
    try:
        papers.open_root(paper.path, paper.digest)
    except InputRefused:
        return False
    return True


def _say_plan(place: _Place, plan: Plan) -> None:
    for name in ("root", "delegate", "placement"):
        role = plan.role(name)
        say(f"{name}: {role.threshold} of {len(role.persons)}: {', '.join(role.persons)}" if role else f"{name}: nobody")
    for person in plan.persons:
        say(f"would make {place.key(person)} for {person.name}")
    say(f"would write {place.out / ROOT_FILE} and {place.out / RECORD_FILE}. Nothing was written (--dry-run).")


@keys.command(
    "ceremony",
    help=f"Make every key of the root and of its delegates, sign the first root, print the record.\n\n\b\n{escape(EXAMPLE)}",
    epilog="loa-provision keys ceremony --out le-ky --areas areas.json   (asks; or --plan plan.toml)",
)
def ceremony(
    *,
    out: Annotated[Path, typer.Option(help="A folder for keys, root and record: best on a stick that stays in the safe.")],
    plan_file: Annotated[Path | None, typer.Option("--plan", help="A TOML plan as above; without one you are asked.")] = None,
    areas: Annotated[Path | None, typer.Option(help="areas.json of the controller, for area numbers.")] = None,
    yes: YesOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the plan, make and write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the ceremony; one that was interrupted goes on where it stopped."""
    plan = read_plan(plan_file) if plan_file else _ask_plan()
    place = _Place(out, plan_file.parent if plan_file else Path())
    area_no = tables.area_number(plan_file or Path("area"), plan.area, plan.area_no, tables.read_numbers(areas))
    if dry_run:
        _say_plan(place, plan)
        return
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    publics = tuple(_made(place, person, _turn) for person in plan.persons)
    root_path = out / ROOT_FILE
    if not root_path.exists():
        papers.write_draft(root_path, root_of(plan, publics, area_no=area_no, now_ms=now_ms(), where=str(plan_file or "answers")))
    if not yes:
        ask("All keys are made. Go on to sign the root?", yes=yes)
    paper = _sign(place, plan, yes=yes)
    record = html(plan, paper.payload, paper.digest, signed_by=frozenset(paper.keyids), at_ms=now_ms())  # type: ignore[arg-type]
    write_whole(out / RECORD_FILE, record.encode())
    done = _whole(paper)
    if as_json:
        print_json({"root": str(root_path), "record": str(out / RECORD_FILE), "digest": paper.digest, "complete": done})
    else:
        say(f"\nDấu của gốc, đọc to / the root's digest, to be read aloud:\n{groups(paper.digest)}", style="bold")
        say(f"In và ký / print and sign: {out / RECORD_FILE}")
    if not done:
        raise InputRefused(f"{root_path} is not signed by enough persons yet: run the same command again, it goes on from here")
