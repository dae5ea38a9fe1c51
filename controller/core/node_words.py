"""The reasons that nodes write into records and the preview gives, in Vietnamese: records carry them in English. Pure."""

import re
from typing import Final

from protocol.hours import NO_RULES, QUIET
from protocol.programme import LATE, MUTE

_KNOWN: Final[tuple[tuple[str, str, str], ...]] = (
    # what the preview can tell too: pattern, code of its finding, Vietnamese
    (re.escape(QUIET), "quiet", "ngoài giờ hoạt động của đài"),
    (re.escape(NO_RULES), "no-rules", "đài chưa có quy định giờ hoạt động"),
    (r"maintenance until (.+)", "maintenance", "đang bảo trì đến {0}"),
    (r"the day's sessions are over: (\d+)", "sessions", "đã đủ {0} buổi phát trong ngày"),
    (r"its hours end at (.+)", "sessions", "giờ hoạt động kết thúc lúc {0}"),
    (r"its session's (\d+) minutes end at (.+)", "sessions", "buổi phát {0} phút kết thúc lúc {1}"),
    (r"half inside: its hours end at (.+)", "half-inside", "sẽ lấn quá giờ hoạt động, kết thúc lúc {0}"),
    (r"half inside: its session's (\d+) minutes end at (.+)", "half-inside", "sẽ lấn quá buổi phát {0} phút, kết thúc lúc {1}"),
    (re.escape(LATE), "waits-out", "quá thời gian chờ"),
    (re.escape(MUTE), "mute", "cụm loa không phát được nội dung nào trong đó"),
    # what only happens
    (r"the clock cannot be trusted: .+", "", "chưa biết giờ đúng nên không phát theo giờ"),
    (r"stopped: a STOP keeps .+", "", "đã có lệnh dừng: chỉ phát khẩn cấp"),
    (r"stopped by order", "", "dừng theo lệnh"),
    (r"withdrawn: .+", "", "đã rút khỏi chương trình"),
    (r"emergency [0-9a-f]{16}", "", "nhường cho khẩn cấp"),
    (r"another emergency goes before it", "", "khẩn cấp khác được phát trước"),
    (r"(\S+) is of a higher class", "", "nhường cho «{0}» có mức cao hơn"),
    (r"its recording has come", "", "bản ghi âm vừa tải về"),
    (r"over (\d+) of the same hands stand", "", "cùng người ký đã có hơn {0} tin khẩn cấp đang hiệu lực"),
    (r"its sound time is over", "", "hết thời lượng cho phép"),
    (r"no voice for (.+)", "", "không có giọng đọc cho {0}"),
    (r"the card failed before .+", "", "thẻ nhớ hỏng trước khi mất điện, mất bản ghi của lượt này"),
    (r"suspended", "", "khóa của người ký đang bị tạm ngưng"),
    (r"storage: (.+)", "", "thẻ nhớ không ghi được ({0})"),
    (r"relay: (.+)", "", "tiếp sóng: {0}"),
)


def why(words: str) -> tuple[str, str]:
    """What a reason of the node's rules is: the code of its finding, and the same in Vietnamese."""
    for pattern, code, vi in _KNOWN:
        if found := re.fullmatch(pattern, words):
            return code, vi.format(*found.groups())
    return "mute", words


def in_vietnamese(words: str) -> str:
    """A record's reason, which may be several; what is not known stays as it is."""
    return "; ".join(why(each)[1] for each in words.split("; "))
