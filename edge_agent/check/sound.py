"""The loudspeaker: a test tone, with the agent out of the way for as long as it takes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.check import unit
from edge_agent.check.tone import DEADLINE_S, TONE_MS, Heard
from edge_agent.player.tones import TEST_PEAK_CDB
from protocol.checks import Check

NEAR_CDB: Final = 50
"""Half a decibel: the tone is rounded to 16 bits and nothing else lies on it."""
SINE_CDB: Final = -301
"""The level of a sine below its peak."""
GIVE_UP_S: Final = DEADLINE_S + 10.0
WARNING: Final = (
    "LOA SẮP KÊU 2 giây, mức nhỏ. Trong lúc ấy (khoảng 10 giây) cụm loa không nghe lệnh nào; máy chủ giữ lệnh lại cho nó.",
    "THE LOUDSPEAKER WILL SOUND for 2 s, softly. Meanwhile (some 10 s) the node hears no orders; the broker keeps them for it.",
)
NOT_SOUNDED: Final = {
    "alarm": ("đang có báo động: không thử / an alarm is under way: no test", "chờ hết báo động / wait until it is over"),
    "closed": ("ngoài giờ hoạt động của đài / outside the station's hours", "thử lại trong giờ / again within its hours"),
    "no-clock": (
        "chưa biết giờ, nên không biết có trong giờ hoạt động không / no clock, so nobody knows whether the station is open",
        "sửa đồng hồ trước / mend the clock first",
    ),
    "busy": (
        "một loa-agent khác đang chạy / another loa-agent runs",
        "tắt nó rồi thử lại / end that one, then run this again",
    ),
}
NOT_ROOT: Final = "chưa thử loa: cần quyền root, `sudo` / the loudspeaker was not tried: only root may, use sudo"
SILENT: Final = "không thử loa (--silent) / not tried (--silent)"


def sound(config: Path, *, silent: bool) -> Check:
    """Warn, stop the agent, sound the tone, start the agent again. Raises Cut when somebody ends this meanwhile."""
    if silent:
        return Check(name="sound", verdict="unknown", seen=SILENT)
    if os.geteuid() != 0:
        return Check(name="sound", verdict="unknown", seen=NOT_ROOT)
    found = unit.read()
    if unit.sounds_now(found):
        seen = "loa đang kêu / it sounds just now"
        return Check(name="sound", verdict="unknown", seen=seen, todo="chạy lại khi im / run this again when it is silent")
    print(*WARNING, sep="\n", file=sys.stderr, flush=True)  # noqa: T201  whoever stands under the horn must know
    try:
        with unit.stopped(found):
            heard = _listen(config, found)
    except unit.UnitFailed as error:
        todo = "`systemctl status loa-agent`"
        return Check(name="sound", verdict="bad", seen=f"systemd: {error}", todo=todo)
    return judge(heard)


def _listen(config: Path, found: unit.Unit | None) -> Heard:
    """The tone's own process, ended with this one."""
    words = [sys.executable, "-m", "edge_agent.check.tone", "--config", str(config)]
    extra = {} if found is None else found.as_agent
    child = subprocess.Popen(words, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **extra)  # type: ignore[call-overload]  # user and groups as subprocess names them
    try:
        said, _ = child.communicate(timeout=GIVE_UP_S)
        return msgspec.json.decode(said, type=Heard)
    except subprocess.TimeoutExpired:
        return Heard(outcome="failed", why=f"{GIVE_UP_S:.0f} s")
    except msgspec.DecodeError:
        return Heard(outcome="failed", why=f"status {child.returncode}")
    finally:
        _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def judge(heard: Heard) -> Check:
    """Good is: the card took two seconds in two seconds, at the level that was asked for."""
    if heard.outcome in NOT_SOUNDED:
        seen, todo = NOT_SOUNDED[heard.outcome]
        return Check(name="sound", verdict="unknown", seen=seen, todo=todo)
    wires = "xem card âm thanh, `aplay -l`, [board] sink và amplifier trong node.toml / look at the sound card and at [board]"
    if heard.outcome == "memory":
        return Check(name="sound", verdict="bad", seen=f"bộ nhớ / memory: {heard.why}", todo="xem dòng thẻ nhớ / see storage")
    if heard.outcome == "failed":
        return Check(name="sound", verdict="bad", seen=f"không kêu / no sound: {heard.why}", todo=wires)
    told = f"{heard.played_ms / 1000:.1f} s, {heard.rms_cdb / 100:.1f} dBFS (RMS)"
    off = abs(heard.rms_cdb - TEST_PEAK_CDB - SINE_CDB) > NEAR_CDB or abs(heard.peak_cdb - TEST_PEAK_CDB) > NEAR_CDB
    if off or abs(heard.played_ms - TONE_MS) > TONE_MS // 10:
        return Check(name="sound", verdict="bad", seen=f"{told}: không như đã gửi / not as it was asked for", todo=wires)
    todo = "không nghe thấy thì lỗi ở khuếch đại, dây, loa / not heard: amplifier, cable or horn"
    return Check(name="sound", verdict="good", seen=f"card đã nhận / the card took {told}", todo=todo)
