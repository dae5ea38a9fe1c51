"""What every way of giving a node its place shares: the site's addresses and pins, the grants above it, its placement, signed."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from controller.actions.views import DocumentView, NodeView, OrderContext
from controller.cli.folder import StateFolder
from controller.cli.link import Link
from controller.cli.sealing import Hand, now_ms
from controller.cli.settings import read_settings
from controller.cli.trust import Taken
from controller.roots import bundle_file
from protocol.documents import ChainLink, Placement
from protocol.errors import Malformed
from provisioning import enrol, papers
from provisioning.ceremony import build_placement
from provisioning.errors import InputRefused
from provisioning.files import read_bytes

PLACEMENT: Final = "placement.json"


class Wish(Struct, frozen=True, kw_only=True):
    """Where a node is to stand, by whose word."""

    node: str
    report_key: str
    station: str | None
    authority: str
    hands: tuple[Hand, ...]


def links_of(folder: StateFolder, documents: list[tuple[str, bytes]]) -> enrol.Links:
    """The addresses and pins of this controller. Raises InputRefused."""
    settings, root = read_settings(folder), papers.read_paper(folder.root)
    return enrol.Links(
        ca_pem=read_bytes(bundle_file(folder.ca), "file of CA roots"),
        root=root.raw or b"",
        root_digest=root.digest,
        broker_host=settings.host,
        broker_port=settings.broker.port,
        media_url=f"https://{settings.host}:{settings.https.port}",
        enrol_url=f"https://{settings.host}:{settings.enrol.port}",
        documents=tuple(documents),
    )


def require_root(folder: StateFolder) -> None:
    """Raise InputRefused before the first root is pinned."""
    if not folder.root.is_file():
        raise InputRefused(f"no root is pinned in {folder.trust}: import it first with `loa trust import root.json`")


def grants_above(folder: StateFolder, context: OrderContext) -> list[tuple[str, bytes]]:
    """The grants above a place, so that a node obeys the right people from its first start, without a network."""
    paths = [folder.trust / f"grant-{link.area}.json" for link in context.chain]
    return [(path.name, path.read_bytes()) for path in paths if path.is_file()]


def placement_of(link: Link, context: OrderContext, view: NodeView, wish: Wish) -> Placement:
    """Where the node stands, replacing an older placement of the same label. Raises InputRefused."""
    chain = tuple(ChainLink(area=each.area, area_no=each.area_no, level=each.level) for each in context.chain)
    older = link.get("/v1/documents", list[DocumentView], kind="placement", subject=wish.node)
    try:
        return build_placement(
            chain=(*chain, ChainLink(area=wish.node, area_no=view.area_no, level="node")),
            report_key=wish.report_key,
            now_ms=now_ms(),
            station=wish.station,
            authority=wish.authority,
            prev=next((each.digest for each in older if each.in_force), None),
            highest_known=max((each.seq for each in older), default=-1),
        )
    except (Malformed, ValueError) as error:
        raise InputRefused(f"no node can stand in {context.area}: {error}") from error


def hand_in(link: Link, paper: Path, raw: bytes) -> None:
    """Give serve a signed placement. Raises InputRefused."""
    try:
        link.post_sealed("/v1/documents", raw, Taken)
    except InputRefused as refused:
        raise InputRefused(
            f"the node is enrolled, but its placement {paper} was refused: {refused}. Write and sign another one "
            "with `loa-provision placement`, then `loa trust import` it"
        ) from refused
