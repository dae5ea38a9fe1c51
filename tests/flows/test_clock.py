"""A real agent under a real chronyd (which leaves the machine's clock alone): what plays, what its records and hellos say."""

from __future__ import annotations

import os
import re
import shutil
from datetime import timedelta

import pytest

from edge_agent.core.clock import GOOD_MS
from protocol.reports import PlayRecord
from tests.chronyd import follower, free_udp_port, needs_chronyd, server
from tests.flows.hearing import in_s, item, keep_media, media, on_the_card, tone
from tests.waiting import until


@pytest.fixture
def daemons():
    started = []
    yield started
    for daemon in started:
        daemon.close()


def with_chrony(commune, node, tmp_path, daemon) -> dict[str, str]:
    """`clock = "chrony"`, and a chronyc that finds this daemon's private socket."""
    toml = commune.nodes[node]
    toml.write_text(re.sub(r'^clock = ".*"$', 'clock = "chrony"', toml.read_text(), flags=re.MULTILINE))
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "chronyc").write_text(f'#!/bin/sh\nexec {shutil.which("chronyc")} -h {daemon.socket} "$@"\n')
    (folder / "chronyc").chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


@needs_chronyd
async def test_a_record_says_by_which_clock_it_was_told_and_a_lost_chronyd_is_told(
    commune, office, agents, node, tmp_path, daemons
):
    port = free_udp_port()
    daemons.append(server(port))
    daemons.append(follower(port))
    content = tone(tmp_path)
    keep_media(commune, node, content)
    # a reading of chronyd takes its time, and on a busy machine its own bound leaves a second now and then
    due = [item(f"tin-{number}", media(content), in_s(4) + timedelta(seconds=number * 10)) for number in range(12)]
    on_the_card(commune, node, commune.station(), commune.programme(*due))
    agents(node, environment=with_chrony(commune, node, tmp_path, daemons[1]))
    await office.up(node)

    def told() -> PlayRecord | None:
        records = office.records.get(node, {}).values()
        return next((record for record in records if record.ending == "played" and record.clock_state == "good"), None)

    record = await until(told, 130, what="a record from under a good clock")
    assert 0 < record.clock_error_ms <= GOOD_MS
    others = [each for each in office.records[node].values() if each.clock_state == "holdover"]
    assert all(each.clock_error_ms > GOOD_MS for each in others), "only the bound keeps a clock that is in step from being good"
    daemons[1].end()
    await until(lambda: "clock-failed" in office.hello(node).troubles, 40, what="the word that chronyd is gone")
    assert office.hello(node).clock_state in ("good", "holdover"), "its last reading still holds"


@needs_chronyd
async def test_under_a_chronyd_that_never_was_in_step_nothing_timed_plays(commune, office, agents, node, tmp_path, daemons):
    daemons.append(follower(free_udp_port()))
    agents(node, environment=with_chrony(commune, node, tmp_path, daemons[0]))
    hello = await office.up(node)
    assert hello.clock_state == "unknown"
    assert "clock-unknown" in hello.troubles
    assert "clock-failed" not in office.hello(node).troubles, "chronyd answers: it is the time that is missing"
