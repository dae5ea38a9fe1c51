"""A node among brokers that live and die: its driver goes where it is told, and connects where somebody listens."""

from edge_agent.commands import GoBy
from edge_agent.events import LinkDown
from protocol.documents import Endpoint, Reach
from tests.core.harness import Node
from tests.core.people import network, settled
from tests.core.player import MS_NS

CARD = Reach()
LOOK_NS = 15_000 * MS_NS


def way(name):
    """A reach with one broker of this name."""
    return Reach(brokers=(Endpoint(host=f"{name}.vn"),))


def towards(name, seq, **body):
    """A network document that asks for it."""
    return network(seq=seq, reach=way(name), **body)


class Wayfarer(Node):
    """`alive` are the ways on which a broker listens, `mute` those of them on which no controller answers.

    `stale` are brokers that hand out an old answer at every connect.
    """

    longest_sleep_s = 10**6

    def __init__(self, at_ms, *documents, alive=(CARD,), mute=(), **more):
        self.alive, self.mute = set(alive), set(mute)
        self.stale: set[Reach] = set()
        self.cut_ns = 1
        self.went: list[Reach] = []
        super().__init__(at_ms, *settled(*documents), **more)

    def _boot(self):
        self.by = CARD
        super()._boot()
        self._look()

    def _obey(self, command):
        if isinstance(command, GoBy):
            self.went.append(command.reach)
            if command.reach != self.by:
                self.by = command.reach
                self.later(self.mono_ns + self.cut_ns, self._cut)
        else:
            super()._obey(command)

    def _cut(self):
        if not self.linked:
            return None
        self.linked = False
        return LinkDown("another way")

    def _look(self):
        """What the driver does again and again: connect where it was told to."""
        self.later(self.mono_ns + LOOK_NS, self._look)
        self.controller.answers_marks = self.by not in self.mute
        if self.linked and self.by not in self.alive:
            self.disconnect()
        elif not self.linked and self.by in self.alive:
            self.connect()
            if self.by in self.stale:
                self.tell_mark(0)

    @property
    def on_card(self):
        """What the next start would find: the reach as it lies on the card."""
        return self.card.reach
