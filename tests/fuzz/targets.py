"""Every parser of bytes from outside, each with what it may raise (its own errors alone), its seeds and its bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from tests.fuzz import plain_targets as plain
from tests.fuzz import sealed_targets as sealed
from tests.fuzz import sound_targets as sound


@dataclass(frozen=True)
class Target:
    """`run` takes bytes and comes back; whatever it raises is a fault. Bounds hold for one input."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    seconds: int = 2
    longest_bytes: int = 4_096
    json_from: int | None = None
    """From which byte on the input is JSON, to be changed value by value."""
    words: tuple[str, ...] = ()


def _payload(*kinds: str) -> Target:
    return Target(partial(sealed.payload, kinds), partial(sealed.payload_seeds, kinds), longest_bytes=12_000, json_from=1)


TARGETS: dict[str, Target] = {
    "envelope": Target(sealed.raw_envelope, sealed.envelope_seeds, longest_bytes=10_000, json_from=1),
    "orders": _payload(*sealed.ORDERS),
    "programmes": _payload("programme"),
    "documents": _payload(*sealed.DOCUMENTS),
    "reports": _payload(*sealed.REPORTS),
    "node": Target(
        sealed.whole_node, partial(sealed.payload_seeds, sealed.TO_A_NODE), seconds=10, longest_bytes=12_000, json_from=1
    ),
    "rules": Target(sealed.rule, sealed.rule_seeds, longest_bytes=520, words=plain.RULE_WORDS),
    "topics": Target(sealed.topic, sealed.topic_seeds, longest_bytes=200),
    "unsealed": Target(plain.unsealed, plain.unsealed_seeds, longest_bytes=1_000, json_from=1),
    "wire": Target(plain.wire_lines, plain.wire_seeds, longest_bytes=4_000, json_from=1),
    "agent-config": Target(plain.agent_config, plain.agent_config_seeds, words=plain.TOML_WORDS),
    "controller-config": Target(plain.controller_config, plain.controller_config_seeds, words=plain.TOML_WORDS),
    "programme-file": Target(plain.programme_file, plain.programme_file_seeds, longest_bytes=6_000, words=plain.TOML_WORDS),
    "csr": Target(plain.csr, plain.csr_seeds),
    "ranges": Target(plain.ranges, plain.range_seeds, longest_bytes=200),
    "api": Target(plain.api, plain.api_seeds, seconds=30, longest_bytes=6_000, json_from=1),
    "sounds": Target(sound.sounds, sound.sound_seeds, seconds=60, longest_bytes=16_000),
    "player": Target(sound.player, sound.sound_seeds, seconds=60, longest_bytes=16_000),
}
