"""How well a node is, and why: judged by the reader out of what the node last said and how long ago. Pure."""

from typing import Final

from msgspec import Struct

from controller.actions.views import NodeView, Presence, Reason
from controller.core.world import NodeKnown, World
from protocol.reader import Clock
from protocol.reports import NetworkState, UpdateState

OFFSET_NOTICE_MS: Final = 2_000
"""A clock that is further off than this shows; below it may be the way of the message."""


class NodeState(Struct, frozen=True, kw_only=True):
    """What a node last said of itself. `holds` are digests."""

    id: str
    online: str
    birth: int
    last_heard_ms: int | None
    boot_count: int
    nonce: str | None
    previous_nonce: str | None
    clock_state: str
    clock_error_ms: int | None
    device_at_ms: int | None
    heard_at_ms: int | None
    holds: tuple[str, ...]
    troubles: tuple[str, ...]
    version: str
    missing_media: int
    amnesia: bool
    record_epoch: int
    records_first: int
    records_upto: int
    doubt: str = ""
    doubt_why: str = ""
    doubt_ms: int | None = None
    model: str = ""
    update: UpdateState | None = None
    network: NetworkState | None = None


_SAID: Final[dict[str, tuple[int, str, str]]] = {
    "lost": (3, "Mất kết nối", "Connection lost"),
    "unknown": (3, "Chưa rõ: chưa nghe thấy từ khi máy chủ nối lại", "Unknown: not heard since the controller reconnected"),
    "never": (3, "Chưa bao giờ kết nối", "Has never connected"),
    "not-placed": (2, "Chưa có vị trí được ký: cụm loa không nhận lệnh", "No signed placement: the node obeys nobody"),
    "clock-unknown": (2, "Đồng hồ chưa tin được: không phát theo giờ", "Clock not trusted: nothing timed will play"),
    "clock-holdover": (1, "Đồng hồ đang tự chạy, chưa đồng bộ lại", "Clock in holdover, not synchronised again yet"),
    "clock-attested": (1, "Giờ mới được xác nhận tạm: chưa phát theo lịch", "Time attested only: nothing timed will play"),
    "clock-offset": (1, "Đồng hồ lệch {} giây", "Clock is off by {} s"),
    "identity-doubled": (
        2,
        "Hai thiết bị dùng chung danh tính này (thẻ nhớ bị sao chép?): {}",
        "Two devices hold this identity (was the card copied?): {}",
    ),
    "identity-restored": (
        2,
        "Thẻ nhớ đã quay về bản cũ (khôi phục hoặc sao chép?): {}",
        "The card went back to an older state (restored or copied?): {}",
    ),
    "suspended": (1, "Khóa đang bị tạm ngưng: {}", "Keys suspended: {}"),
    "amnesia": (2, "Mất bộ nhớ: dữ liệu trên cụm loa đã làm lại", "Memory lost: the node's data were made anew"),
    "lagging": (2, "Chưa có bản mới: {}", "Does not hold the current: {}"),
    "missing-media": (2, "Thiếu {} tệp âm thanh", "{} sound files are missing"),
    "refused": (1, "Đã từ chối {} lần", "Refused {} times"),
    "trouble": (2, "Sự cố: {}", "Trouble: {}"),
}
_TROUBLES: Final[dict[str, tuple[str, str]]] = {
    "broker-failed": ("phần nối mạng phải khởi động lại", "the link's driver had to be restarted"),
    "clock-failed": ("phần đọc đồng hồ phải khởi động lại", "the clock's driver had to be restarted"),
    "data-budget": ("đã dùng hết dung lượng SIM của tháng cho nội dung", "the SIM's data for content is used up for this month"),
    "enrol-failed": ("không xin hay gia hạn được chứng chỉ", "it cannot ask for or renew its certificate"),
    "disk-low": ("thẻ nhớ sắp đầy", "the card is nearly full"),
    "slots-failed": (
        "phần cập nhật (hai khe hệ điều hành) không trả lời",
        "the part that installs updates (two slots) does not answer",
    ),
    "fetcher-failed": ("phần tải tệp phải khởi động lại", "the fetcher had to be restarted"),
    "hot": ("máy quá nóng", "the computer is too hot"),
    "machine-failed": ("không đọc được tình trạng máy", "the machine's figures cannot be read"),
    "media-failed": ("chưa tải được tệp âm thanh", "a sound file could not be fetched yet"),
    "memory-unreadable": ("một phần bộ nhớ không đọc được", "part of its memory cannot be read"),
    "stick-failed": ("phần đọc thẻ USB phải khởi động lại", "the reader of USB sticks had to be restarted"),
    "network-returned": (
        "địa chỉ mới không tới được máy chủ, đã tự quay về đường cũ",
        "the new addresses did not reach the controller: it went back by itself",
    ),
    "player-lost": ("bộ phát âm thanh bị treo, đang thay", "the player hung or died and is being replaced"),
    "programme-unreadable": ("không hiểu được một quy tắc giờ phát", "a rule of the programme cannot be read"),
    "silent": ("lần phát vừa rồi không có tiếng", "the last play was silent"),
    "storage-failed": ("không ghi được vào thẻ nhớ", "the card cannot be written"),
    "storage-full": (
        "nội dung cần phát lớn hơn dung lượng dành cho nó",
        "the content needed is larger than the card's quota for it",
    ),
}
"""What a node says is wrong, in words; one that is not here is shown as it came."""


def _reason(code: str, value: str = "") -> Reason:
    severity, vi, en = _SAID[code]
    return Reason(code=code, severity=severity, vi=vi.format(value), en=en.format(value))


def _trouble(name: str) -> Reason:
    severity, vi, en = _SAID["trouble"]
    said_vi, said_en = _TROUBLES.get(name, (name, name))
    return Reason(code="trouble", severity=severity, vi=vi.format(said_vi), en=en.format(said_en))


def reasons_of(
    node: NodeKnown, state: NodeState, lagging: tuple[str, ...], refused: int, suspended: tuple[str, ...] = ()
) -> tuple[Reason, ...]:
    """Everything that is not well with a node, worst first."""
    found = [] if state.online == "online" else [_reason(state.online)]
    if node.chain is None:
        found.append(_reason("not-placed"))
    if state.online != "never":
        found.extend(_of_what_it_said(state, lagging))
    if refused:
        found.append(_reason("refused", str(refused)))
    if suspended:
        found.append(_reason("suspended", ", ".join(suspended)))
    return tuple(sorted(found, key=lambda reason: -reason.severity))


def _of_what_it_said(state: NodeState, lagging: tuple[str, ...]) -> list[Reason]:
    found = [_reason(f"clock-{state.clock_state}")] if state.clock_state != "good" else []
    offset_ms = offset_of(state)
    if offset_ms is not None and abs(offset_ms) > OFFSET_NOTICE_MS:
        found.append(_reason("clock-offset", f"{offset_ms / 1000:+.0f}"))
    if state.doubt:
        found.append(_reason(state.doubt, state.doubt_why))
    if state.amnesia:
        found.append(_reason("amnesia"))
    if lagging:
        found.append(_reason("lagging", ", ".join(lagging)))
    if state.missing_media:
        found.append(_reason("missing-media", str(state.missing_media)))
    found.extend(_trouble(name) for name in state.troubles if name not in _SAID)
    return found


def offset_of(state: NodeState) -> int | None:
    """How far the node's clock was ahead of ours when it last spoke (the way of the message included)."""
    if state.device_at_ms is None or state.heard_at_ms is None:
        return None
    return state.device_at_ms - state.heard_at_ms


def lagging_of(world: World, state: NodeState, now_ms: int) -> tuple[str, ...]:
    """The kinds and subjects of documents that the node should hold and did not name."""
    lacking = [held.document for held in world.due(state.id, now_ms) if held.digest not in state.holds]
    late = [held.what.area for held in world.suspends_due(state.id, now_ms) if held.digest not in state.holds]
    return (*(f"{document.kind} {document.subject}" for document in lacking), *(f"suspend {area}" for area in late))


def suspended_on(world: World, node: str, now_ms: int) -> tuple[str, ...]:
    """Whose keys do not count on a node now, and in which area."""
    found = []
    for held in world.suspends_due(node, now_ms):
        trust = world.trust.standing_in(world.chain_of(node))
        if not held.what.lifts and held.what.key_id in trust.suspended(held.what.area, Clock(now_ms, "good")):
            person = world.persons_of(held.what.area).get(held.what.key_id, held.what.key_id[:16])
            found.append(f"{person} ({held.what.area})")
    return tuple(dict.fromkeys(found))


def view_of(world: World, state: NodeState, *, sounding: str | None, refused: int, now_ms: int) -> NodeView:
    """A node as people see it."""
    node = world.nodes[state.id]
    lagging = lagging_of(world, state, now_ms)
    suspended = suspended_on(world, state.id, now_ms)
    reasons = reasons_of(node, state, lagging, refused, suspended)
    commune = world.commune_of(node.settlement) or ""
    online: Presence = "unknown"
    match state.online:
        case "online" | "lost" | "never":
            online = state.online
        case _:
            pass
    return NodeView(
        id=node.id,
        area_no=node.area_no,
        name=node.name,
        settlement=node.settlement,
        settlement_name=world.name_of(node.settlement),
        commune=commune,
        commune_name=world.name_of(commune),
        chain=tuple(link.area for link in world.chain_of(node.id)),
        placed=node.chain is not None,
        severity=max((reason.severity for reason in reasons), default=0),
        reasons=reasons,
        online=online,
        last_heard_ms=state.last_heard_ms,
        device_at_ms=state.device_at_ms,
        heard_at_ms=state.heard_at_ms,
        clock_state=state.clock_state,
        clock_error_ms=state.clock_error_ms,
        clock_offset_ms=offset_of(state),
        version=state.version,
        boot_count=state.boot_count,
        holds_current=not lagging and node.chain is not None,
        lagging=lagging,
        missing_media=state.missing_media,
        network=state.network,
        amnesia=state.amnesia,
        sounding=sounding,
        refused=refused,
        records_upto=state.records_upto,
        retired=node.retired,
        suspended=suspended,
        doubt_ms=state.doubt_ms,
    )
