"""An emergency or an exercise, in three deliberate steps: where, what is said, read back and sign."""

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from controller.actions import emergencies, media, wanted
from controller.actions.views import Draft
from controller.errors import Refused
from controller.web import hazards, places, written
from controller.web.frame import page
from controller.web.login import sentence_of
from controller.web.places import Place, spoken
from controller.web.render import go
from controller.web.sign import to_signing
from controller.web.texts import say
from controller.web.visitor import Asked, parts_of, visitor_of
from controller.web.written import Written


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


async def _review(request: Asked, draft: Draft, problem: str = "") -> Response[str]:
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
    )


@post("/emergency/confirm/{draft_id:str}", status_code=200)
async def confirm(request: Request[None, None, State], draft_id: FromPath[str]) -> Response[str] | Redirect:
    """On to the signing page, where the deliberate second act is: this person's key, on this person's device."""
    visitor, parts = visitor_of(request), parts_of(request)
    draft = await emergencies.read_draft(parts, visitor.actor, draft_id)
    try:
        return to_signing(request, await wanted.start(parts, visitor.actor, draft_id))
    except Refused as error:
        return await _review(request, draft, sentence_of(error, request))
