"""Orders: what begins, stops and lifts an emergency, and the exercise that can never pass for one."""

from typing import Annotated, Literal

from msgspec import Meta

from protocol.units import (
    Incident,
    Lang,
    Ms,
    Name,
    Nonce,
    Payload,
    Purpose,
    Sha256,
    Strict,
)


class Text(Strict, frozen=True, kw_only=True):
    """Words in one language."""

    lang: Lang
    text: Annotated[str, Meta(min_length=1, max_length=2_000)]


class Clip(Strict, frozen=True, kw_only=True):
    """A recorded voice that goes before the spoken text of its language; `purpose` keeps exercise and live apart."""

    lang: Lang
    sha256: Sha256
    bytes: Annotated[int, Meta(ge=1, le=2**31)]
    duration_ms: Annotated[int, Meta(ge=1, le=3_600_000)]
    purpose: Purpose


class StartFields(Payload, frozen=True, kw_only=True):
    """What a START says, live or as an exercise."""

    incident: Incident
    class_: Literal["emergency"] = "emergency"
    risk: Annotated[int, Meta(ge=0, le=5)] = 0
    issuing_body: Name
    source_doc: Annotated[str, Meta(max_length=200)] = ""
    text: Annotated[tuple[Text, ...], Meta(max_length=8)] = ()
    clips: Annotated[tuple[Clip, ...], Meta(max_length=8)] = ()
    repeats: Annotated[int, Meta(ge=1, le=100)] = 3
    accept_until_ms: Ms
    sound_max_s: Annotated[int, Meta(ge=1, le=21_600)] = 600
    answers: Annotated[tuple[Nonce, ...], Meta(max_length=256)] = ()


class Start(StartFields, frozen=True, kw_only=True, tag_field="op", tag="START"):
    """Begin or update a live emergency."""

    kind: Literal["order"] = "order"


class Stop(Payload, frozen=True, kw_only=True, tag_field="op", tag="STOP"):
    """Silence an incident, or (no incident) everything in the area until a LIFT or a later START."""

    kind: Literal["order"] = "order"
    incident: Incident | None = None
    reason: Annotated[str, Meta(max_length=300)] = ""


class Lift(Payload, frozen=True, kw_only=True, tag_field="op", tag="LIFT"):
    """End the silence that a STOP of the same scope left behind."""

    kind: Literal["order"] = "order"
    incident: Incident | None = None
    reason: Annotated[str, Meta(max_length=300)] = ""


class ExerciseStart(StartFields, frozen=True, kw_only=True, tag_field="op", tag="START"):
    """The same form as a START, and never one: another kind, another type, another power."""

    kind: Literal["exercise"] = "exercise"


class ExerciseStop(Payload, frozen=True, kw_only=True, tag_field="op", tag="STOP"):
    """End exercises; it never silences anything live."""

    kind: Literal["exercise"] = "exercise"
    incident: Incident | None = None
    reason: Annotated[str, Meta(max_length=300)] = ""


Order = Start | Stop | Lift
Exercise = ExerciseStart | ExerciseStop
AnyStart = Start | ExerciseStart
AnyOrder = Start | Stop | Lift | ExerciseStart | ExerciseStop
