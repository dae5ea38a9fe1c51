"""Whether those who signed what is held here may still say it: asked at every change of authority and before each sound."""

from edge_agent.core.state import Turn
from protocol.errors import ProtocolError
from protocol.messages import Sealed
from protocol.rules import authorise
from protocol.seen import Seen
from protocol.suspension import standing


def why_not(turn: Turn, payload: Sealed, keyids: tuple[str, ...]) -> str | None:
    """The code of what is wrong with the signers now; None when nothing is."""
    state = turn.state
    try:
        authorise(payload, keyids, trust=state.trust, me=state.me, now=turn.wall, held=True)
    except ProtocolError as error:
        return error.code
    return None


def standing_orders(turn: Turn) -> Seen:
    """What was taken in, without the orders of keys that are suspended or stolen now: they stop and hush nothing."""
    return standing(turn.state.seen, turn.state.trust, turn.wall)
