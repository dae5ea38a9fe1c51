"""Units, names and the common shape of every message: frozen, strict, limits in the types.

Times are integer UTC milliseconds below 2^53, levels hundredths of a dB (`_cdb`), loudness hundredths of LUFS (`_clufs`),
sample counts at 48 kHz, text NFC, languages BCP 47. Unknown fields are refused; a changed shape is a new version of the kind.
"""

import unicodedata
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, structs

MAX_MS: Final = 2**53 - 1
# Patterns end with \Z: `$` would let a final newline through, and so two spellings of one key, area or digest.
Ms = Annotated[int, Meta(ge=0, le=MAX_MS)]
Seconds = Annotated[int, Meta(ge=0, le=10_000_000)]
Cdb = Annotated[int, Meta(ge=-12_000, le=4_000)]
U32 = Annotated[int, Meta(ge=0, lt=2**32)]
Subject = Annotated[str, Meta(pattern=r"^[0-9A-Za-z]+([._-][0-9A-Za-z]+)*\Z", max_length=48)]
"""An area, or the kind of machine that a release is for."""
AreaId = Annotated[str, Meta(pattern=r"^[0-9A-Za-z]+(\.[0-9A-Za-z]+)*\Z", max_length=48)]
NodeId = Annotated[str, Meta(pattern=r"^[0-9A-HJKMNP-TV-Z]{10}\Z")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
KeyId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
PublicKey = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Incident = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
Nonce = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
ShortId = Annotated[str, Meta(pattern=r"^[0-9a-z][0-9a-z._-]{0,47}\Z")]
Lang = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[0-9A-Za-z]{1,8})*\Z", max_length=20)]

Purpose = Literal["routine", "live", "exercise"]
BulletinClass = Literal["normal", "priority", "emergency"]
"""thông thường, ưu tiên, khẩn cấp (Thông tư 39/2020/TT-BTTTT)."""
AreaLevel = Literal["province", "commune", "settlement", "node"]
IssuingLevel = Literal["central", "province", "district", "commune", "settlement"]
ClockState = Literal["good", "holdover", "attested", "unknown"]
KeyState = Literal["active", "retired", "stolen"]
PowerName = Literal[
    "delegate",
    "placement",
    "station",
    "network",
    "programme",
    "emergency",
    "stop",
    "exercise",
    "live",
    "release",
    "time",
]


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename={"class_": "class"}):
    """Frozen, named, and closed to unknown fields."""

    def __post_init__(self) -> None:
        """Refuse text that is not NFC: two spellings of one sentence would be two digests."""
        for number, value in enumerate(structs.astuple(self)):
            if isinstance(value, str) and not value.isascii() and not unicodedata.is_normalized("NFC", value):
                raise ValueError(f"text of `{self.__struct_fields__[number]}` is not NFC")


class Payload(Strict, frozen=True, kw_only=True):
    """What every sealed payload says: under which grant, for which area, issued when (`seq`, the signer's Unix ms), how meant."""

    authority: ShortId
    area: AreaId
    area_no: U32
    seq: Ms
    purpose: Purpose


class Document(Payload, frozen=True, kw_only=True):
    """Something that stays in force until a newer one of its slot (kind, subject, authority)."""

    subject: AreaId
    prev: Sha256 | None = None
    valid_from_ms: Ms
    valid_until_ms: Ms
