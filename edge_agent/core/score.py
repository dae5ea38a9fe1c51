"""From an emergency or a bulletin to what is heard: chimes, words, repeats on the common timeline."""

from collections.abc import Container

from msgspec import Struct

from edge_agent.commands import Align, Clip, Input, Part, Pause, Speech, Stream, Tone
from protocol.bulletins import Item, LineIn, Media, Relay, Spoken, Variant
from protocol.emergency import EXERCISE_WORDS, languages, repeat_period_ms, speaks
from protocol.orders import AnyStart, ExerciseStart
from protocol.programme import VARIANT_GAP_MS

BETWEEN_LANGUAGES_MS = 400
BETWEEN_REPEATS_MS = 1_500
CALL_SIGN_LANG = "vi"


class Score(Struct, frozen=True):
    """Parts in order: where repeats begin, the first word, the closing; the recordings in it, and the languages left out."""

    parts: tuple[Part, ...]
    repeat_parts: tuple[int, ...] = ()
    spoken_part: int | None = None
    closing_part: int = 0
    unsaid: tuple[str, ...] = ()
    media: frozenset[str] = frozenset()


def media_path(media_root: str, sha256: str) -> str:
    """Where a media file lies on the node."""
    return f"{media_root}/{sha256[:2]}/{sha256}.mka"


def clips_of(start: AnyStart, media: Container[str]) -> frozenset[str]:
    """The recordings of an emergency that are here."""
    return frozenset(clip.sha256 for clip in start.clips if clip.purpose == start.purpose and clip.sha256 in media)


def _voices(start: AnyStart, media: Container[str], media_root: str) -> tuple[list[Part], tuple[str, ...]]:
    """One repeat: every language in order, a recorded clip before the spoken text; and the languages that nothing can say."""
    parts: list[Part] = []
    unsaid = []
    texts = {text.lang: text.text for text in start.text}
    clips = {clip.lang: clip for clip in start.clips if clip.purpose == start.purpose and clip.sha256 in media}
    for lang in languages(start):
        if clip := clips.get(lang):
            voice: Part = Clip(media_path(media_root, clip.sha256), samples=clip.duration_ms * 48)
        elif speaks(lang) and lang in texts:
            voice = Speech(lang, texts[lang])
        else:
            unsaid.append(lang)
            continue
        parts += [Pause(BETWEEN_LANGUAGES_MS), voice] if parts else [voice]
    return parts, tuple(unsaid)


def of_emergency(
    start: AnyStart, *, repeats: int, media: Container[str], media_root: str, origin_mono_ns: int | None, aligned: bool
) -> Score:
    """Opening chime, the text `repeats` times, the call sign of the issuing body, closing chime (J-ALERT's form).

    `origin_mono_ns` places repeats on the common timeline (None: the clock is not good enough, they follow each other);
    `aligned` puts the first one there too (a resumed or late emergency).
    """
    voices, unsaid = _voices(start, media, media_root)
    is_exercise = isinstance(start, ExerciseStart)
    announce: list[Part] = [Tone("exercise"), Speech(CALL_SIGN_LANG, EXERCISE_WORDS)] if is_exercise else []
    parts: list[Part] = [Tone("chime_open")]
    begins = []
    period_ms = repeat_period_ms(start)
    for number in range(repeats):
        if origin_mono_ns is None:
            parts += [Pause(BETWEEN_REPEATS_MS)] if number else []
        elif number or aligned:
            parts.append(Align(origin_mono_ns, period_ms))
        begins.append(len(parts))
        parts += [*announce, *voices, *announce]
    closing = len(parts)
    parts += [Pause(BETWEEN_LANGUAGES_MS), Speech(CALL_SIGN_LANG, start.issuing_body), Tone("chime_close")]
    spoken = next((index for index, part in enumerate(parts) if isinstance(part, Speech | Clip)), None)
    return Score(tuple(parts), tuple(begins), spoken, closing, unsaid, clips_of(start, media))


def of_item(item: Item, media_root: str) -> Score:
    """A bulletin: its language variants in their written order, each cut at its true length, all of them as often as it says."""
    once: list[Part] = []
    unsaid = []
    for variant in item.variants:
        part = _said(variant, media_root)
        if part is None:
            unsaid.append(variant.lang)
        else:
            once += [Pause(VARIANT_GAP_MS), part] if once else [part]
    parts = list(once)
    for _again in range(item.repeats - 1 if once else 0):
        parts += [Pause(item.repeat_gap_s * 1_000), *once]
    return Score(tuple(parts), unsaid=tuple(unsaid))


def _said(variant: Variant, media_root: str) -> Part | None:
    if variant.media is not None:
        return _recording(variant.media, media_root)
    if variant.spoken is not None:
        if speaks(variant.lang):
            return Speech(variant.lang, variant.spoken.text)
        return _fallback(variant.spoken, media_root)
    if (relay := variant.relay) is not None:
        return Stream(relay.url, relay.max_s * 1_000, relay.silence_s * 1_000, _fallback(relay, media_root))
    if (line := variant.line) is not None:
        return Input(line.source, line.max_s * 1_000, line.silence_s * 1_000, _fallback(line, media_root))
    return None


def _fallback(way: Spoken | Relay | LineIn, media_root: str) -> Clip | None:
    return None if way.fallback is None else _recording(way.fallback, media_root)


def _recording(media: Media, media_root: str) -> Clip:
    return Clip(media_path(media_root, media.sha256), samples=media.samples)
