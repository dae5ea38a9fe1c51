"""An emergency or an exercise, in three deliberate steps: where, what is said, read back and confirm."""

from collections.abc import Mapping
from typing import Final

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from controller.actions import emergencies, media, people
from controller.actions.views import Draft
from controller.errors import Refused
from controller.parts import Actor
from controller.web import hazards, places, written
from controller.web.frame import page
from controller.web.login import sentence_of
from controller.web.places import Place, spoken
from controller.web.render import go
from controller.web.shown import plain
from controller.web.texts import say
from controller.web.visitor import Asked, caller_of, parts_of, visitor_of
from controller.web.written import Written

HELD_MS: Final = 1_900
"""The page asks for 2 s; a phone's timer may fire a little early."""


class SecondOfficerWrong(Exception):
    """The second officer was not let in; the text says why, and nothing was started."""


@get("/emergency")
async def choose(request: Request[None, None, State], q: FromQuery[str] = "") -> Response[str]:
    """Where."""
    parts, who = parts_of(request), visitor_of(request).actor
    found = await places.search(parts, who, q) if q.strip() else await places.offered(parts, who)
    return await page(request, "choose.html", q=q, places=found, onward="/emergency/write")


@get("/emergency/write")
async def write_form(request: Request[None, None, State], area: FromQuery[str] = "", draft: FromQuery[str] = "") -> Response[str]:
    """What is said: an empty form for a place, or the form of a draft to be edited."""
    if draft:
        held = await emergencies.read_draft(parts_of(request), visitor_of(request).actor, draft)
        return await _form(request, written.of_request(held.request), [])
    place = await _place(request, area)
    form = written.read({"area": area, "body": await places.body_of(parts_of(request), place)})
    return await _form(request, form, [], place=place)


@post("/emergency/write", status_code=200)
async def write(request: Request[None, None, State]) -> Response[str] | Redirect:
    """Fill in a template, or turn the form into a draft."""
    sent = await request.form()
    visitor, parts = visitor_of(request), parts_of(request)
    form = written.read(sent)
    place = await _place(request, form.area)
    if sent.get("do") == "template":
        where = ", ".join(spoken(name) for name in (place.name, place.inside) if name and place.level != "group")
        text = hazards.wording(form.hazard, form.risk, where or place.name)
        if text is not None:
            form.texts["vi"] = text
        return await _form(request, form, [], place=place)
    wrong = written.problems(form, visitor.tongue)
    if not wrong:
        try:
            draft = await emergencies.draft(parts, visitor.actor, written.request_of(form))
            return go(f"/emergency/review/{draft.id}")
        except Refused as error:
            wrong = [sentence_of(error, request)]
    return await _form(request, form, wrong, place=place)


async def _place(request: Asked, area: str) -> Place:
    place = await places.find(parts_of(request), visitor_of(request).actor, area)
    if place is None:
        raise Refused(say("wrong.area", visitor_of(request).tongue), code="no-area", status=404)
    return place


async def _form(request: Asked, form: Written, problems: list[str], place: Place | None = None) -> Response[str]:
    return await page(
        request,
        "write.html",
        status=422 if problems else 200,
        place=place or await _place(request, form.area),
        form=form,
        problems=problems,
        risks=hazards.RISKS,
        hazards=hazards.HAZARDS,
        clips=await media.list_all(parts_of(request), visitor_of(request).actor),
        more_langs=written.LANGS[1:],
        more_open=any(form.texts[lang] or form.clips[lang] for lang in written.LANGS[1:]),
    )


@get("/emergency/review/{draft_id:str}")
async def review(request: Request[None, None, State], draft_id: FromPath[str]) -> Response[str]:
    """Read back exactly what will happen."""
    draft = await emergencies.read_draft(parts_of(request), visitor_of(request).actor, draft_id)
    return await _review(request, draft)


async def _review(request: Asked, draft: Draft, problem: str = "", second_name: str = "") -> Response[str]:
    asked = draft.request
    titles = {one.sha256: one.title for one in await media.list_all(parts_of(request), visitor_of(request).actor)}
    clips = {lang: titles.get(sha256, sha256[:8]) for lang, sha256 in zip(asked.clip_langs, asked.clips, strict=True)}
    says = [
        {"lang": said.lang, "text": said.text, "clip": clips.get(said.lang, ""), "known": said.lang in written.LANGS}
        for said in asked.texts
    ]
    return await page(
        request,
        "review.html",
        status=422 if problem else 200,
        mode="exercise" if asked.exercise else "live",
        draft=draft,
        asked=asked,
        says=says,
        where=(await _place(request, asked.areas[0])).name,
        problem=problem,
        second_name=second_name,
    )


@post("/emergency/confirm/{draft_id:str}", status_code=200)
async def confirm(request: Request[None, None, State], draft_id: FromPath[str]) -> Response[str] | Redirect:
    """The deliberate second act: the button was held, or the place's name typed; wider than a commune, a second officer too."""
    form = await request.form()
    visitor, parts = visitor_of(request), parts_of(request)
    draft = await emergencies.read_draft(parts, visitor.actor, draft_id)
    second_name = str(form.get("second-name", "")).strip()
    if not _held(str(form.get("held_ms", "0"))):
        where = (await _place(request, draft.request.areas[0])).name
        if plain(str(form.get("typed", ""))) != plain(where):
            return await _review(request, draft, say("re.not_held", visitor.tongue, name=where), second_name)
    try:
        second = await _second(request, second_name, form) if draft.needs_second_person else None
        incident = await emergencies.confirm(parts, visitor.actor, draft_id, second)
    except SecondOfficerWrong as error:
        return await _review(request, draft, str(error), second_name)
    except Refused as error:
        return await _review(request, draft, sentence_of(error, request), second_name)
    return go(f"/incident/{incident.incident}")


def _held(told_ms: str) -> bool:
    """Whether the page says that its button was held long enough."""
    return told_ms.isascii() and told_ms.isdigit() and int(told_ms[:9]) >= HELD_MS


async def _second(request: Asked, name: str, form: Mapping[str, object]) -> Actor:
    """Another officer, by their own password and code. Raises SecondOfficerWrong."""
    visitor, parts = visitor_of(request), parts_of(request)
    if name == visitor.actor.name:
        raise SecondOfficerWrong(say("re.second_same", visitor.tongue))
    password, code = (str(form.get(field, "")) for field in ("second-password", "second-code"))
    actor = await people.vouch(parts, name, password, code, caller_of(request))
    if actor is None:
        raise SecondOfficerWrong(say("re.second_wrong", visitor.tongue))
    return actor
