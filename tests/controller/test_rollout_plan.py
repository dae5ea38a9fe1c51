"""What a plan promises of nights, and what a node's last words mean to a rollout."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.fleet import NodeState
from controller.core.rollout_plan import Picture, told_of, why_not
from controller.core.rollout_waves import both_ways
from controller.core.rollout_windows import ends_of, window_end_ms
from protocol.documents import NetworkBody
from protocol.release import Bundle, Release, ReleaseBody
from protocol.reports import UpdateState
from protocol.units import MAX_MS

HERE = ZoneInfo("Asia/Ho_Chi_Minh")
DIGEST = "ab" * 32
BODY = ReleaseBody(version="2026.11.7", build=7, floor=1, bundle=Bundle(sha256="7c" * 32, bytes=1_000), manifest="3d" * 32)
RELEASE = Release(
    authority="root",
    area="52",
    area_no=52,
    seq=1,
    purpose="routine",
    subject="loa-node",
    valid_from_ms=0,
    valid_until_ms=MAX_MS,
    body=BODY,
)


def at(text: str) -> int:
    return int(dt.datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=HERE).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "window", "end"),
    [
        ("10/11/2026 09:00", (1_320, 300), "11/11/2026 05:00"),
        ("10/11/2026 23:30", (1_320, 300), "11/11/2026 05:00"),
        ("10/11/2026 04:59", (1_320, 300), "10/11/2026 05:00"),
        ("10/11/2026 05:00", (1_320, 300), "11/11/2026 05:00"),
        ("10/11/2026 09:00", (600, 720), "10/11/2026 12:00"),
        ("10/11/2026 13:00", (600, 720), "11/11/2026 12:00"),
    ],
)
def test_the_window_that_holds_now_or_else_the_next_one_ends_at(now: str, window: tuple[int, int], end: str) -> None:
    network = NetworkBody(fetch_from_min=window[0], fetch_to_min=window[1])
    assert window_end_ms(network, at(now)) == at(end)


@given(start=st.integers(0, 1_439), end=st.integers(0, 1_440), now_ms=st.integers(1_600_000_000_000, 1_900_000_000_000))
def test_a_window_ends_within_two_days_at_its_own_minute(start: int, end: int, now_ms: int) -> None:
    found = window_end_ms(NetworkBody(fetch_from_min=start, fetch_to_min=end), now_ms)
    assert 0 < found - now_ms + 1_000 <= 2 * 86_400_000
    local = dt.datetime.fromtimestamp(found / 1000, HERE)
    assert (local.hour * 60 + local.minute) % 1_440 == end % 1_440


def test_each_wave_takes_the_next_night_of_its_nodes() -> None:
    day = NetworkBody(fetch_from_min=600, fetch_to_min=720)
    ends = ends_of([("a",), ("b", "c"), ("a",)], {"b": day}, at("10/11/2026 09:00"))
    assert ends == [at("11/11/2026 05:00"), at("12/11/2026 05:00"), at("13/11/2026 05:00")]


def test_neighbourhood_goes_both_ways_and_nobody_is_their_own() -> None:
    assert both_ways({"a": ["b", "a"], "c": []}) == {"a": frozenset({"b"}), "b": frozenset({"a"})}


def state(**more) -> NodeState:
    fields = {
        "id": "N0",
        "online": "online",
        "birth": 1,
        "last_heard_ms": 5,
        "boot_count": 1,
        "nonce": None,
        "previous_nonce": None,
        "clock_state": "good",
        "clock_error_ms": None,
        "device_at_ms": None,
        "heard_at_ms": None,
        "holds": (),
        "troubles": (),
        "version": "2026.11.6",
        "missing_media": 0,
        "amnesia": False,
        "record_epoch": 0,
        "records_first": 1,
        "records_upto": 0,
        "model": "loa-node",
    }
    return NodeState(**(fields | more))


def update(phase: str, release: str = DIGEST) -> UpdateState:
    return UpdateState(release=release, build=7, state=phase, bytes_done=10, bytes_of=1_000, reason="x")


def test_a_node_on_trial_runs_the_version_and_is_not_yet_done() -> None:
    assert told_of(state(version="2026.11.7+7"), DIGEST, RELEASE).runs
    trial = told_of(state(version="2026.11.7+7", update=update("trial")), DIGEST, RELEASE)
    assert (trial.runs, trial.state, trial.bytes_done) == (False, "trial", 10)


def test_what_it_says_of_another_release_is_nothing_to_this_one() -> None:
    told = told_of(state(update=update("rolled-back", "cd" * 32)), DIGEST, RELEASE)
    assert (told.release, told.state, told.reason) == ("", "", "")
    assert not told_of(None, DIGEST, RELEASE).reachable


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, None),
        ({"version": "2026.11.7+7"}, "runs-it"),
        ({"version": "2026.11.7+6"}, None),
        ({"version": "2026.11.7"}, None),
        ({"model": "loa-board"}, "model"),
        ({"update": update("rolled-back")}, "failed-it"),
        ({"update": update("refused")}, "failed-it"),
        ({"online": "lost"}, None),
        ({"id": "N1"}, "unplaced"),
    ],
)
def test_who_is_left_out_and_why(more: dict, code: str | None) -> None:
    picture = Picture(chains={}, names={}, settlements={}, placed=frozenset({"N0"}), neighbours={}, networks={})
    found = why_not(state(**more), picture, DIGEST, RELEASE)
    assert (found[0] if found else None) == code
