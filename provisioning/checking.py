"""What a file of authority is worth: verified against a pinned root and grants, by the same door as on the node."""

from pathlib import Path

from msgspec import Struct

from protocol.documents import ChainLink, Grant, Placement
from protocol.envelope import Opened, unseal
from protocol.errors import ProtocolError
from protocol.release import Release
from protocol.reports import FetchStatement, Hello, Receipt
from protocol.rules import Clock, Me
from protocol.seen import Seen
from protocol.trust import Signer, Trust
from protocol.units import Document
from provisioning.ceremony import LEVELS, links
from provisioning.errors import InputRefused
from provisioning.papers import Paper, open_root, read_paper


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether a document counts, by whom, or why not."""

    good: bool
    sentence: str
    signers: tuple[Signer, ...] = ()


def chain_above(area: str) -> tuple[ChainLink, ...]:
    """The chain of an official dotted area id; numbers do not matter to authority and are 0 here."""
    parts = area.split(".")[: len(LEVELS)]
    prefixes = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
    return links(area, dict.fromkeys(prefixes, 0)) if len(area.split(".")) <= len(LEVELS) else ()


def _standing(trust: Trust, paper: Paper) -> Trust:
    """The same trust, read from where the document applies."""
    payload = paper.payload
    if isinstance(payload, Placement):
        return trust.standing_in(payload.body.chain)
    area = payload.subject if isinstance(payload, Document) else payload.area
    return trust.standing_in(chain_above(area))


def _open(paper: Paper, trust: Trust) -> Opened:
    """Open a sealed paper as of the moment it was issued. Raises a ProtocolError."""
    at_issue = Clock(paper.payload.seq, "good")
    return unseal(paper.raw or b"", topic=None, trust=_standing(trust, paper), me=Me(), now=at_issue, seen=Seen())


def load_trust(root: Path, pin: str | None, under: list[Path]) -> Trust:
    """The pinned root with the grants and placements that a document stands on, widest first. Raises InputRefused."""
    trust = Trust(open_root(root, pin))
    papers = [read_paper(path) for path in under]
    for paper in sorted(papers, key=lambda each: (each.kind != "grant", len(each.payload.area))):
        if not isinstance(paper.payload, Grant | Placement):
            raise InputRefused(f"{paper.path} is a {paper.kind}: --under takes grants and placements")
        if paper.raw is None:
            raise InputRefused(f"{paper.path} is still a draft: it gives no authority until it is signed")
        try:
            _open(paper, trust)
        except ProtocolError as error:
            raise InputRefused(f"{paper.path} is not in force under {root}: {error}") from error
        trust = trust.with_document(paper.payload)
    return trust


def judge(paper: Paper, trust: Trust) -> Verdict:
    """Verify a paper as at its issue; a draft is said to be one, a root that is the pinned one itself is told as such."""
    if paper.raw is None:
        return Verdict(good=False, sentence="a draft: nobody has signed it yet")
    if paper.kind == "root" and paper.payload == trust.root:
        return Verdict(good=True, sentence="the pinned root, signed by its own persons", signers=_own(paper, trust))
    try:
        opened = _open(paper, trust)
    except ProtocolError as error:
        return Verdict(good=False, sentence=f"{error.code}: {error}")
    return Verdict(good=True, sentence="signed by enough empowered persons", signers=opened.signers)


def _own(paper: Paper, trust: Trust) -> tuple[Signer, ...]:
    return trust.signers("root", paper.keyids)


def _releases(trust: Trust, keyid: str) -> bool:
    role = trust.root.body.release if trust.root is not None else None
    return role is not None and any(signer.person in role.persons for signer in trust.signers("root", [keyid]))


def would_count(paper: Paper, keyid: str, trust: Trust | None) -> bool:
    """Whether a key's signature under a paper could count for anything, as far as the named root and grants tell."""
    payload = paper.payload
    views = [trust] if trust is not None else []
    if paper.kind == "root":
        views.append(Trust(payload))  # type: ignore[arg-type]  # its kind is root, so its class is Root
        return any(view.signers("root", [keyid]) for view in views)
    if isinstance(payload, Hello | Receipt | FetchStatement):
        return False
    if isinstance(payload, Release):
        return any(_releases(view, keyid) for view in views)
    return any(view.signers(payload.authority, [keyid]) for view in views)
