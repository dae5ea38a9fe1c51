"""The node's own voice, with the real espeak-ng."""

from __future__ import annotations

import asyncio
import time
import unicodedata

import numpy as np
import pytest

from edge_agent.drivers import speech
from edge_agent.drivers.speech import Speaker
from edge_agent.errors import SpeechUnavailable
from tests.audio import peak_dbfs, read_wav

TEXT = "Đề nghị bà con thôn Ơi Nu, buôn Ma Giai khẩn trương sơ tán trước 19 giờ 30."


async def test_vietnamese_is_spoken_three_db_under_full_scale(tmp_path):
    rate, samples = read_wav(await Speaker(tmp_path).clip("vi", TEXT))
    assert rate == 22_050
    assert len(samples) > 3 * rate
    assert abs(peak_dbfs(samples) + 3) < 0.1


async def test_a_text_is_spoken_once(tmp_path):
    speaker = Speaker(tmp_path)
    first = await speaker.clip("vi", TEXT)
    made = first.stat().st_ino
    assert await speaker.clip("vi", TEXT) == first == speaker.path_of("vi", TEXT)
    assert await Speaker(tmp_path).clip("vi", TEXT) == first
    assert first.stat().st_ino == made
    assert speaker.runs == 1


async def test_callers_with_the_same_text_share_one_run_even_when_one_leaves(tmp_path):
    speaker = Speaker(tmp_path)
    callers = [asyncio.create_task(speaker.clip("vi", TEXT)) for _ in range(5)]
    await asyncio.sleep(0)
    callers[0].cancel()
    paths = await asyncio.gather(*callers[1:])
    assert len(set(paths)) == 1
    assert speaker.runs == 1


async def test_composed_and_decomposed_letters_are_one_text(tmp_path):
    speaker = Speaker(tmp_path)
    apart = unicodedata.normalize("NFD", TEXT)
    assert apart != TEXT
    assert speaker.path_of("vi", apart) == speaker.path_of("vi", TEXT)
    _, one = read_wav(await speaker.clip("vi", apart))
    _, other = read_wav(await Speaker(tmp_path / "other").clip("vi", TEXT))
    assert np.array_equal(one, other)


async def test_the_marks_are_spoken_not_dropped(tmp_path):
    speaker = Speaker(tmp_path)
    _, marked = read_wav(await speaker.clip("vi", "Nước lũ"))
    _, bare = read_wav(await speaker.clip("vi", "Nuoc lu"))
    assert not np.array_equal(marked[: len(bare)], bare[: len(marked)])


@pytest.mark.parametrize("lang", ["jra", "bdq", "rad"])
async def test_a_language_without_a_voice_is_named(tmp_path, lang):
    with pytest.raises(SpeechUnavailable, match=lang):
        await Speaker(tmp_path).clip(lang, "Ơi ană plei")


async def test_accents_are_a_choice_of_the_node(tmp_path):
    north, south = Speaker(tmp_path), Speaker(tmp_path, voices={"vi": "vi-vn-x-south"})
    assert north.path_of("vi", TEXT) != south.path_of("vi", TEXT)
    assert (await south.clip("vi-VN", TEXT)).exists()


async def test_a_text_that_looks_like_an_option_or_a_tag_is_only_text(tmp_path):
    for text in ("--version", "-f /etc/passwd", "<speak>a & b</speak>"):
        assert (await Speaker(tmp_path).clip("vi", text)).stat().st_size > 1000


async def test_a_text_without_anything_to_say_is_refused_and_leaves_nothing(tmp_path):
    speaker = Speaker(tmp_path)
    with pytest.raises(SpeechUnavailable):
        await speaker.clip("vi", " ")
    assert list(tmp_path.iterdir()) == []


async def test_the_folder_stays_within_its_cap_and_forgets_the_longest_unused(tmp_path):
    speaker = Speaker(tmp_path, cache_bytes=250_000)
    first = await speaker.clip("vi", "Một hai ba bốn năm")
    for n in range(4):
        await asyncio.sleep(0.02)
        await speaker.clip("vi", "Một hai ba bốn năm")
        await asyncio.sleep(0.02)
        newest = await speaker.clip("vi", f"Bản tin số {n} của xã Phú Túc")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 250_000
    assert first.exists()
    assert newest.exists()


async def test_a_synthesiser_that_hangs_is_ended_at_its_deadline(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin/espeak-ng"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "eSpeak NG 0" && exit\nexec sleep 60\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(speech, "DEADLINE_S", 1)
    began = time.monotonic()
    with pytest.raises(SpeechUnavailable, match="more than 1 s"):
        await Speaker(tmp_path / "speech").clip("vi", TEXT)
    assert time.monotonic() - began < 10
    assert list((tmp_path / "speech").iterdir()) == []


async def test_without_espeak_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpeechUnavailable, match="install it"):
        await Speaker(tmp_path / "speech").clip("vi", TEXT)
