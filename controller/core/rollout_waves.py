"""Who is in which wave: canaries first, then growing shares; two neighbours that cover the same place never in one. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from controller.core.rollout import Bounds


def both_ways(neighbours: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Neighbourhood as it is meant: whoever is named by one of the two placements is a neighbour of the other too."""
    found: dict[str, set[str]] = {}
    for node, others in neighbours.items():
        for other in others:
            if other != node:
                found.setdefault(node, set()).add(other)
                found.setdefault(other, set()).add(node)
    return {node: frozenset(others) for node, others in found.items()}


def order_of(release: str, nodes: Iterable[str], reachable: AbstractSet[str], first: Sequence[str] = ()) -> list[str]:
    """Named canaries, then who is there, then the others; each group mixed, so that a wave is not one commune.

    The mixing is drawn from the release's digest: the plan and the start that follows it say the same.
    """

    def drawn(node: str) -> str:
        return hashlib.sha256(f"{release} {node}".encode()).hexdigest()

    rest = sorted(set(nodes) - set(first), key=lambda node: (node not in reachable, drawn(node)))
    return [*first, *rest]


def waves_of(
    order: Sequence[str], neighbours: Mapping[str, frozenset[str]], bounds: Bounds, canaries: int | None = None
) -> tuple[tuple[str, ...], ...]:
    """The waves of these nodes in their order. A share that holds neighbours takes more than one wave to be reached."""
    left, waves, covered = list(order), [], 0
    shares = [-(-len(order) * percent // 100) for percent in bounds.waves_percent]
    for target in (min(canaries or bounds.canaries, len(order)), *shares):
        while covered < target:
            wave = _apart(left, neighbours, target - covered)
            waves.append(wave)
            covered += len(wave)
            taken = frozenset(wave)
            left = [node for node in left if node not in taken]
    return tuple(waves)


def _apart(nodes: Sequence[str], neighbours: Mapping[str, frozenset[str]], most: int) -> tuple[str, ...]:
    """The first of these of whom no two are neighbours; at least one."""
    taken: list[str] = []
    barred: set[str] = set()
    for node in nodes:
        if len(taken) == most:
            break
        if node not in barred:
            taken.append(node)
            barred |= neighbours.get(node, frozenset())
    return tuple(taken)
