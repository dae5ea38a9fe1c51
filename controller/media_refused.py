"""Why a sound was not taken, in a sentence an officer can act on: what, where, what to do. Vietnamese first."""

from typing import Final, Literal

Reason = Literal[
    "missing", "empty", "too_big", "not_audio", "no_audio", "damaged", "too_long", "too_short", "silent", "unreachable"
]
Failure = Literal["no_ffmpeg", "too_slow", "ffmpeg_failed", "disk_full", "library"]

_REFUSED: Final[dict[Reason, tuple[str, str]]] = {
    "missing": (
        "không có tệp này, hoặc không đọc được. Hãy chọn lại tệp.",
        "there is no such file, or it cannot be read. Choose the file again.",
    ),
    "empty": ("tệp rỗng (0 byte). Hãy chép lại tệp gốc.", "the file is empty (0 bytes). Copy the original again."),
    "too_big": (
        "tệp lớn hơn 500 MB. Hãy chia thành nhiều phần, hoặc lưu lại thành MP3.",
        "the file is larger than 500 MB. Split it, or save it as MP3.",
    ),
    "not_audio": (
        "đây không phải tệp âm thanh mà hệ thống đọc được. Hãy lưu lại thành MP3, WAV hoặc M4A.",
        "this is no sound file that can be read here. Save it as MP3, WAV or M4A.",
    ),
    "no_audio": (
        "tệp không có phần âm thanh. Hãy chọn tệp có tiếng.",
        "the file has no sound track. Choose a file with sound.",
    ),
    "damaged": (
        "tệp bị hỏng hoặc thiếu một phần. Hãy chép lại tệp gốc rồi thử lại.",
        "the file is damaged or cut short. Copy the original again and retry.",
    ),
    "too_long": ("âm thanh dài hơn 4 giờ. Hãy chia thành nhiều phần.", "the sound is longer than 4 hours. Split it."),
    "too_short": (
        "âm thanh ngắn hơn 0,4 giây nên không đo được độ lớn. Hãy dùng đoạn dài hơn.",
        "the sound is shorter than 0.4 s, too short to measure its loudness. Use a longer one.",
    ),
    "silent": (
        "tệp im lặng (dưới -60 LUFS). Hãy kiểm tra micrô hoặc thu lại.",
        "the file is silent (below -60 LUFS). Check the microphone, or record again.",
    ),
    "unreachable": (
        "âm thanh quá chênh lệch giữa chỗ to và chỗ nhỏ, không đưa về -16 LUFS được. Hãy thu lại đều tiếng hơn.",
        "its loud and soft parts are too far apart to reach -16 LUFS. Record it again more evenly.",
    ),
}
_FAILED: Final[dict[Failure, tuple[str, str]]] = {
    "no_ffmpeg": (
        "máy chủ chưa cài ffmpeg. Báo người quản trị: apt install ffmpeg.",
        "the server has no ffmpeg. Tell its operator: apt install ffmpeg.",
    ),
    "too_slow": (
        "máy chủ quá bận, chưa xử lý xong trong thời hạn. Hãy thử lại sau.",
        "the server was too busy to finish in time. Try again later.",
    ),
    "ffmpeg_failed": (
        "máy chủ không xử lý được tệp này. Báo người quản trị xem nhật ký.",
        "the server could not process it. Tell its operator to read the log.",
    ),
    "disk_full": (
        "ổ đĩa máy chủ đã đầy. Báo người quản trị dọn chỗ trống rồi thử lại.",
        "the server's disk is full. Tell its operator to make room, then try again.",
    ),
    "library": (
        "máy chủ không ghi được vào thư viện âm thanh. Báo người quản trị.",
        "the server cannot write to its library of sounds. Tell its operator.",
    ),
}


class MediaError(Exception):
    """A sound that did not come into the library. `str()` is English for the log, `vi` is for the page."""

    def __init__(self, reason: Reason | Failure, name: str, sentences: tuple[str, str], detail: str) -> None:
        self.reason = reason
        self.detail = detail[-2000:]
        self.vi = f"“{name}”: {sentences[0]}"
        super().__init__(f"`{name}`: {sentences[1]}")


class MediaRefused(MediaError):
    """The file's fault: nothing will change by trying again."""

    def __init__(self, reason: Reason, name: str, detail: str = "") -> None:
        super().__init__(reason, name, _REFUSED[reason], detail)


class MediaFailed(MediaError):
    """Ours or the machine's fault: the same file may pass later."""

    def __init__(self, reason: Failure, name: str, detail: str = "") -> None:
        super().__init__(reason, name, _FAILED[reason], detail)


class RangeUnsatisfiable(Exception):
    """The peer asked for bytes beyond the end (HTTP 416); `size_bytes` goes into `Content-Range: bytes */size`."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the medium has {size_bytes} bytes")
        self.size_bytes = size_bytes
