"""`loa-provision recover`: what a node last said, from a card that was pulled out of its pole. Nothing on the card is changed."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from provisioning.memory import HeldDocument, HeldOrder, Kept, Play, find_folder, read_kept
from provisioning.pulled import taken_out
from provisioning.showing import SHORT, moment
from provisioning.terminal import print_json, print_lines, print_table, say, warn

EPILOG: Final = "loa-provision recover /dev/sdb"
ENDINGS: Final = {
    "played": "phát xong / played",
    "cut": "đứt vì mất điện / cut",
    "interrupted": "bị ngắt / interrupted",
    "stopped": "bị dừng / stopped",
    "failed": "không phát được / failed",
    "skipped": "bỏ qua / skipped",
    "max": "hết giờ cho phép / at its limit",
}
STATES: Final = {
    "accepted": "đã nhận, chưa kêu / accepted",
    "sounding": "đang kêu / sounding",
    "ended": "xong / ended",
    "stopped": "đã dừng / stopped",
}
UNKNOWN: Final = "không rõ / unknown"
ROWS: Final = 10
PLAY_COLUMNS: Final = ("số / no", "lúc / at", "gì / what", "nơi / area", "ra sao / ending", "dB", "giờ / clock", "đã báo / told")
ORDER_COLUMNS: Final = ("nhận lúc / taken", "incident", "loại / kind", "nơi / area", "ai / authority", "ra sao / state", "lời")
HELD_COLUMNS: Final = ("loại / kind", "của / subject", "ai / authority", "ký lúc / signed", "digest", "")


def recover_command(
    path: Annotated[Path, typer.Argument(metavar="DIR|IMAGE", help="A node's data folder, or an unmounted card or its image.")],
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")] = False,
) -> None:
    """Say who the node is, how often it started, what it played, was told and holds, and what it knew of time."""
    kept = _kept(path)
    if as_json:
        print_json(kept)
        return
    print_lines(_head(kept))
    _section("Lần phát cuối / last plays", PLAY_COLUMNS, [_play(each) for each in kept.plays[:ROWS]])
    _section("Không phát / skipped or failed", PLAY_COLUMNS, [_play(each) for each in kept.refusals[:ROWS]])
    _section("Lệnh cuối / last orders", ORDER_COLUMNS, [_order(each) for each in kept.orders[:ROWS]])
    stops = [(_moment(each.seq), each.op, each.incident or "-", each.area, each.authority) for each in kept.stops[:ROWS]]
    _section("Dừng, gỡ / stops and lifts", ("ký lúc / signed", "op", "incident", "nơi / area", "ai / authority"), stops)
    _section("Đang giữ / it holds", HELD_COLUMNS, [_held(each) for each in kept.documents])
    for trouble in kept.troubles:
        warn(trouble)
    say("Không có gì trên thẻ bị đổi; chữ ký chưa được kiểm. / Nothing on the card was changed; no signature was checked.")


def _kept(path: Path) -> Kept:
    if path.is_dir() or not path.exists():
        return read_kept(find_folder(path))
    with taken_out(path) as (folder, troubles):
        kept = read_kept(find_folder(folder))
    return msgspec.structs.replace(kept, folder=str(path), troubles=(*troubles, *kept.troubles))


def _head(kept: Kept) -> Iterable[tuple[str, str]]:
    newest = kept.plays[0].record if kept.plays else None
    unsent = kept.last_record_id - kept.acknowledged_record_id
    yield "cụm loa / node", kept.node or UNKNOWN
    yield "số lần bật / starts", str(kept.boot_count)
    yield "trạng thái / state", _state(kept)
    yield "giờ chắc chắn đã qua / time is past", moment(kept.floor_ms) if kept.floor_ms else UNKNOWN
    if kept.rtc_good_ms is not None and kept.rtc_good_ms > 0:
        yield "đồng hồ đúng lần cuối / clock last good", moment(kept.rtc_good_ms)
    if newest is not None:
        off = "" if newest.clock_error_ms is None else f", ± {newest.clock_error_ms} ms"
        yield "đồng hồ ở lần phát cuối / clock then", f"{newest.clock_state}{off}"
    yield "nhật ký / records", f"{kept.last_record_id}; {unsent} chưa báo về / not yet told"
    yield "tệp âm thanh / media", f"{kept.media_files}, {kept.media_bytes / 1e6:.1f} MB"
    if kept.content_month:
        yield (
            "qua mạng / over the link",
            f"{kept.content_bytes / 1e6:.1f} MB ({kept.content_month})",
        )


def _state(kept: Kept) -> str:
    if kept.placed or any(each.kind == "placement" for each in kept.documents):
        return "đã có vị trí được ký / placed"
    return "chờ duyệt / pending" if kept.enrolled else "chưa có chứng chỉ / no certificate"


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        print_table(columns, rows, title=title)
    else:
        say(f"{title}: không có / none")


def _moment(at_ms: int) -> str:
    return moment(at_ms) if at_ms else UNKNOWN


def _play(play: Play) -> tuple[str, ...]:
    record = play.record
    ending = "đang kêu lúc mất điện / sounding when the power went" if play.was_open else ENDINGS[record.ending]
    return (
        str(record.record_id),
        _moment(record.started_ms or record.planned_ms),
        record.incident or record.item,
        record.area,
        f"{ending}: {record.reason}" if record.reason else ending,
        "-" if record.rms_cdb is None else f"{record.rms_cdb / 100:.1f}",
        record.clock_state,
        "có / yes" if play.acknowledged else "chưa / no",
    )


def _order(order: HeldOrder) -> tuple[str, ...]:
    state = STATES.get(order.state, order.state)
    return (_moment(order.accepted_ms), order.incident or "-", order.kind, order.area, order.authority, state, order.words)


def _held(held: HeldDocument) -> tuple[str, ...]:
    waits = "chờ tệp / waits for media" if held.pending else ""
    return (held.kind, held.subject, held.authority, _moment(held.seq), held.digest[:SHORT], waits)
