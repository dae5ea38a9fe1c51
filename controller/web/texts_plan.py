"""The words of «plan against plays», in Vietnamese and English."""

from typing import Final

from controller.core import plan_words

PLAN: Final = {
    "plan.title": ("Đối chiếu kế hoạch", "Plan against plays"),
    "plan.help": (
        "Những gì chương trình đã hẹn, bên cạnh những gì cụm loa thật sự đã phát.",
        "What the programmes planned, beside what the clusters really played.",
    ),
    "plan.where": ("Địa bàn", "Area"),
    "plan.day": ("Ngày (ngày/tháng/năm)", "Day (day/month/year)"),
    "plan.show": ("Xem", "Show"),
    "plan.share": ("{played}/{expected} bản tin đã phát ({share})", "{played} of {expected} bulletins played ({share})"),
    "plan.minutes": ("{minutes} phút phát thanh", "{minutes} minutes on air"),
    "plan.pending": ("{n} bản tin chưa tới hạn", "{n} bulletins are not over yet"),
    "plan.clock": ("{n} bản tin phát khi đồng hồ chưa tin chắc", "{n} bulletins played under a doubtful clock"),
    "plan.alarms": (
        "Tính riêng: {emergencies} lượt khẩn cấp, {exercises} lượt diễn tập.",
        "Counted apart: {emergencies} emergency plays, {exercises} exercise plays.",
    ),
    "plan.none": (
        "Ngày {day} không có bản tin nào được hẹn phát ở {area}.",
        "Nothing was planned in {area} on {day}.",
    ),
    "plan.no_nodes": (
        "Ngày {day} chưa có cụm loa nào đứng ở {area}.",
        "No cluster stood in {area} on {day}.",
    ),
    "plan.all_well": ("Mọi bản tin đã hẹn đều phát đủ.", "Everything that was planned was played."),
    "plan.wrong": ("Không đạt, nặng nhất trước", "Not as planned, the worst first"),
    "plan.cut": (
        "Chỉ hiện {shown} trong {n}. Xem đủ bằng lệnh «loa report plays».",
        "{shown} of {n}; all with «loa report plays».",
    ),
    "plan.extra": ("Ngoài kế hoạch", "Plays that no plan explains"),
    "plan.settlements": ("Từng thôn, buôn", "By settlement"),
    "plan.nodes": ("Từng cụm loa", "By cluster"),
    "plan.bulletins": ("Từng bản tin", "By bulletin"),
    "plan.tries": ("phát {n} lần", "played {n} times"),
    "plan.version": ("phát từ bản khác của chương trình", "out of another version of the programme"),
    "plan.to_plays": ("Xem nhật ký phát của ngày này", "All plays of this day"),
    **{f"fate.{name}": words for name, words in plan_words.OUTCOMES.items()},
    **{f"extra.{name}": words for name, words in plan_words.EXTRA_WHYS.items()},
    **{f"doubt.{name}": words for name, words in plan_words.CLOCKS.items()},
}
