"""Power, card, clock, enrolment and firmware: each read by the same functions as the agent's own, each one line for a person."""

import asyncio
import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Final

from edge_agent import status
from edge_agent.config import Config
from edge_agent.core.clock import FLOOR_BUILD_MS, judged
from edge_agent.core.node import DISK_LOW_BYTES
from edge_agent.drivers import system
from edge_agent.errors import SlotsUnavailable
from edge_agent.events import Instant
from edge_agent.material import open_clock
from protocol.checks import Check
from protocol.units import ClockState

PROBE_BYTES: Final = 4096
SLOTS_DEADLINE_S: Final = 15.0
SOON_MS: Final = 14 * 86_400_000
"""The agent renews from a month before the end; a certificate with less than this was not renewed for want of a link."""
MIB: Final = 1 << 20


def power(low: bool | None, sagged: bool | None, slowed: bool | None) -> Check:
    """The supply now and since boot, as the board itself watches it."""
    if low is None and slowed is None:
        seen = "máy này không tự đo nguồn / this board does not watch its supply"
        return Check(name="power", verdict="unknown", seen=seen, todo="đo bằng đồng hồ: 4.9-5.2 V / measure it: 4.9-5.2 V")
    todo = "thay nguồn 5 V đủ 3 A, dây ngắn và to hơn / take a 5 V supply of 3 A, a shorter and thicker cable"
    if low:
        return Check(name="power", verdict="bad", seen="sụt áp, dưới 4.63 V / under 4.63 V now", todo=todo)
    if sagged:
        return Check(name="power", verdict="bad", seen="đã sụt dưới 4.63 V từ khi bật / fell under 4.63 V since boot", todo=todo)
    if slowed:
        todo = "xem nguồn, quạt, nắng / look at supply, fan and sun"
        return Check(name="power", verdict="bad", seen="máy tự chạy chậm lại / the board slows itself down", todo=todo)
    if low is None:
        return Check(name="power", verdict="good", seen="máy không phải chạy chậm lại / the board is not slowed down")
    past = "" if sagged is None else ", từ khi bật cũng vậy / nor since boot"
    return Check(name="power", verdict="good", seen=f"không sụt dưới 4.63 V / not under 4.63 V{past}")


def look_at_power() -> Check:
    """The same, read now."""
    return power(system.power_low(), system.power_sagged(), system.slowed_down())


def storage(folder: Path) -> Check:
    """Whether the node's folder takes what is written, how much room there is, and what ext4 has counted."""
    change = "thay thẻ nhớ (mục 1, --node) / change the card"
    restart = "khởi động lại; còn vậy thì thay thẻ nhớ / start it again; if it stays so, change the card"
    try:
        free_mib = shutil.disk_usage(folder).free / MIB
        is_read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
        errors = system.file_system_errors(folder)
        wrote_ms = None if is_read_only else _write_probe(folder)
    except OSError as error:
        seen = f"{folder}: {error.strerror or error}"
        return Check(
            name="storage", verdict="bad", seen=seen, todo="xem `df -h` và chủ thư mục / look at `df -h`, and who owns it"
        )
    if wrote_ms is None:
        seen = f"{folder}: chỉ đọc được / is read-only"
        return Check(name="storage", verdict="bad", seen=seen, todo=restart)
    counted = "" if errors is None else f", {errors} lỗi ext4 / ext4 errors"
    seen = f"còn / free {free_mib:.0f} MiB, ghi / write {wrote_ms:.0f} ms{counted}"
    if errors:
        return Check(name="storage", verdict="bad", seen=seen, todo=change)
    if free_mib * MIB < DISK_LOW_BYTES:
        todo = "thẻ sắp đầy, `df -h` / the card is nearly full"
        return Check(name="storage", verdict="bad", seen=seen, todo=todo)
    return Check(name="storage", verdict="good", seen=seen)


def _write_probe(folder: Path) -> float:
    """Write one block, sync it, take it away: how long that took (ms). O_EXCL: root follows no link of the agent's user here."""
    path = folder / f".check-{secrets.token_hex(8)}"
    began_s = time.monotonic()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, bytes(PROBE_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()
    return (time.monotonic() - began_s) * 1000


def trust_of(now: Instant) -> ClockState:
    """How far the agent would trust this clock by its time source alone; what an RTC adds, it knows from its own memory."""
    if now.clock == "unknown" or now.wall_ms < FLOOR_BUILD_MS:
        return "unknown"
    return judged(now.clock, now.error_ms)


async def look_at_clock(config: Config) -> Instant:
    """Now, as whoever keeps the clock in step tells it. Raises ConfigWrong."""
    clock = open_clock(config, lambda _event: None)
    await clock.open()
    return clock.instant()


def clock(config: Config, now: Instant) -> Check:
    """What the time is worth here."""
    state = trust_of(now)
    source = config.board.clock
    bound = "" if now.error_ms is None else f", sai không quá / off by at most {now.error_ms} ms"
    rtc = "" if now.rtc_apart_ms is None else f", RTC lệch / apart {now.rtc_apart_ms / 1000:.1f} s"
    if state == "good":
        return Check(name="time", verdict="good", seen=f"đúng / good ({source}){bound}{rtc}")
    if state == "holdover":
        todo = "mở đường tới máy chủ giờ (NTP, UDP 123) / open the way to a time server"
        return Check(name="time", verdict="unknown", seen=f"tự chạy / holdover ({source}){bound}{rtc}", todo=todo)
    todo = "cần mạng tới máy chủ giờ (NTP, UDP 123); `systemctl status chrony` / a time server must be reached"
    seen = f"chưa biết giờ, không phát theo giờ / unknown: nothing timed plays ({source}){bound}{rtc}"
    return Check(name="time", verdict="bad", seen=seen, todo=todo)


def enrolment(found: status.Enrolled, now_ms: int, *, clock_usable: bool) -> Check:
    """How far the node is, and how long its certificate lasts."""
    words = status.STEPS[found.step]
    if found.step == "new":
        todo = "bật agent: `systemctl start loa-agent` / start the agent"
        return Check(name="enrolment", verdict="bad", seen=words, todo=todo)
    if found.step == "asking":
        todo = "xem dòng đường tới máy chủ; `loa node expect` / look at the link; was the label announced?"
        return Check(name="enrolment", verdict="bad", seen=f"{words} ({found.digits})", todo=todo)
    seen = f"{words}; chứng chỉ đến / certificate until {found.until}"
    left_ms = (found.until_ms or 0) - now_ms
    if clock_usable and left_ms < SOON_MS:
        todo = "mở mạng, máy tự gia hạn / open the link: it renews by itself"
        return Check(name="enrolment", verdict="bad" if left_ms < 0 else "unknown", seen=seen, todo=todo)
    if found.step == "pending":
        todo = f"đọc sáu số cho người duyệt / read the six digits to whoever approves: {found.digits}"
        return Check(name="enrolment", verdict="bad", seen=seen, todo=todo)
    return Check(name="enrolment", verdict="good", seen=seen)


async def firmware(*, has_slots: bool, bus_address: str | None = None) -> Check:
    """Which copy of the firmware runs, and which are good."""
    if not has_slots:
        return Check(name="firmware", verdict="unknown", seen="máy có một bản, không tự cập nhật / one copy, without updates")
    from edge_agent.drivers.slots.bus import Bus

    bus = Bus(bus_address, lambda _member, _body: None)
    try:
        async with asyncio.timeout(SLOTS_DEADLINE_S):
            await bus.open()
            if await bus.property("Operation") != "idle":
                seen = "đang cài bản mới, đừng rút điện / installing: do not cut the power"
                return Check(name="firmware", verdict="unknown", seen=seen, todo="chạy lại sau / run this again later")
            copies = await bus.copies()
    except (SlotsUnavailable, TimeoutError) as error:
        todo = "`systemctl status rauc`, `rauc status`"
        return Check(name="firmware", verdict="bad", seen=f"RAUC: {error or 'no answer'}", todo=todo)
    finally:
        bus.close()
    each = ", ".join(f"{name} {'tốt / good' if good else 'hỏng / bad'}" for name, good in sorted(copies.good.items()))
    seen = f"đang chạy / runs {copies.booted}; {each}"
    if not copies.good.get(copies.booted, False):
        todo = "chờ 10 phút cho máy tự thử; còn vậy thì thay thẻ / wait 10 minutes for its own test, else change the card"
        return Check(name="firmware", verdict="bad", seen=seen, todo=todo)
    if not all(copies.good.values()) or copies.next != copies.booted:
        todo = "bản kia chưa dùng được: máy chạy bình thường, báo người vận hành / no way back: tell the operator"
        return Check(name="firmware", verdict="unknown", seen=seen, todo=todo)
    return Check(name="firmware", verdict="good", seen=seen)
