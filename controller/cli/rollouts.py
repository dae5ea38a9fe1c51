"""`loa rollout`: firmware to the fleet, in waves: planned, started, watched, paused, resumed, aborted."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from msgspec import Struct

from controller.actions.rollout_views import PlanView, RolloutView, RolloutWish
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.options import DEFAULT_STATE, JsonOption, StateOption, YesOption
from controller.cli.rollout_pictures import say_plan, say_status, status_rows, watch
from controller.core.rollout import Bounds
from provisioning.errors import InputRefused
from provisioning.terminal import ask, print_json, print_table, say

PATH: Final = "/v1/rollouts"
DAY_S: Final = 86_400
app = typer.Typer(
    no_args_is_help=True,
    help="Cập nhật phần mềm cho các cụm loa theo từng đợt / Firmware to the fleet, in waves.",
)

ReleaseArgument = Annotated[
    str, typer.Argument(help="Phiên bản hoặc mã băm của bản phát hành / The release's version or digest.")
]
NumberArgument = Annotated[int, typer.Argument(help="Số của đợt cập nhật, xem `loa rollout list` / The rollout's number.")]
ReasonOption = Annotated[str, typer.Option(help="Lý do / Why.")]
AreaOption = Annotated[str | None, typer.Option(help="Chỉ trong địa bàn này / Only in this area.")]
NodesOption = Annotated[list[str] | None, typer.Option("--node", help="Chỉ các cụm loa này / Only these nodes.")]
ModelOption = Annotated[str | None, typer.Option(help="Chỉ loại máy này / Only this kind of machine (`loa-node`).")]
RunsOption = Annotated[str | None, typer.Option(help="Chỉ máy đang chạy bản này / Only nodes that run this version.")]
CanaryOption = Annotated[list[str] | None, typer.Option("--canary", help="Cụm loa thử trước / A node that goes first.")]
CanariesOption = Annotated[int, typer.Option(min=1, help="Số cụm loa thử trước / How many go first.")]
WavesOption = Annotated[str, typer.Option(help="Các đợt, phần trăm cộng dồn / Waves, as rising percents of all.")]
FailuresOption = Annotated[int, typer.Option(min=1, help="Tự dừng ở số lần hỏng này / Pause at so many failures.")]
FailuresPercentOption = Annotated[int, typer.Option(min=1, max=100, help="hoặc ở phần trăm này của đợt / or at this share.")]
AtOnceOption = Annotated[int, typer.Option(min=1, help="Nhiều nhất bấy nhiêu máy cùng lúc / At most so many at once.")]
DaysOption = Annotated[int, typer.Option(min=1, max=365, help="Chờ máy vắng bấy nhiêu ngày / Wait so long for absent nodes.")]


class Bundled(Struct, frozen=True, kw_only=True):
    """What serve says of a bundle that it took."""

    sha256: str


def _wish(
    release: ReleaseArgument,
    *,
    area: AreaOption = None,
    node: NodesOption = None,
    model: ModelOption = None,
    runs: RunsOption = None,
    canary: CanaryOption = None,
    canaries: CanariesOption = 1,
    waves: WavesOption = "5,20,100",
    failures: FailuresOption = 2,
    failures_percent: FailuresPercentOption = 5,
    at_once: AtOnceOption = 100,
    days: DaysOption = 14,
) -> RolloutWish:
    """What is asked for, by plan and start alike. Raises InputRefused."""
    try:
        bounds = msgspec.convert(
            {
                "canaries": canaries,
                "waves_percent": [int(each) for each in waves.split(",")],
                "failures_max": failures,
                "failures_percent": failures_percent,
                "under_way_max": at_once,
                "deadline_s": days * DAY_S,
            },
            Bounds,
        )
    except ValueError as error:
        raise InputRefused(f"--waves {waves}: {error}") from error
    return RolloutWish(
        release=release,
        area=area,
        nodes=tuple(each.upper() for each in node or ()),
        model=model,
        runs=runs,
        canaries=tuple(each.upper() for each in canary or ()),
        bounds=bounds,
    )


def _wishing(act: Callable[..., None]) -> Callable[..., None]:
    """A command that takes the words of `_wish` before its own, so that no two commands differ in them."""
    words = inspect.signature(_wish).parameters
    own = [each for name, each in inspect.signature(act).parameters.items() if name != "wish"]

    @functools.wraps(act)
    def command(**given: Any) -> None:
        act(_wish(**{name: given.pop(name) for name in words}), **given)

    command.__signature__ = inspect.Signature([*words.values(), *own])  # type: ignore[attr-defined]  # Typer reads it
    command.__annotations__ = {each.name: each.annotation for each in (*words.values(), *own)}
    return command


@app.command("plan", epilog="loa rollout plan 2026.11.2 --area 52.24076")
@_wishing
def plan(wish: RolloutWish, *, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """Xem trước, không thay đổi gì / What would happen: who, in which wave, who not, what it costs. Changes nothing."""
    with Link(StateFolder(state).require().socket) as link:
        view = link.post(f"{PATH}/plan", wish, PlanView)
    if as_json:
        print_json(view)
    else:
        say_plan(view)


@app.command("start", epilog="loa rollout start 2026.11.2 --area 52.24076 --canary 4QX0Y7K2M8")
@_wishing
def start(wish: RolloutWish, *, yes: YesOption = False, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """Bắt đầu, sau khi cho xem kế hoạch và hỏi lại / Begin, after showing the plan and asking."""
    with Link(StateFolder(state).require().socket) as link:
        if not as_json:
            say_plan(link.post(f"{PATH}/plan", wish, PlanView))
        ask("Bắt đầu cập nhật? / Begin this rollout?", yes=yes)
        view = link.post(PATH, wish, RolloutView)
    if as_json:
        print_json(view)
        return
    say(f"Đợt cập nhật {view.id} đã bắt đầu / Rollout {view.id} has begun: `loa rollout status {view.id} --watch`", style="bold")


@app.command("status", epilog="loa rollout status 3 --watch")
def status(
    number: NumberArgument,
    *,
    follow: Annotated[bool, typer.Option("--watch", help="Theo dõi đến khi xong / Follow it until it is over.")] = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Tới đâu rồi, từng cụm loa một / How far it is, node by node."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        view = link.get(f"{PATH}/{number}", RolloutView)
        if as_json:
            print_json(view)
        elif follow:
            watch(lambda: link.get(f"{PATH}/{number}", RolloutView))
        else:
            say_status(view)


@app.command("list", epilog="loa rollout list")
def list_(*, as_json: JsonOption = False, state: StateOption = DEFAULT_STATE) -> None:
    """Mọi đợt cập nhật, mới nhất trước / Every rollout, newest first."""
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        views = link.get(PATH, list[RolloutView])
    if as_json:
        print_json(views)
        return
    print_table(
        ("số/no", "bản/version", "địa bàn/area", "tình trạng/state", "đợt/wave", "xong/done", "bắt đầu/begun"), status_rows(views)
    )


def _act(state: Path, number: int, act: str, reason: str, *, as_json: bool) -> None:
    folder = StateFolder(state).require()
    with Link(folder.socket) as link:
        view = link.post(f"{PATH}/{number}/{act}", {"reason": reason}, RolloutView)
    if as_json:
        print_json(view)
    else:
        say_status(view)


@app.command("pause", epilog="loa rollout pause 3 --reason 'chờ qua bão'")
def pause(
    number: NumberArgument, *, reason: ReasonOption = "", as_json: JsonOption = False, state: StateOption = DEFAULT_STATE
) -> None:
    """Tạm dừng: không giao thêm, máy đã nhận vẫn làm tiếp / Offer nothing new; who has it goes on."""
    _act(state, number, "pause", reason, as_json=as_json)


@app.command("resume", epilog="loa rollout resume 3")
def resume(
    number: NumberArgument, *, reason: ReasonOption = "", as_json: JsonOption = False, state: StateOption = DEFAULT_STATE
) -> None:
    """Tiếp tục, chấp nhận các máy hỏng đến nay / Go on; the failures so far are known and count no more."""
    _act(state, number, "resume", reason, as_json=as_json)


@app.command("abort", epilog="loa rollout abort 3 --reason 'mất tiếng'")
def abort(
    number: NumberArgument,
    *,
    reason: ReasonOption = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Bỏ hẳn: thu lại ở máy chưa cài, máy đang cài thì làm cho xong / End it: offers not begun are taken back."""
    ask(f"Bỏ đợt cập nhật {number}? / Abort rollout {number}?", yes=yes)
    _act(state, number, "abort", reason, as_json=as_json)


@app.command("bundle", epilog="loa rollout bundle loa-node-2026.11.2.raucb")
def bundle(
    file: Annotated[Path, typer.Argument(help="Tệp phần mềm / The bundle that a release names.")],
    *,
    as_json: JsonOption = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Đưa tệp phần mềm vào kho để cụm loa tải / Bring a bundle into the library, where nodes fetch it."""
    folder = StateFolder(state).require()
    with Link(folder.socket, wait_s=600) as link:
        taken = link.post("/v1/bundles", {"path": str(file.absolute())}, Bundled)
    if as_json:
        print_json(taken)
    else:
        say(f"{file.name}: {taken.sha256}")
