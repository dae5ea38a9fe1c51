"""`loa emergency`: start, stop, lift and watch. With serve when it answers within a second, else straight to the broker."""

import secrets
import unicodedata
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import structs

from controller.cli import orders, relaying, resealing, watching
from controller.cli.folder import StateFolder
from controller.cli.options import (
    DEFAULT_STATE,
    AuthorityOption,
    JsonOption,
    KeyOption,
    SecretOption,
    StateOption,
    YesOption,
)
from controller.cli.orders import End, Plan, Target, Words
from controller.cli.sealing import open_hands
from protocol.orders import ExerciseStart, ExerciseStop, Lift, Start, Stop, Text
from provisioning.errors import InputRefused
from provisioning.terminal import ask, print_json, say, warn

EXAMPLE: Final = """loa emergency start --area 52.24076.001 --text-vi 'Nước lên nhanh, bà con lên nhà văn hóa.' --risk 4 \
--body 'UBND xã Phú Túc' --key chu-tich.key"""
DEFAULT_BODY: Final = "Ủy ban nhân dân"
app = typer.Typer(no_args_is_help=True, help="Emergencies and exercises (khẩn cấp, diễn tập): start, stop, lift, watch.")

AreaOption = Annotated[list[str], typer.Option("--area", help="Settlement, commune or node (repeat for several).")]
SomeAreaOption = Annotated[list[str] | None, typer.Option("--area", help="Where; else where the incident was started.")]
IncidentOption = Annotated[str | None, typer.Option(help="The incident; without one everything in the area.")]
ReasonOption = Annotated[str, typer.Option(help="Why; it is kept in the log.")]
ExerciseOption = Annotated[bool, typer.Option("--exercise", help="An exercise (diễn tập), announced as one.")]


def _texts(vietnamese: str | None, others: list[str]) -> tuple[Text, ...]:
    spoken = [] if vietnamese is None else [("vi", vietnamese)]
    for entry in others:
        lang, sign, words = entry.partition("=")
        if not sign or not words.strip():
            raise InputRefused(f"--text {entry!r}: write LANGUAGE=words, as in --text jra='...'")
        spoken.append((lang, words))
    if any(not words.strip() for _lang, words in spoken):
        raise InputRefused("the text is empty: write what shall be said")
    return tuple(Text(lang=lang, text=unicodedata.normalize("NFC", words.strip())) for lang, words in spoken)


@app.command("start", epilog=EXAMPLE)
def start(
    *,
    area: AreaOption,
    key: Annotated[list[Path] | None, typer.Option("--key", help="A signer's key file (repeat for several persons).")] = None,
    service: Annotated[
        bool, typer.Option("--service", help="A relay: recordings that the grant lists, sealed by the signer.")
    ] = False,
    text_vi: Annotated[str | None, typer.Option(help="What is said in Vietnamese.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="Another language: LANGUAGE=words (repeat).")] = None,
    clip: Annotated[list[str] | None, typer.Option(help="A recording: title or digest in the library, or LANG=title.")] = None,
    risk: Annotated[int, typer.Option(min=0, max=5, help="Risk level 0-5 (cấp độ rủi ro).")] = 3,
    body: Annotated[str, typer.Option(help="The issuing body, said as the call sign.")] = DEFAULT_BODY,
    source_doc: Annotated[str, typer.Option(help="Number of the paper it rests on.")] = "",
    repeats: Annotated[int, typer.Option(min=1, max=100)] = 3,
    sound_max_s: Annotated[int, typer.Option(min=1, max=21_600)] = 600,
    accept_s: Annotated[int, typer.Option(min=10, max=21_600, help="How long nodes that come back still take it.")] = 600,
    incident: Annotated[str | None, typer.Option(help="Update this incident instead of opening one.")] = None,
    exercise: ExerciseOption = False,
    authority: AuthorityOption = None,
    passphrase_file: SecretOption = None,
    yes: YesOption = False,
    watch: Annotated[bool, typer.Option("--watch", help="Then watch the nodes.")] = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Start an emergency, or an exercise. It asks once before it sounds."""
    folder = StateFolder(state).require()
    words = Words(
        text=_texts(text_vi, text or []),
        clips=tuple(clip or ()),
        risk=risk,
        issuing_body=unicodedata.normalize("NFC", body),
        source_doc=unicodedata.normalize("NFC", source_doc),
        repeats=repeats,
        sound_max_s=sound_max_s,
        accept_s=accept_s,
        exercise=exercise,
        incident=orders.check_incident(incident) if incident else secrets.token_hex(8),
    )
    if not words.text and not words.clips:
        raise InputRefused("nothing would be said: give --text-vi '...', --text LANGUAGE='...' or --clip")
    if service:
        relaying.relay(folder, tuple(area), words, as_json=as_json)
        return
    if not key:
        raise InputRefused("name your key with --key, or --service for a recording that the commune's grant lists")
    hands = open_hands(key, passphrase_file)
    plan = orders.plan(folder, tuple(area), "exercise" if exercise else "emergency", hands, authority)
    kind = "EXERCISE (diễn tập)" if exercise else "EMERGENCY (khẩn cấp)"
    if not as_json:
        orders.show_plan(plan, kind, words)
    ask(f"Start this {kind}?", yes=yes)
    shape = ExerciseStart if exercise else Start

    def payload(target: Target, now: Plan) -> Start | ExerciseStart:
        return orders.start_payload(shape, words, target, now)

    sent = orders.send(folder, plan, hands, payload)
    sent = structs.replace(sent, left_out=orders.left_out(words, plan))
    _tell(sent, plan, as_json=as_json, done="started")
    if watch and sent.via == "serve":
        watching.watch(folder, words.incident, as_json=as_json)


@app.command("stop", epilog="loa emergency stop --incident 00c1d2e3f4a5b6c7 --key chu-tich.key")
def stop(
    *,
    key: KeyOption,
    incident: IncidentOption = None,
    area: SomeAreaOption = None,
    reason: ReasonOption = "",
    exercise: ExerciseOption = False,
    authority: AuthorityOption = None,
    passphrase_file: SecretOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Stop an incident, or everything in an area; what is stopped stays stopped until lifted."""
    shape = ExerciseStop if exercise else Stop
    _end(shape, key, (incident, area, reason, authority), passphrase_file, yes=yes, as_json=as_json, state=state)


@app.command("lift", epilog="loa emergency lift --area 52.24076 --key chu-tich.key")
def lift(
    *,
    key: KeyOption,
    incident: IncidentOption = None,
    area: SomeAreaOption = None,
    reason: ReasonOption = "",
    authority: AuthorityOption = None,
    passphrase_file: SecretOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """End the silence that a stop left behind."""
    _end(Lift, key, (incident, area, reason, authority), passphrase_file, yes=yes, as_json=as_json, state=state)


def _end(
    shape: type[End],
    key: list[str],
    what: tuple[str | None, list[str] | None, str, str | None],
    secret_file: Path | None,
    *,
    yes: bool,
    as_json: bool,
    state: Path,
) -> None:
    incident, area, reason, authority = what
    folder = StateFolder(state).require()
    if incident is None and not area:
        raise InputRefused("say what ends: --incident ID, or --area AREA for everything there")
    if incident is not None:
        orders.check_incident(incident)
    areas = tuple(area or ()) or orders.areas_of(folder, str(incident))
    hands = open_hands(key, secret_file)
    power = "exercise" if shape is ExerciseStop else "stop"
    plan = orders.plan(folder, areas, power, hands, authority)
    names = ", ".join(target.area for target in plan.targets)
    if shape is Lift:
        ask(f"Lift the silence in {names}?", yes=yes)
    said = unicodedata.normalize("NFC", reason)

    def payload(target: Target, now: Plan) -> End:
        return shape(**orders.common(target, now, shape), incident=incident, reason=said)

    sent = orders.send(folder, plan, hands, payload)
    _tell(sent, plan, as_json=as_json, done="lifted" if shape is Lift else "stopped")


def _tell(sent: orders.Sent, plan: orders.Plan, *, as_json: bool, done: str) -> None:
    for sentence in sent.unknown:
        warn(sentence, style="bold yellow")
    if sent.left_out:
        warn(orders.without(sent.left_out), style="bold red")
    if as_json:
        print_json(sent)
        return
    areas = ", ".join(target.area for target in plan.targets)
    say(f"Order {done}: incident {sent.incident or 'all'} in {areas}, sent through {sent.via}.", style="bold")
    if sent.via == "serve" and sent.incident:
        say(f"Follow it: loa emergency watch {sent.incident}")


@app.command("reseal", epilog="loa emergency reseal 00c1d2e3f4a5b6c7 --key chu-tich.key")
def reseal(
    incident: Annotated[str, typer.Argument(help="The incident.")],
    *,
    key: KeyOption,
    passphrase_file: SecretOption = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Seal an incident again for nodes without a clock, which gave a nonce to be answered."""
    folder = StateFolder(state).require()
    sent = resealing.reseal(folder, orders.check_incident(incident), open_hands(key, passphrase_file))
    if as_json:
        print_json(sent)
        return
    say(f"Sealed again: incident {sent.incident}, {len(sent.seqs)} orders.", style="bold")


@app.command("list", epilog="loa emergency list")
def list_(*, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """Every incident, newest first."""
    folder = StateFolder(state).require()
    watching.show_all(folder, as_json=as_json)


@app.command("watch", epilog="loa emergency watch 00c1d2e3f4a5b6c7")
def watch(
    incident: Annotated[str | None, typer.Argument(help="The incident; else the newest.")] = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    for_s: Annotated[float | None, typer.Option("--for", help="End after this many seconds.")] = None,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """One row a node, live: sent, received, sounding, ended."""
    folder = StateFolder(state).require()
    watching.watch(folder, incident, once=once, for_s=for_s, as_json=as_json)
