"""The sentences of findings, in Vietnamese and English: code -> (vi, en). Placeholders are the same in both. Pure."""

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

HERE: Final = ZoneInfo("Asia/Ho_Chi_Minh")
Said = tuple[str, str]
"""The same in Vietnamese and in English."""

SENTENCES: Final[dict[str, Said]] = {
    # --- what a timetable shows ---
    "late": (
        "«{a}» hẹn lúc {at} phải chờ «{b}», đến {begins} mới phát.",
        "“{a}” of {at} waits for “{b}” and begins at {begins}.",
    ),
    "waits-out": (
        "«{a}» hẹn lúc {at} bị bỏ qua: đã chờ «{b}» quá {grace}.",
        "“{a}” of {at} is skipped: it would wait for “{b}” longer than its {grace}.",
    ),
    "self-overlap": (
        "«{a}» dài {length}, chưa hết thì đã tới lần sau của chính nó lúc {at}.",
        "“{a}” lasts {length} and still sounds when its own next time comes at {at}.",
    ),
    "interrupted": (
        "«{b}» ({b_class}) ngắt «{a}» ({a_class}) lúc {ends}; sau đó «{a}» {then_vi}.",
        "“{b}” ({b_class_en}) interrupts “{a}” ({a_class_en}) at {ends}; after that “{a}” {then_en}.",
    ),
    "quiet": (
        "«{a}» hẹn lúc {at} không phát: ngoài giờ hoạt động của đài.",
        "“{a}” of {at} does not sound: it lies outside the station's hours.",
    ),
    "no-rules": (
        "Chưa có quy định giờ hoạt động (station): không bản tin nào phát.",
        "There are no operating rules (station): no bulletin sounds.",
    ),
    "maintenance": (
        "«{a}» hẹn lúc {at} không phát: {why_vi}.",
        "“{a}” of {at} does not sound: {why}.",
    ),
    "sessions": (
        "«{a}» hẹn lúc {at} không phát: {why_vi}.",
        "“{a}” of {at} does not sound: {why}.",
    ),
    "mute": (
        "«{a}» hẹn lúc {at} không phát ở đây: {why_vi}.",
        "“{a}” of {at} does not sound here: {why}.",
    ),
    "half-inside": (
        "«{a}» hẹn lúc {at} không phát: {why_vi}.",
        "“{a}” of {at} does not sound: {why}.",
    ),
    "cut": (
        "«{a}» hẹn lúc {at} bị cắt lúc {ends} vì {limit_vi}, còn {missing} chưa phát.",
        "“{a}” of {at} is cut at {ends} because {limit_en}, with {missing} unheard.",
    ),
    "too-long": (
        "«{a}» dài {length}, dài hơn một buổi phát của đài ({session} phút).",
        "“{a}” lasts {length}, longer than a session of the station ({session} min).",
    ),
    "media": (
        "Thư viện không có tệp {digest}… của «{a}»: thêm bằng «loa media add» trước đã.",
        "The library has no file {digest}… of “{a}”: add it with `loa media add` first.",
    ),
    "early": (
        "Âm thanh đầu tiên {day_vi} lúc {clock} («{a}»): có đúng ý không?",
        "The first sound {day_en} is at {clock} (“{a}”): is that meant?",
    ),
    "silent-days": ("Không có bản tin nào trong ngày {days}.", "There is no bulletin on {days}."),
    "ends": (
        "Chương trình của {authority} cho {subject} hết hiệu lực lúc {at}: sau đó không còn bản tin nào của nó.",
        "The programme of {authority} for {subject} ends at {at}: nothing of it sounds after that.",
    ),
    "grant-ends": (
        "Quyền của {authority} hết hạn lúc {at}: sau đó chương trình của {authority} cho {subject} không phát nữa.",
        "The grant of {authority} ends at {at}: after that its programme for {subject} sounds no more.",
    ),
    "unreadable": (
        "Không đọc được quy tắc giờ của chương trình {authority} cho {subject}: nó không phát.",
        "The rules of the programme of {authority} for {subject} cannot be read: it does not sound.",
    ),
    "no-nodes": ("Ở {subject} chưa có cụm loa nào.", "No cluster stands in {subject} yet."),
    # --- what is refused at publishing ---
    "area": (
        "Khu vực {subject} (số {number}) không có trong danh mục: xem «loa area list».",
        "Area {subject} (number {number}) is not in the controller's tree: see `loa area list`.",
    ),
    "ends-before": (
        "Chương trình hết hiệu lực ({until}) trước khi bắt đầu ({at}): sửa valid_until.",
        "The programme ends ({until}) before it begins ({at}): correct valid_until.",
    ),
    "until-before": (
        "«{a}» hết lịch (UNTIL {until}) trước ngày đầu tiên ({at}) nên không bao giờ phát: sửa UNTIL.",
        "“{a}” ends (UNTIL {until}) before its first day ({at}) and would never sound: correct UNTIL.",
    ),
    "excepted": (
        "«{a}» không còn lần phát nào: mọi lần đều nằm trong các ngày trừ ra (not_on).",
        "“{a}” has no time left: every one of them is excepted (not_on).",
    ),
    "never": (
        "«{a}» không phát lần nào từ {at} đến {until} theo quy tắc {rule}.",
        "“{a}” never sounds between {at} and {until} by its rule {rule}.",
    ),
    "too-often": (
        "Ngày {day} chương trình có hơn {most} lần phát: bớt bản tin hoặc bớt giờ.",
        "On {day} the programme has more than {most} plays: drop bulletins or times.",
    ),
    "language": (
        "«{a}» ghi ngôn ngữ lạ «{lang}»: chọn một trong {known}.",
        "“{a}” names an unknown language {lang!r}: choose one of {known}.",
    ),
    "order": (
        "Thứ tự (order) nêu bản tin «{item}» của {authority}, nhưng không có bản tin nào như thế.",
        "The order names item {item!r} of {authority}, but nobody has such a bulletin.",
    ),
}
CLASSES: Final[dict[str, Said]] = {
    "normal": ("thông thường", "normal"),
    "priority": ("ưu tiên", "priority"),
    "emergency": ("khẩn cấp", "emergency"),
}
THEN: Final[dict[str, Said]] = {
    "restart": ("phát lại từ đầu nếu còn kịp", "begins again if there is still time"),
    "resume": ("phát tiếp nếu còn kịp", "goes on if there is still time"),
    "drop": ("không phát nữa", "is not heard again"),
}


def local(at_ms: int) -> datetime:
    """An instant as people here read it."""
    return datetime.fromtimestamp(at_ms / 1000, HERE)


def stamp(at_ms: int) -> str:
    """Time and date, as 03:15 05/12/2025."""
    return f"{clock(at_ms)} {local(at_ms):%d/%m/%Y}"


def clock(at_ms: int) -> str:
    """The time of day, as 03:15, or 03:15:20 when it is not a whole minute."""
    at = local(at_ms)
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def written(day: date) -> str:
    """A date, as 05/12/2025."""
    return f"{day:%d/%m/%Y}"


def day_words(day: date, today: date) -> Said:
    """A day as people name it."""
    ahead = (day - today).days
    if ahead in (0, 1):
        return (("hôm nay", "today"), ("ngày mai", "tomorrow"))[ahead]
    return f"ngày {written(day)}", f"on {written(day)}"


def duration(length_ms: int) -> str:
    """A length as minutes and seconds, as 12:30 (both languages read it)."""
    whole_s = -(-length_ms // 1_000)
    return f"{whole_s // 60}:{whole_s % 60:02d}"


def sentences(code: str, **words: object) -> Said:
    """Both sentences of a finding. A missing key is our bug (KeyError)."""
    vi, en = SENTENCES[code]
    return vi.format(**words), en.format(**words)
