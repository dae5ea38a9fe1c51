"""Words for plan against plays, Vietnamese first: outcomes and reasons. Pure."""

from typing import Final

from controller.core.node_words import in_vietnamese

Words = tuple[str, str]

OUTCOMES: Final[dict[str, Words]] = {
    "missing": ("Không phát, không rõ lý do", "Not played, nobody knows why"),
    "silent": ("Phát mà không ra tiếng", "Played without sound"),
    "failed": ("Hỏng, không phát được", "Failed"),
    "unknown": ("Chưa rõ", "Not known"),
    "cut": ("Bị cắt giữa chừng", "Cut short"),
    "outdated": ("Không phát: cụm loa còn giữ bản cũ", "Not played: an older programme was held"),
    "interrupted": ("Nhường cho bản tin gấp hơn", "Gave way to something more urgent"),
    "stopped": ("Bị dừng", "Stopped"),
    "skipped": ("Bỏ qua", "Skipped"),
    "late": ("Phát trễ", "Played late"),
    "played": ("Phát đủ", "Played"),
    "pending": ("Chưa tới hạn", "Not over yet"),
}
WHYS: Final[dict[str, Words]] = {
    "": ("", ""),
    "dark": ("mất liên lạc với cụm loa, từ đó chưa nghe lại", "no connection, not heard from since"),
    "records-awaited": ("nhật ký của cụm loa chưa về đủ", "its records have not all arrived"),
    "memory-lost": ("cụm loa mất bộ nhớ, nhật ký khi đó không còn", "its memory was lost, and the records of that time"),
    "restarted": ("cụm loa có khởi động lại trong khoảng đó (có thể mất điện)", "it restarted meanwhile (perhaps no power)"),
}
EXTRA_WHYS: Final[dict[str, Words]] = {
    "older-version": ("cụm loa còn giữ chương trình cũ", "the node still held an older programme"),
    "version-came-later": (
        "chương trình mới tới sau giờ hẹn, còn kịp phát bù",
        "the programme came after its time, within its grace",
    ),
    "other-place": ("chương trình của nơi cụm loa không còn đứng", "a programme of where the node stands no longer"),
    "not-planned": ("không chương trình nào hẹn giờ này", "no programme planned this"),
    "unknown-document": ("máy chủ không biết chương trình này", "the controller does not know this programme"),
}
CLOCKS: Final[dict[str, Words]] = {
    "holdover": ("đồng hồ tự chạy", "clock in holdover"),
    "attested": ("giờ được xác nhận tạm", "time attested only"),
    "unknown": ("đồng hồ chưa tin được", "clock not trusted"),
}


def reason(told: str) -> Words:
    """What a node wrote (or one of our own codes) in both languages; what nobody foresaw stays as it came."""
    if told in WHYS:
        return WHYS[told]
    return in_vietnamese(told), told


def both(words: Words) -> str:
    """Vietnamese, and English beside it."""
    return " · ".join(dict.fromkeys(word for word in words if word))
