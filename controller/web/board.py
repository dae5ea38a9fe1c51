"""What moves while an officer looks: nodes, the rows of an incident, the STOP bar. Drawn alike for page and stream."""

from collections.abc import Sequence
from typing import Final

from controller.actions import emergencies, nodes, signatures, status
from controller.actions.views import IncidentView, NodeView
from controller.parts import Actor, Parts
from controller.web.render import Part, drawn
from controller.web.shown import plain
from controller.web.texts import Tongue, say
from controller.web.visitor import Visitor

SHOWN_NODES: Final = 200
ACTIVE: Final = frozenset({"waiting", "sounding"})
AREA_KEY: Final = "-"
"""A STOP or LIFT of a whole area stands among the incidents as `stop-...` or `lift-...`; an incident is hex digits."""
RECENT_MS: Final = 7 * 3_600_000
"""An order may be accepted for six hours; what is older than that and a bit cannot begin to sound any more."""
STATES: Final = ("none", "sent", "received", "sounding", "ended", "stopped", "refused")


async def active(parts: Parts, who: Actor) -> list[IncidentView]:
    """Incidents of one's own that sound or may still begin to, newest first."""
    found = await emergencies.incidents(parts, who, parts.now_ms() - RECENT_MS)
    return [incident for incident in found if incident.state in ACTIVE and not of_area(incident)]


def of_area(incident: IncidentView) -> bool:
    """Whether this is a STOP or LIFT of a whole area, and not something that began to sound."""
    return AREA_KEY in incident.incident


async def active_parts(parts: Parts, visitor: Visitor) -> list[Part]:
    """The STOP bar: one piece an incident, for who may stop."""
    if not visitor.may_stop:
        return []
    return [
        Part(f"active-{one.incident}", drawn("part_active.html", visitor.tongue, incident=one, token=visitor.token))
        for one in await active(parts, visitor.actor)
    ]


async def bottom(parts: Parts, visitor: Visitor) -> list[Part]:
    """What stays at the bottom of every page: STOP for what sounds, and what waits for a second signature."""
    pieces = await active_parts(parts, visitor)
    if not visitor.may_stop:
        return pieces
    waiting = await signatures.list_waiting(parts, visitor.actor)
    return pieces + [Part(f"waiting-{one.id}", drawn("part_waiting.html", visitor.tongue, one=one)) for one in waiting]


async def troubles(parts: Parts, visitor: Visitor) -> list[str]:
    """What is wrong with the controller itself, in words; nothing for who has no duty at all."""
    if not visitor.may("see"):
        return []
    now = await status.now(parts, visitor.actor)
    found = [] if now.broker_connected else [say("trouble.broker", visitor.tongue)]
    return [*found, say("trouble.audit", visitor.tongue)] if now.audit_trouble and visitor.may("people.see") else found


def matching(found: Sequence[NodeView], q: str) -> list[NodeView]:
    """Nodes whose name or place holds the words, accents aside."""
    words = plain(q)
    return [one for one in found if words in plain(f"{one.name} {one.settlement_name} {one.commune_name} {one.id}")]


async def node_parts(parts: Parts, who: Actor, q: str, tongue: Tongue) -> tuple[list[Part], list[Part], int]:
    """The summary line, the cards (worst first, at most 200), and how many nodes there are."""
    everyone = [one for one in await nodes.overview(parts, who) if not one.retired]
    chosen = matching(everyone, q) if q else everyone
    cards = [Part(f"node-{one.id}", drawn("part_node.html", tongue, node=one)) for one in chosen[:SHOWN_NODES]]
    line = drawn(
        "part_summary.html",
        tongue,
        total=len(everyone),
        counts=[sum(one.severity == severity for one in everyone) for severity in range(4)],
        sounding=sum(one.sounding is not None for one in everyone),
        shown=len(cards),
        q=q,
    )
    return [Part("summary-line", line)], cards, len(everyone)


def incident_parts(incident: IncidentView, visitor: Visitor) -> dict[str, list[Part]]:
    """The live regions of an incident's page: how many nodes are how far, what can be done, one row a node."""
    tongue = visitor.tongue
    steps = [(state, sum(row.state == state for row in incident.rows)) for state in STATES]
    clockless = sum(row.nonce is not None for row in incident.rows)
    always = {"sent", "received", "sounding", "ended"}
    return {
        "steps": [
            Part(
                "steps-now",
                drawn(
                    "part_steps.html", tongue, incident=incident, steps=[step for step in steps if step[1] or step[0] in always]
                ),
            )
        ],
        "acts": [
            Part(
                "acts-now",
                drawn(
                    "part_acts.html",
                    tongue,
                    incident=incident,
                    token=visitor.token,
                    may=visitor.may("emergency.lift"),
                    clockless=clockless if visitor.may_start else 0,
                ),
            )
        ],
        "rows": [Part(f"row-{row.node}", drawn("part_row.html", tongue, row=row)) for row in incident.rows],
    }
