"""What an officer wrote into the emergency form, judged before it becomes a draft. Pure."""

import unicodedata
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from controller.actions.views import Request, SaidView
from controller.web.hazards import gaps
from controller.web.texts import Tongue, say

LANGS: Final = ("vi", "jra", "bdq", "rad", "en")
MOST_LETTERS: Final = 2_000
_ALL_REPEATS: Final = range(1, 11)
_ALL_RISKS: Final = range(6)


class Written(Struct, frozen=True, kw_only=True):
    """The form's fields, tidied: NFC, no control characters, numbers within bounds."""

    area: str
    kind: str = ""
    risk: int = 0
    hazard: str = ""
    texts: dict[str, str]
    clips: dict[str, str]
    repeats: int = 3
    body: str = ""
    doc: str = ""


def tidy(text: object) -> str:
    """NFC, plain line ends, no other control characters, no space around."""
    lines = unicodedata.normalize("NFC", str(text)).replace("\r\n", "\n").replace("\r", "\n")
    return "".join(letter for letter in lines if letter == "\n" or unicodedata.category(letter) not in {"Cc", "Cs"}).strip()


def _number(text: object, allowed: range, otherwise: int) -> int:
    shown = str(text)
    return int(shown) if shown.isascii() and shown.isdigit() and len(shown) < 4 and int(shown) in allowed else otherwise  # noqa: PLR2004


def read(form: Mapping[str, object]) -> Written:
    """The form as it came."""
    return Written(
        area=tidy(form.get("area", "")),
        kind=tidy(form.get("kind", "")),
        risk=_number(form.get("risk", 0), _ALL_RISKS, 0),
        hazard=tidy(form.get("hazard", "")),
        texts={lang: tidy(form.get(f"text-{lang}", "")) for lang in LANGS},
        clips={lang: tidy(form.get(f"clip-{lang}", "")) for lang in LANGS},
        repeats=_number(form.get("repeats", 3), _ALL_REPEATS, 3),
        body=" ".join(tidy(form.get("body", "")).split()),
        doc=" ".join(tidy(form.get("doc", "")).split()),
    )


def of_request(asked: Request) -> Written:
    """The form that led to a request, to be edited again."""
    texts = {said.lang: said.text for said in asked.texts}
    clips = dict(zip(asked.clip_langs, asked.clips, strict=True))
    return Written(
        area=asked.areas[0],
        kind="exercise" if asked.exercise else "live",
        risk=asked.risk,
        texts={lang: texts.get(lang, "") for lang in LANGS},
        clips={lang: clips.get(lang, "") for lang in LANGS},
        repeats=asked.repeats,
        body=asked.issuing_body,
        doc=asked.source_doc,
    )


def problems(form: Written, tongue: Tongue) -> list[str]:
    """Why this cannot be read back yet, one sentence each."""
    found = [] if form.kind in {"live", "exercise"} else [say("em.wrong_kind", tongue)]
    if not form.texts["vi"]:
        found.append(say("em.wrong_text", tongue))
    for lang, text in form.texts.items():
        holes = gaps(text)
        if holes:
            found.append(say("em.wrong_holes", tongue, holes=", ".join(holes)))
        if len(text) > MOST_LETTERS:
            found.append(say("em.wrong_long", tongue, lang=say(f"lang.{lang}", tongue)))
    return found if form.body else [*found, say("em.wrong_body", tongue)]


def request_of(form: Written) -> Request:
    """The request for the actions."""
    recorded = [(lang, sha256) for lang, sha256 in form.clips.items() if sha256]
    return Request(
        areas=(form.area,),
        texts=tuple(SaidView(lang=lang, text=text) for lang, text in form.texts.items() if text),
        clips=tuple(sha256 for _, sha256 in recorded),
        clip_langs=tuple(lang for lang, _ in recorded),
        risk=form.risk,
        issuing_body=form.body,
        source_doc=form.doc,
        repeats=form.repeats,
        exercise=form.kind == "exercise",
    )
