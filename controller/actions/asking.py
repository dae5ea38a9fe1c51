"""The question before every act: may this person do that there? The table is in core.access; here is who asks it of what."""

from collections.abc import Sequence

from controller.core import access
from controller.core.access import Act
from controller.core.world import World
from controller.errors import Refused
from controller.parts import Actor, Parts


def chain_ids(world: World, area: str) -> tuple[str, ...]:
    """The areas from the province down to an area or node; nothing for one that nobody knows."""
    return tuple(link.area for link in world.chain_of(area))


def ask(parts: Parts, who: Actor, act: Act, *areas: str) -> None:
    """Whether the act is allowed in each of these areas (of the whole province, when none is named). Raises Refused.

    An area that nobody knows is asked for as the province: whoever may act everywhere is told so by the act itself.
    """
    province = (parts.config.settings.province,)
    for area in areas or province:
        if not access.may(who.duties, act, chain_ids(parts.world, area) or province):
            raise Refused(
                f"{who.name} has no duty that allows {act} in {parts.world.name_of(area)}: an operator can give one "
                "(`loa person grant`)",
                code="right",
                status=403,
            )


def ask_somewhere(who: Actor, act: Act) -> None:
    """Whether the act is allowed in any area at all. Raises Refused."""
    if not access.may_somewhere(who.duties, act):
        raise Refused(
            f"{who.name} has no duty that allows {act}: an operator can give one (`loa person grant`)", code="right", status=403
        )


def allowed(parts: Parts, who: Actor, act: Act, area: str) -> bool:
    """Whether the act is allowed there: for lists, which leave out what is not one's own."""
    return access.may(who.duties, act, chain_ids(parts.world, area))


def own_share(parts: Parts, who: Actor, act: Act, areas: tuple[str, ...]) -> tuple[str, ...]:
    """Of an incident in several areas one ends what lies in one's own. Raises Refused when nothing does."""
    own = tuple(area for area in areas if allowed(parts, who, act, area))
    if not own:
        ask(parts, who, act, *areas)
    return own


def concerns(parts: Parts, who: Actor, areas: Sequence[str]) -> bool:
    """Whether something said to these areas is one's business: it lies in one's own area, or one's own lies in it."""
    if any(duty.area == access.WHOLE for duty in who.duties):
        return True
    above = {duty.area: chain_ids(parts.world, duty.area) for duty in who.duties}
    return any(access.touches(who.duties, chain, above) for area in areas if (chain := chain_ids(parts.world, area)))


def sees_all(parts: Parts, who: Actor) -> bool:
    """Whether one sees the whole province: what belongs to no area is shown to them alone."""
    return access.may(who.duties, "see", (parts.config.settings.province,))
