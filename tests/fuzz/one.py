"""One target under atheris, in a process of its own: `python -m tests.fuzz.one <target> <libFuzzer's own words>`."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["protocol", "edge_agent", "controller", "provisioning", "tomllib"]):
    from tests.fuzz.targets import TARGETS, Target

STRANGE: tuple[Any, ...] = (
    *(0, -1, 1, 2**31, 2**32 - 1, 2**53 - 1, 2**53, 2**63, -(2**63), 10**400, 1e308, 0.1, True, None, "", " ", "\n", "\0"),
    *("e\u0301", "\u202e", "\ud800", "a" * 300, "52", "52.24076", "52.24076.001", "root", "all", [], {}, [[]], {"": {}}),
)


def _places(value: Any, where: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [where]
    if isinstance(value, dict):
        for key in value:
            found += _places(value[key], (*where, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += _places(inner, (*where, index))
    return found


def _other(value: Any, dice: random.Random) -> Any:
    """A value of the same kind that is a little off, or one of the strange ones."""
    if isinstance(value, bool) or dice.random() < 0.3:
        return dice.choice(STRANGE)
    if isinstance(value, int):
        return value + dice.choice((-1, 1, -1_000, 86_400_000, -86_400_000, 60_000, value, -2 * value))
    if isinstance(value, str):
        data = atheris.Mutate(value.encode("utf-8", "surrogatepass"), len(value.encode("utf-8", "surrogatepass")) + 8)
        return data.decode("utf-8", "replace")
    if isinstance(value, list):
        return value * dice.choice((0, 2, 70)) if value else [dice.choice(STRANGE)]
    if isinstance(value, dict):
        return {key: inner for key, inner in value.items() if dice.random() < 0.7} | {dice.choice(("x", "seq", "")): 1}
    return dice.choice(STRANGE)


def _change(value: Any, dice: random.Random) -> Any:
    where = dice.choice(_places(value))
    if not where:
        return _other(value, dice)
    holder = value
    for step in where[:-1]:
        holder = holder[step]
    if dice.random() < 0.15:
        del holder[where[-1]]
    else:
        holder[where[-1]] = _other(holder[where[-1]], dice)
    return value


def mutator(target: Target) -> Any:
    """Three times in four JSON is changed value by value, so that it stays JSON; else its bytes are."""

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        dice, begin = random.Random(seed), target.json_from or 0
        if dice.random() < 0.25:
            return atheris.Mutate(data, longest)
        try:
            value = json.loads(data[begin:])
            for _ in range(dice.choice((1, 1, 1, 2, 4))):
                value = _change(value, dice)
            made = data[:begin] + json.dumps(value, ensure_ascii=dice.random() < 0.2).encode("utf-8", "replace")
        except (ValueError, RecursionError, IndexError, TypeError, OverflowError):
            return atheris.Mutate(data, longest)
        return made[:longest]

    return mutate


def keeping(target: Target, folder: Path) -> Callable[[bytes], None]:
    """What breaks it is written down before anything else: libFuzzer's own alarm may end the process first."""

    def run(data: bytes) -> None:
        try:
            target.run(data)
        except BaseException:
            (folder / f"broke-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
            raise

    return run


def main() -> None:
    logging.disable(logging.CRITICAL)
    sys.set_int_max_str_digits(0)
    target = TARGETS[sys.argv[1]]
    list(target.seeds())  # some lay out their files
    options = {} if target.json_from is None else {"custom_mutator": mutator(target)}
    folder = next(Path(word.partition("=")[2]) for word in sys.argv if word.startswith("-artifact_prefix="))
    atheris.Setup([sys.argv[0], *sys.argv[2:]], keeping(target, folder), **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
