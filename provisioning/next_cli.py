"""The commands `root next` and `grant next`: the draft that follows the document in force, without writing a table by hand."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Final

import typer

from protocol.documents import Grant, GrantBody, Root, RootBody
from protocol.errors import Malformed
from provisioning import papers
from provisioning.documents_cli import DryOption, JsonOption, OutOption, draft, grant, now_ms, root
from provisioning.errors import InputRefused
from provisioning.keyfile import read_public
from provisioning.showing import HERE
from provisioning.succession import Change, Comes, keys_of, next_grant, next_root
from provisioning.terminal import warn

AddOption = Annotated[list[str] | None, typer.Option(help="FILE.pub=ROLE,ROLE: this key comes in with these roles (repeat).")]
RetireOption = Annotated[
    list[str] | None, typer.Option(help="A person, key or .pub: what it signed stays, nothing new counts (repeat).")
]
StolenOption = Annotated[list[str] | None, typer.Option(help="A person, key or .pub: all that it signed ends (repeat).")]
ThresholdOption = Annotated[list[str] | None, typer.Option(help="ROLE=N: so many persons from now on (repeat).")]
OldArgument = Annotated[Path, typer.Argument(help="The sealed document in force.")]
FORMATS: Final = ["%Y-%m-%d"]


def _who(body: RootBody | GrantBody, who: str) -> tuple[str, ...]:
    name = read_public(Path(who)).public if who.endswith(".pub") else who
    return keys_of(body, name)


def _comes(entry: str) -> Comes:
    file, equals, roles = entry.partition("=")
    if not equals or not roles:
        raise InputRefused(f"--add {entry}: write the .pub file and what its owner may do, as an.pub=delegate,placement")
    public = read_public(Path(file))
    return Comes(public=public.public, person=public.person, name=public.name, roles=tuple(roles.split(",")))


def _threshold(entry: str) -> tuple[str, int]:
    name, _, number = entry.partition("=")
    if not number.isdecimal():
        raise InputRefused(f"--threshold {entry}: write ROLE=N, as delegate=2")
    return name, int(number)


def _change(
    body: RootBody | GrantBody, add: list[str] | None, retire: list[str] | None, stolen: list[str] | None, need: list[str] | None
) -> Change:
    """What the options say. Raises InputRefused."""
    try:
        retired = {public: "retired" for who in retire or [] for public in _who(body, who)}
        gone = {public: "stolen" for who in stolen or [] for public in _who(body, who)}
    except Malformed as error:
        raise InputRefused(str(error)) from error
    return Change(
        comes=tuple(_comes(entry) for entry in add or []),
        states=retired | gone,  # type: ignore[arg-type]  # two of the three states
        thresholds=dict(_threshold(entry) for entry in need or []),
    )


def _sealed(path: Path, kind: str) -> papers.Paper:
    paper = papers.read_paper(path)
    if paper.kind != kind or paper.raw is None:
        raise InputRefused(f"{path} is no sealed {kind}: name the one in force (`loa export` fetches it from the controller)")
    return paper


def _day_ms(day: dt.datetime | None) -> int | None:
    return None if day is None else round(day.replace(tzinfo=HERE).timestamp() * 1000)


@root.command("next", epilog="loa-provision root next root.json --add f.pub=root --retire an --out root-2.json")
def root_next(
    *,
    old: OldArgument,
    out: OutOption,
    add: AddOption = None,
    retire: RetireOption = None,
    stolen: StolenOption = None,
    threshold: ThresholdOption = None,
    floor: Annotated[
        dt.datetime | None, typer.Option(formats=FORMATS, help="Lower the nodes' time floor to this day (YYYY-MM-DD).")
    ] = None,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the draft of the root that follows: keys come and go, thresholds change, a poisoned time floor is lowered."""
    paper = _sealed(old, "root")
    assert isinstance(paper.payload, Root)  # noqa: S101  its kind was looked at
    change = _change(paper.payload.body, add, retire, stolen, threshold)
    try:
        made = next_root(paper.payload, paper.digest, change, now_ms=now_ms(), floor_reset_ms=_day_ms(floor))
    except (Malformed, ValueError) as error:
        raise InputRefused(f"no root follows {old} like this: {error}") from error
    draft(made, out, kind="root", dry_run=dry_run, as_json=as_json, old=old)


@grant.command(
    "next", epilog="loa-provision grant next grant.json --add h.pub=emergency,stop --stolen old.pub --out grant-2.json"
)
def grant_next(
    *,
    old: OldArgument,
    out: OutOption,
    add: AddOption = None,
    retire: RetireOption = None,
    stolen: StolenOption = None,
    threshold: ThresholdOption = None,
    until: Annotated[dt.datetime | None, typer.Option(formats=FORMATS, help="Good until the end of this day.")] = None,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the draft of the grant that replaces one: an officer comes, a key is retired or stolen, the end is put off."""
    paper = _sealed(old, "grant")
    assert isinstance(paper.payload, Grant)  # noqa: S101  its kind was looked at
    change = _change(paper.payload.body, add, retire, stolen, threshold)
    ends = _day_ms(until + dt.timedelta(days=1)) if until is not None else None
    try:
        made = next_grant(paper.payload, paper.digest, change, now_ms=now_ms(), until_ms=ends)
    except (Malformed, ValueError) as error:
        raise InputRefused(f"no grant replaces {old} like this: {error}") from error
    if stolen:
        warn(
            "All that a stolen key signed ends: `loa-provision resign FILES --by KEY.pub` lists it, for another to sign it anew."
        )
    draft(made, out, kind="grant", dry_run=dry_run, as_json=as_json)
