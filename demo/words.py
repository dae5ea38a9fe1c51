"""What is said in the demo, and by whom."""

from typing import Final

COMMUNE: Final = "52.24076"
OTHER_COMMUNE: Final = "52.24100"
ROOT_PERSONS: Final = (("so-vhttdl", "Sở Văn hóa, Thể thao và Du lịch"), ("ubnd-tinh", "Văn phòng UBND tỉnh"))
OFFICER: Final = ("chu-tich", "Rơ Châm H'Yéo, Chủ tịch UBND xã Phú Túc")
ISSUING_BODY: Final = "Ủy ban nhân dân xã Phú Túc"
BULLETIN_TITLE: Final = "Bản tin phòng bệnh mùa mưa"
BULLETIN: Final = (
    "Đây là đài truyền thanh xã Phú Túc. Mời bà con nghe bản tin phòng bệnh mùa mưa. "
    "Bà con hãy ngủ màn, diệt lăng quăng, đậy kín các vật chứa nước, và đến trạm y tế xã khi có người sốt cao hai ngày. "
    "Trạm y tế trực cả ngày lẫn đêm."
)
JRAI: Final = "Ơi bôh ană, hrơi anai ta hơdôr kơ tơlơi pơsir hơdră ngă hmua. Mơai gih anun."
"""Read by the Vietnamese voice: a stand-in for the recording that a real commune has."""
EMERGENCY: Final = "Nước sông Ba đang lên rất nhanh. Bà con chuyển ngay đến trường tiểu học. Không quay lại lấy đồ."
NODES: Final = (
    ("Phú Túc 1", "52.24076.001"),
    ("Phú Túc 2", "52.24076.002"),
    ("Ia Dreh", "52.24100.001"),
)
