"""The record of a ceremony: an A4 page in Vietnamese and English to be printed and signed. No secret is in it."""

from collections.abc import Iterable
from html import escape
from typing import Final

from protocol.documents import Role, Root
from protocol.trust import public_key
from provisioning.plan import Plan
from provisioning.showing import moment

GROUP: Final = 4
GROUPS_A_LINE: Final = 4
ROLE_WORDS: Final = {
    "root": "gốc / root",
    "delegate": "phân quyền / delegate",
    "placement": "đặt vị trí / placement",
    "release": "phần mềm / release",
    "time": "giờ / time",
}
STYLE: Final = """
@page { size: A4; margin: 18mm }
body { font: 11pt/1.4 "Noto Sans", "DejaVu Sans", Arial, sans-serif; max-width: 174mm; margin: auto; color: #000 }
h1 { font-size: 16pt; text-align: center } h2 { font-size: 12pt; margin: 6mm 0 2mm }
table { border-collapse: collapse; width: 100% }
td, th { border: 1px solid #000; padding: 1.5mm 2mm; vertical-align: top; text-align: left }
tr { break-inside: avoid } .read { font: 13pt/1.7 "DejaVu Sans Mono", monospace; white-space: pre } .small { font-size: 8.5pt }
.key { font: 8.5pt/1.4 "DejaVu Sans Mono", monospace; white-space: pre } .sign { height: 16mm; min-width: 40mm }
"""


def groups(digest: str) -> str:
    """A digest for reading aloud: four letters a group, four groups a line, lines numbered."""
    parts = [digest[start : start + GROUP] for start in range(0, len(digest), GROUP)]
    lines = [parts[start : start + GROUPS_A_LINE] for start in range(0, len(parts), GROUPS_A_LINE)]
    return "\n".join(f"{number}: {' '.join(line)}" for number, line in enumerate(lines, 1))


def _row(cells: Iterable[str], tag: str = "td") -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _roles(root: Root) -> str:
    rows = []
    for name, words in ROLE_WORDS.items():
        role: Role | None = getattr(root.body, name)
        if role is not None:
            rows.append(_row((words, f"{role.threshold} / {len(role.persons)}", escape(", ".join(role.persons)))))
    return "".join(rows)


def _people(plan: Plan, root: Root, signed_by: frozenset[str]) -> str:
    publics = {key.person: key.public for key in root.body.keys}
    rows = []
    for person in plan.persons:
        kept = "thẻ khóa / token" if person.token else "tệp mã hóa / encrypted file"
        public = publics[person.id]
        keyid = public_key(public).keyid
        signed = "<br>đã ký gốc / signed the root" if keyid in signed_by else ""
        keys = f'<span class="key">{groups(public)}</span><br><span class="small">mã khóa / key id {keyid[:16]}…</span>'
        roles = ", ".join(ROLE_WORDS[role] for role in person.roles)
        who = f"<b>{escape(person.name)}</b><br>{escape(person.id)}<br>{roles}<br>{kept}{signed}"
        rows.append(_row((who, keys, '<div class="sign"></div>')))
    return "".join(rows)


def html(plan: Plan, root: Root, digest: str, *, signed_by: frozenset[str], at_ms: int) -> str:
    """The whole page."""
    heads = _row(("Người giữ khóa / key holder", "Khóa công khai / public key", "Ký tên / signature"), "th")
    witnesses = [
        _row((f"<b>{escape(name)}</b><br>chứng kiến / witness", '<div class="sign"></div>'))
        for name in (*plan.witnesses, "&nbsp;")
    ]
    return f"""<!doctype html>
<html lang="vi"><meta charset="utf-8"><title>Biên bản lễ ký gốc tin cậy {escape(plan.area)}</title><style>{STYLE}</style>
<h1>BIÊN BẢN LỄ KÝ GỐC TIN CẬY<br><span class="small">Record of the root key ceremony</span></h1>
<p>Khu vực / area: <b>{escape(plan.area)}</b>, số / number {root.area_no}. Nơi / place: {escape(plan.place) or "…" * 20}.<br>
Lúc / at: {moment(at_ms)}. Gốc phiên bản / root version: <b>{root.body.version}</b>.</p>
<h2>1. Dấu của gốc: đọc to từng nhóm, hai người cùng dò / The root's digest, read aloud by groups, two persons comparing</h2>
<div class="read">{groups(digest)}</div>
<p class="small">Dấu này được ghim vào mọi cụm loa (loa trust import --pin). Ai đọc ra dấu khác thì dừng lại.<br>
This digest is pinned in every node. If anybody reads another one, stop.</p>
<h2>2. Vai trò / Roles</h2>
<table>{_row(("Vai trò / role", "Số người cùng ký / of", "Ai / who"), "th")}{_roles(root)}</table>
<h2>3. Người giữ khóa / Key holders</h2>
<table>{heads}{_people(plan, root, signed_by)}</table>
<p class="small">Mỗi người cam đoan: tự đặt mật khẩu (hoặc mã PIN), không ai khác biết; khóa cất riêng, có một bản sao ở nơi khác;
mất hoặc lộ thì báo ngay.<br>Each declares: I chose my passphrase (or PIN) alone; I keep my key apart, with one copy elsewhere;
I report its loss or theft at once.</p>
<h2>4. Chứng kiến / Witnesses</h2>
<table>{"".join(witnesses)}</table>
</html>
"""
