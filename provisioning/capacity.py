"""Finds the true size of a card: fakes claim 64 GB, hold 8, and write what comes after over what came before, or nowhere.

Markers, each sector with its own address, go to every 64 MiB up to the claimed end, the far ones first, and last to all of the
first 64 MiB. A card that wraps around at any number of sectors then has one of the far markers under one of the near ones, and
the near one's address tells the size exactly. A card that forgets what lies behind its end is found by halving.
"""

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from provisioning.device import Device
from provisioning.errors import CardFailed

STRIDE_BYTES: Final = 64 << 20
BLOCK_BYTES: Final = 4096
SECTOR_BYTES: Final = 512
PIECE_BYTES: Final = 1 << 20
_NONCE_BYTES: Final = 16
_ADDRESS_BYTES: Final = 8

Told = Callable[[int], None]


class _Misread(Struct, frozen=True):
    """A sector that gave back another marker (`found`), or none of ours."""

    at: int
    found: int | None


class _Markers:
    """What is written where; a fresh nonce each time, or the last run's markers would pass for this one's."""

    def __init__(self, nonce: bytes) -> None:
        self._nonce = nonce

    def sector(self, at: int) -> bytes:
        head = self._nonce + at.to_bytes(_ADDRESS_BYTES, "big")
        return head + hashlib.shake_128(head).digest(SECTOR_BYTES - len(head))

    def run(self, at: int, length_bytes: int) -> bytes:
        return b"".join(self.sector(each) for each in range(at, at + length_bytes, SECTOR_BYTES))

    def misread(self, at: int, content: bytes) -> Iterator[_Misread]:
        for start in range(0, len(content), SECTOR_BYTES):
            sector = content[start : start + SECTOR_BYTES]
            if sector == self.sector(at + start):
                continue
            address = int.from_bytes(sector[_NONCE_BYTES : _NONCE_BYTES + _ADDRESS_BYTES], "big")
            yield _Misread(at + start, address if sector == self.sector(address) else None)


def probe_bytes(size_bytes: int, stride_bytes: int = STRIDE_BYTES) -> int:
    """How many bytes a probe writes and reads, to show how far it is."""
    return 2 * sum(length for _at, length in _runs(size_bytes, stride_bytes))


def _runs(size_bytes: int, stride_bytes: int) -> list[tuple[int, int]]:
    """Where markers go, in the order of writing: far ones from the end down, then all of the first stride in pieces."""
    near = min(stride_bytes, size_bytes)
    last = size_bytes // SECTOR_BYTES * SECTOR_BYTES - BLOCK_BYTES
    far = sorted({*range(stride_bytes, last, stride_bytes), *([last] if last > near else [])}, reverse=True)
    return [(at, BLOCK_BYTES) for at in far] + [(at, min(PIECE_BYTES, near - at)) for at in range(0, near, PIECE_BYTES)]


def check_capacity(
    device: Device, told: Told = lambda _count: None, *, stride_bytes: int = STRIDE_BYTES, nonce: bytes | None = None
) -> None:
    """Write markers all over the card and read them back. Raises CardFailed naming the true size of a fake, or a broken card."""
    markers = _Markers(nonce or os.urandom(_NONCE_BYTES))
    runs = _runs(device.size_bytes // SECTOR_BYTES * SECTOR_BYTES, stride_bytes)
    for at, length in runs:
        device.write(at, markers.run(at, length))
        told(length)
    device.settle()
    good, wrong = [], []
    for at, length in sorted(runs):
        misread = list(markers.misread(at, device.read(at, length)))
        wrong += misread
        if not misread:
            good.append(at + length)
        told(length)
    if wrong:
        raise _verdict(device, markers, good, wrong)


def _verdict(device: Device, markers: _Markers, good: list[int], wrong: list[_Misread]) -> CardFailed:
    apart = [abs(each.at - each.found) for each in wrong if each.found is not None]
    if apart:
        return _fake(device, math.gcd(*apart))
    first_bad = wrong[0].at
    broken = bool(good) and good[-1] > first_bad
    end = 0 if broken else _end(device, markers, good[-1] if good else 0, first_bad)
    if broken or end > device.size_bytes - 2 * BLOCK_BYTES:
        return CardFailed(
            f"{device.name}: thẻ hỏng ở {first_bad / 1e6:.0f} MB, bỏ thẻ này"
            f" / the card is broken: at {first_bad / 1e6:.0f} MB it gives back other bytes than were written; throw it away"
        )
    return _fake(device, end)


def _end(device: Device, markers: _Markers, good: int, bad: int) -> int:
    """Where it stops to remember: a byte below `good` was there, one at `bad` was not."""
    while bad - good > BLOCK_BYTES:
        middle = (good + bad) // 2 // SECTOR_BYTES * SECTOR_BYTES
        device.write(middle, markers.run(middle, SECTOR_BYTES))
        device.settle()
        if any(markers.misread(middle, device.read(middle, SECTOR_BYTES))):
            bad = middle
        else:
            good = middle + SECTOR_BYTES
    return bad


def _fake(device: Device, true_bytes: int) -> CardFailed:
    return CardFailed(
        f"{device.name}: THẺ GIẢ: ghi là {device.size_bytes / 1e9:.1f} GB, thật chỉ {true_bytes / 1e9:.1f} GB ({true_bytes} byte)"
        f" / a fake: it claims {device.size_bytes / 1e9:.1f} GB and holds {true_bytes / 1e9:.1f} GB; do not use it"
    )
