"""What an emergency means in time: the order among emergencies, and the common timeline of repeats in every horn."""

from typing import Final

from protocol.documents import ChainLink
from protocol.orders import AnyStart, ExerciseStart, Start
from protocol.trust import position

SPEECH_MS: Final = 1_000
SPEECH_MS_PER_LETTER: Final = 60
SPEECH_MS_PER_DIGIT: Final = 350
"""Above what espeak-ng needs for Vietnamese: 53-57 ms a letter measured, and a digit becomes a word or two."""
REPEAT_GAP_MS: Final = 2_000
EXERCISE_WORDS: Final = "Đây là diễn tập, không phải tình huống thật."
CHIME_OPEN_MS: Final = 2_000
"""The common timeline begins this long after `seq`; the opening chime itself is no longer than that."""


def rank(start: AnyStart, chain: tuple[ChainLink, ...]) -> tuple[bool, int, int, int]:
    """Which of two emergencies is heard: live before exercise, higher risk, wider authority, newer. Higher goes first.

    At the same risk a narrower authority never talks over a wider one: its key, once stolen, would be a STOP of another name.
    """
    place = position(chain, start.authority)
    return isinstance(start, Start), start.risk, -(len(chain) if place is None else place), start.seq


def languages(start: AnyStart) -> tuple[str, ...]:
    """The languages in the order in which they are spoken: as the texts are written, then clips without a text."""
    return tuple(dict.fromkeys([text.lang for text in start.text] + [clip.lang for clip in start.clips]))


def speaks(lang: str) -> bool:
    """Whether a node's own voice has this language: espeak-ng knows Vietnamese, and neither Jrai, Bahnar nor Êđê."""
    return lang.partition("-")[0] == "vi"


def speech_ms(text: str) -> int:
    """How long a text takes at the most when it is spoken, reckoned from its letters alone."""
    digits = sum(letter.isdecimal() for letter in text)
    return SPEECH_MS + len(text) * SPEECH_MS_PER_LETTER + digits * SPEECH_MS_PER_DIGIT


def repeat_period_ms(start: AnyStart) -> int:
    """How far apart two repeats begin, the same on every node: from the signed content alone, rounded up to a second."""
    clips = {clip.lang: clip.duration_ms for clip in start.clips}
    texts = {text.lang: speech_ms(text.text) for text in start.text}
    spoken_ms = sum(max(clips.get(lang, 0), texts.get(lang, 0)) for lang in languages(start))
    if isinstance(start, ExerciseStart):
        spoken_ms += 2 * speech_ms(EXERCISE_WORDS)
    return -(-(spoken_ms + REPEAT_GAP_MS) // 1_000) * 1_000


def timeline_origin_ms(start: AnyStart) -> int:
    """The instant (UTC ms) from which repeats are counted off in steps of `repeat_period_ms`."""
    return start.seq + CHIME_OPEN_MS
