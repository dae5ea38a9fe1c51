"""What the controller may ask of the signer, as JSON lines over its socket: what is to be said, never bytes to be signed."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from protocol.orders import AnyStart, Clip, ExerciseStart, Start
from protocol.units import U32, AreaId, Incident, Ms, Name, Nonce, ShortId


class Keys(Struct, frozen=True, tag_field="op", tag="keys"):
    """Asks which service keys are there."""


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op", tag="seal"):
    """A START to be sealed with the service key of `authority`: recordings, no words. `highest_seq`: the highest known there."""

    kind: Literal["order", "exercise"]
    authority: ShortId
    area: AreaId
    area_no: U32
    incident: Incident
    now_ms: Ms
    highest_seq: Ms = 0
    risk: Annotated[int, Meta(ge=0, le=5)] = 0
    issuing_body: Name
    source_doc: Annotated[str, Meta(max_length=200)] = ""
    clips: tuple[Clip, ...] = ()
    repeats: Annotated[int, Meta(ge=1, le=100)] = 3
    accept_s: Annotated[int, Meta(ge=1, le=21_600)] = 600
    accept_until_ms: Ms | None = None
    sound_max_s: Annotated[int, Meta(ge=1, le=21_600)] = 600
    answers: tuple[Nonce, ...] = ()


class KeyKnown(Struct, frozen=True, kw_only=True):
    """A service key: the area it is for and its public half."""

    area: str
    public: str
    keyid: str


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the signer answers: keys, or sealed bytes (as text: an envelope is JSON), or why not."""

    keys: tuple[KeyKnown, ...] = ()
    sealed: str = ""
    refused: str = ""
    code: str = ""


Question = Keys | Asked
QUESTION: msgspec.json.Decoder[Question] = msgspec.json.Decoder(Question)
ANSWER: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def start_of(asked: Asked, seq: int) -> AnyStart:
    """The order that is asked for, issued at `seq`."""
    live = asked.kind == "order"
    fields = {
        "authority": asked.authority,
        "area": asked.area,
        "area_no": asked.area_no,
        "seq": seq,
        "purpose": "live" if live else "exercise",
        "incident": asked.incident,
        "risk": asked.risk,
        "issuing_body": asked.issuing_body,
        "source_doc": asked.source_doc,
        "clips": asked.clips,
        "repeats": asked.repeats,
        "accept_until_ms": asked.accept_until_ms or seq + asked.accept_s * 1000,
        "sound_max_s": asked.sound_max_s,
        "answers": asked.answers,
    }
    return msgspec.convert(fields, Start) if live else msgspec.convert(fields, ExerciseStart)
