"""Every command that a guide names is one that exists, with those options: people type what they read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from controller.cli import app as loa
from provisioning.__main__ import app as loa_provision

ROOT = Path(__file__).parents[2]
GUIDES = (
    "README.md",
    "README.vi.md",
    "docs/can-bo.md",
    "docs/ky-thuat.md",
    "docs/van-hanh.md",
    "docs/le-khoa.md",
    "systemd/README.md",
)
PROGRAMS = {"loa": typer.main.get_command(loa), "loa-provision": typer.main.get_command(loa_provision)}
FENCE = re.compile(r"^( *)```[a-z]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:sudo (?:-\S+ (?:\w+ )?)?)?(?:loa|loa-provision) [^`]+)`")


def lines_of(text: str) -> tuple[list[str], list[str]]:
    """Whole commands out of code blocks, and words out of sentences."""
    whole = []
    for found in FENCE.finditer(text):
        block = found[2].replace("\\\n", " ")
        whole += [part.strip() for line in block.splitlines() for part in line.split(" · ")]
    indented = [line.strip() for line in text.splitlines() if line.startswith("    loa")]
    return [*whole, *indented], INLINE.findall(FENCE.sub("", text))


def words_of(line: str) -> list[str]:
    """The program's words, without sudo, without what the shell does with it; empty when it is another program's line."""
    try:
        words = shlex.split(line.removeprefix("$ "), comments=True)
    except ValueError:
        return []
    if words[:1] == ["sudo"]:
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[2:] if words[0] == "-u" else words[1:]
    if not words or words[0] not in PROGRAMS:
        return []
    ends = [number for number, word in enumerate(words) if word in ("|", "&&", ";", ">", ">>", "<", "&", "…", "...")]
    return words[: min(ends, default=len(words))]


def judge(words: list[str], *, whole: bool) -> str:
    """What is wrong with them; "" when nothing is."""
    command, path, rest = PROGRAMS[words[0]], words[0], words[1:]
    while isinstance(command, TyperGroup):
        if rest[:1] in (["--help"], ["--version"]):
            return ""
        if not rest or rest[0].startswith("-"):
            if command.invoke_without_command:
                break
            return "names no command" if whole else ""
        found = command.commands.get(rest[0])
        if found is None:
            return f"there is no `{rest[0]}` in `{path}`"
        command, path, rest = found, f"{path} {rest[0]}", rest[1:]
    options = {option: param for param in command.params for option in (*param.opts, *param.secondary_opts)}
    given: set[str] = set()
    places = 0
    while rest:
        word, rest = rest[0], rest[1:]
        name, has_value = word.partition("=")[::2]
        if not re.fullmatch(r"--?[a-z][a-z-]*", name) or word == "--help":
            places += 1
            continue
        if name not in options:
            return f"`{path}` knows no {name}"
        given.add(options[name].name)
        if not has_value and not options[name].is_flag:
            if whole and not rest:
                return f"`{path}` {name} wants a value"
            rest = rest[1:]
    arguments = [param for param in command.params if param.param_type_name == "argument" and param.required]
    lacks = [param.name for param in command.params if param.required and param.name not in given and param not in arguments]
    lacks += [param.name for param in arguments[places:]]
    return f"`{path}` also wants {', '.join(lacks)}" if whole and lacks and "--help" not in words else ""


@pytest.mark.parametrize("guide", GUIDES)
def test_what_the_guides_say_to_type_exists(guide: str) -> None:
    whole, partial = lines_of((ROOT / guide).read_text(encoding="utf-8"))
    judged = [(words, True) for words in map(words_of, whole) if words] + [
        (words, False) for words in map(words_of, partial) if words
    ]
    wrong = {" ".join(words): why for words, is_whole in judged if words and (why := judge(words, whole=is_whole))}
    assert not wrong, "\n".join(f"{line}: {why}" for line, why in wrong.items())


def test_the_judge_sees_a_wrong_command_a_wrong_option_and_a_missing_word() -> None:
    assert "no `sound`" in judge(["loa", "sound"], whole=True)
    assert "knows no --loud" in judge(["loa", "rollout", "start", "--loud"], whole=False)
    assert "--loud" in judge(["loa", "rollout", "start", "2026.11.1", "--loud"], whole=True)
    assert "wants" in judge(["loa", "rollout", "start"], whole=True)
    assert judge(["loa", "rollout", "start", "2026.11.1", "--yes"], whole=True) == ""
