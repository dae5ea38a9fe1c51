"""Whatever bytes come from a spreadsheet, a download, a program or a card: a sentence or an answer, never a traceback."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.bmap import read_bmap
from provisioning.disks import parse_lsblk
from provisioning.errors import InputRefused
from provisioning.fat import fat_offset
from provisioning.memory import read_kept
from provisioning.partitions import SECTOR_BYTES, reader, starts
from provisioning.sites import read_sites

HEADS = st.sampled_from([b"", "tên,thôn\n".encode(), b"name;settlement;node;sink;amplifier\n", b"\xef\xbb\xbfname\tthon\n"])
CELLS = st.lists(
    st.sampled_from(["Loa", "52.24076.001", '"', ",", ";", "\n", "\r", "\t", "\0", "ƀ", "\u0306", "=", "gpio:17"])
).map("".join)


def refused_or(answer: Callable[[], object]) -> object:
    with contextlib.suppress(InputRefused):
        return answer()
    return None


@given(head=HEADS, body=st.binary(max_size=200) | CELLS.map(str.encode))
def test_no_table_breaks_the_reader_and_what_it_takes_is_clean(head, body):
    for site in refused_or(lambda: read_sites(head + body, province="52")) or ():
        assert site.name.isprintable()
        assert site.settlement.startswith("52.")


@given(content=st.binary(max_size=300))
def test_no_bytes_are_a_bmap_by_chance(content):
    with pytest.raises(InputRefused):
        read_bmap(b"<bmap>" + content, "bmap")


@given(content=st.binary(max_size=200) | st.sampled_from([b"[]", b"{}", b'{"blockdevices":[{}]}', b'{"blockdevices":null}']))
def test_lsblk_that_says_rubbish_is_a_sentence(content):
    with pytest.raises(InputRefused, match="lsblk"):
        parse_lsblk(content)


@given(table=st.binary(min_size=66, max_size=66), rest=st.binary(max_size=4 * SECTOR_BYTES))
def test_a_partition_table_of_rubbish_points_nowhere_or_somewhere(tmp_path_factory: pytest.TempPathFactory, table, rest):
    if len(rest) % 2:
        table, rest = b"\0" * 4 + b"\xee" + table[5:], b"EFI PART" + rest[8:72].ljust(64, b"\0") + rest[72:]
    card = (bytes(446) + table[:64] + b"\x55\xaa" + rest).ljust(8 * SECTOR_BYTES, b"\0")

    def read(offset_bytes: int, length_bytes: int) -> bytes:
        return card[offset_bytes : offset_bytes + length_bytes]

    (path := tmp_path_factory.mktemp("card") / "card").write_bytes(card)
    assert fat_offset(reader(path)) == fat_offset(read)
    assert all(start % SECTOR_BYTES == 0 for start in starts(read))
    assert fat_offset(read) is None or fat_offset(read) in starts(read)


@given(database=st.binary(max_size=400), log=st.binary(max_size=400), boots=st.binary(max_size=8))
def test_a_memory_of_rubbish_is_told_as_such(tmp_path_factory: pytest.TempPathFactory, database, log, boots):
    folder: Path = tmp_path_factory.mktemp("card")
    (folder / "node.db").write_bytes(b"SQLite format 3\0" + database)
    (folder / "node.db-wal").write_bytes(log)
    (folder / "boots").write_bytes(boots)
    kept = read_kept(folder)
    assert kept.troubles
    assert kept.plays == ()
