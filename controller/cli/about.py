"""What every act on one node begins with: a state folder, an id without a slip, a question, serve."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.cli.folder import StateFolder
from controller.cli.link import Link
from provisioning.enrol import check_node_id
from provisioning.terminal import ask


@contextmanager
def about_node(state: Path, node: str, question: str, *, yes: bool) -> Iterator[tuple[Link, str]]:
    """Serve, and the node's id, once a person agreed; the question names the node where it has `{}`. Raises InputRefused."""
    folder = StateFolder(state).require()
    identity = check_node_id(node)
    ask(question.format(identity), yes=yes)
    with Link(folder.socket) as link:
        yield link, identity
