"""Wording to start from for each hazard: milder for risk levels 0-2 (watch), plain commands for 3-5 (act now).

The colours of the levels are those that QĐ 18/2021/QĐ-TTg, article 4 names (light blue, light yellow, orange, red, purple); the
exact shades are ours. `[...]` marks a gap: the page refuses a text that still has one.
"""

import re
from typing import Final

from msgspec import Struct

RISKS: Final = (0, 1, 2, 3, 4, 5)
ACT_FROM: Final = 3
_GAP: Final = re.compile(r"\[[^\[\]]*\]")


class Hazard(Struct, frozen=True, kw_only=True):
    """One hazard: its name in both languages, and what is said while watching and when people must act."""

    id: str
    vi: str
    en: str
    watch: str
    act: str


HAZARDS: Final = (
    Hazard(
        id="flood",
        vi="Lũ, ngập lụt",
        en="Flood",
        watch="Nước sông, suối ở {where} đang lên. {risk}Bà con kê cao đồ đạc, đưa gia súc lên chỗ cao, chuẩn bị sẵn đèn pin, "
        "nước uống và giấy tờ. Không vớt củi, không lội qua suối và ngầm tràn. Tiếp tục nghe loa.",
        act="Khẩn cấp. Nước lũ đang lên nhanh ở {where}. {risk}Bà con rời nhà ven sông, suối và chỗ thấp ngay bây giờ, đi đến "
        "[nơi tránh lũ]. Đưa người già, trẻ em, người bệnh đi trước. Không lội qua suối và ngầm tràn. Cần giúp, gọi [số "
        "điện thoại].",
    ),
    Hazard(
        id="landslide",
        vi="Lũ quét, sạt lở đất",
        en="Flash flood, landslide",
        watch="Mưa lớn kéo dài, {where} có nguy cơ lũ quét, sạt lở đất. {risk}Bà con ở sườn dốc, ven suối để ý vết nứt, nước "
        "đục, "
        "tiếng động lạ; sẵn sàng rời nhà khi có lệnh. Tiếp tục nghe loa.",
        act="Khẩn cấp. Lũ quét, sạt lở đất sắp xảy ra ở {where}. {risk}Bà con ở sườn dốc và ven suối rời nhà ngay bây giờ, "
        "đi đến "
        "[nơi an toàn]. Không quay lại lấy đồ. Không đi qua [đoạn đường nguy hiểm].",
    ),
    Hazard(
        id="release",
        vi="Xả lũ hồ chứa",
        en="Dam release",
        watch="Hồ [tên hồ] sẽ xả lũ lúc [giờ xả]. {risk}Bà con ở {where} không xuống sông, đưa thuyền, máy bơm và gia súc lên bờ "
        "trước giờ đó.",
        act="Khẩn cấp. Hồ [tên hồ] đang xả lũ, nước sông ở {where} lên rất nhanh. {risk}Bà con rời bờ sông và chỗ thấp ngay "
        "bây giờ, "
        "đi đến [nơi tránh lũ]. Tuyệt đối không xuống sông.",
    ),
    Hazard(
        id="storm",
        vi="Bão, lốc, mưa đá",
        en="Storm, whirlwind, hail",
        watch="Sắp có gió mạnh, mưa lớn ở {where}. {risk}Bà con chằng buộc mái nhà, chặt bớt cành cây, cất đồ ngoài sân, sạc đầy "
        "điện thoại. Tiếp tục nghe loa.",
        act="Khẩn cấp. Gió rất mạnh sắp tới {where}. {risk}Bà con vào ngay nhà kiên cố, tránh xa cửa kính, cây to và cột điện. "
        "Nhà không chắc chắn thì đến ngay [nơi trú ẩn].",
    ),
    Hazard(
        id="fire",
        vi="Cháy rừng, cháy nhà",
        en="Fire",
        watch="Nguy cơ cháy cao ở {where}. {risk}Bà con không đốt nương, không đốt rác, không để lửa trong rừng. Thấy khói, lửa "
        "thì báo ngay [số điện thoại].",
        act="Khẩn cấp. Cháy lớn ở {where}, lửa đang lan về phía [hướng lửa lan]. {risk}Bà con rời khỏi khu vực ngay bây giờ, "
        "đi đến "
        "[nơi an toàn], đi ngược chiều khói. Gọi cứu hỏa 114.",
    ),
    Hazard(
        id="other",
        vi="Việc khẩn cấp khác",
        en="Another emergency",
        watch="Thông báo cho bà con ở {where}: [chuyện gì]. {risk}Bà con cần [việc phải làm].",
        act="Khẩn cấp. [Chuyện gì] ở {where}. {risk}Bà con phải [việc phải làm ngay].",
    ),
)


def wording(hazard_id: str, risk: int, where: str) -> str | None:
    """The text to start from; None when there is no such hazard."""
    level = f"Rủi ro thiên tai cấp {risk}. " if risk else ""
    for hazard in HAZARDS:
        if hazard.id == hazard_id:
            return (hazard.act if risk >= ACT_FROM else hazard.watch).format(where=where, risk=level)
    return None


def gaps(text: str) -> list[str]:
    """The places that a template left to be filled in and that still are not."""
    return _GAP.findall(text)
