"""The languages that a bulletin may name, with their Vietnamese and English names.

Tags are BCP 47 (the IANA language subtag registry), for these languages the codes of ISO 639-3. The peoples' names are those of
the list of ethnic groups of Viet Nam (Quyết định 121-TCTK/PPCĐ, 02/3/1979). A tag outside of this table is refused at publishing,
because a slip ("jr", "gl") would be a language that no listener and no report knows; nodes play whatever was signed.
"""

from typing import Final

LANGUAGES: Final[dict[str, tuple[str, str]]] = {
    "vi": ("tiếng Việt", "Vietnamese"),
    "jra": ("tiếng Jrai (Gia Rai)", "Jrai"),
    "bdq": ("tiếng Ba Na", "Bahnar"),
    "rad": ("tiếng Ê Đê", "Ede"),
    "sed": ("tiếng Xơ Đăng", "Sedang"),
    "jeh": ("tiếng Giẻ", "Jeh"),
    "ren": ("tiếng Rơ Ngao", "Rengao"),
    "rmx": ("tiếng Rơ Măm", "Romam"),
    "brb": ("tiếng Brâu", "Brao"),
    "hre": ("tiếng Hrê", "Hre"),
    "kpm": ("tiếng Cơ Ho", "Koho"),
    "cma": ("tiếng Mạ", "Maa"),
    "cje": ("tiếng Chu Ru", "Chru"),
    "rog": ("tiếng Ra Glai", "Northern Roglai"),
    "cmo": ("tiếng Mnông (Trung)", "Central Mnong"),
    "mng": ("tiếng Mnông (Đông)", "Eastern Mnong"),
    "mnn": ("tiếng Mnông (Nam)", "Southern Mnong"),
    "en": ("tiếng Anh", "English"),
}


def is_known(lang: str) -> bool:
    """Whether Loa knows a language; a region or script after it (`vi-VN`) does not matter."""
    return lang.partition("-")[0] in LANGUAGES


def name_of(lang: str, *, english: bool = False) -> str:
    """A language's name; its tag when it is not known."""
    names = LANGUAGES.get(lang.partition("-")[0])
    return lang if names is None else names[english]
