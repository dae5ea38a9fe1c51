"""The words of the timetable's page: key -> (vi, en)."""

from typing import Final

TIMETABLE: Final = {
    "nav.timetable": ("Lịch phát", "Timetable"),
    "timetable.title": ("Lịch phát", "Timetable"),
    "timetable.help": (
        "Sẽ phát gì nếu không có khẩn cấp, lệnh dừng hay sự cố. Chỉ xem.",
        "What will sound unless an emergency, a STOP or a fault comes between. Read only.",
    ),
    "timetable.where": ("Nơi", "Where"),
    "timetable.look": ("Xem", "Look"),
    "timetable.days": ("Chọn ngày", "Choose a day"),
    "timetable.findings": ("Cần biết trong 7 ngày tới", "To know of the next 7 days"),
    "timetable.tomorrow": (
        "Âm thanh đầu tiên ngày mai lúc {at}: «{title}».",
        "The first sound tomorrow is at {at}: “{title}”.",
    ),
    "timetable.none": ("Không có bản tin nào trong ngày {day}.", "There is no bulletin on {day}."),
    "timetable.no_nodes": (
        "Chưa có cụm loa nào được đặt ở đây, nên chưa có lịch phát.",
        "No cluster is placed here yet, so there is no timetable.",
    ),
    "timetable.more": ("và {n} cụm nữa", "and {n} more"),
    "timetable.of": ("của {name}", "by {name}"),
    "timetable.for": ("cho {name}", "for {name}"),
    "severity.error": ("Phải xem", "Must be seen"),
    "severity.warning": ("Chú ý", "Warning"),
    "severity.note": ("Ghi chú", "Note"),
    "outcome.plays": ("Phát đúng giờ", "On time"),
    "outcome.late": ("Phát muộn", "Late"),
    "outcome.cut": ("Bị cắt", "Cut"),
    "outcome.interrupted": ("Bị ngắt", "Interrupted"),
    "outcome.skipped": ("Không phát", "Not heard"),
    "outcome.shown": ("Hiện trên bảng", "Shown on boards"),
    "weekday.0": ("Thứ Hai", "Monday"),
    "weekday.1": ("Thứ Ba", "Tuesday"),
    "weekday.2": ("Thứ Tư", "Wednesday"),
    "weekday.3": ("Thứ Năm", "Thursday"),
    "weekday.4": ("Thứ Sáu", "Friday"),
    "weekday.5": ("Thứ Bảy", "Saturday"),
    "weekday.6": ("Chủ nhật", "Sunday"),
}
