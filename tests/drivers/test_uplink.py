"""What the agent says of access point and time sources: beside the broker's addresses, and never its end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from edge_agent.commands import GoBy
from edge_agent.desk import Desk
from edge_agent.drivers.uplink import Uplink
from protocol.documents import Apn, Endpoint, Reach


def test_a_way_goes_to_the_broker_and_to_the_uplink(tmp_path: Path):
    reach = Reach(brokers=(Endpoint(host="a.vn"),), apn=Apn(name="v-internet"))
    gone: list[object] = []
    parts = SimpleNamespace(uplink=Uplink(tmp_path), broker=SimpleNamespace(go_to=gone.append))
    Desk(None, None)._carry_out(parts, GoBy(reach))
    assert gone == [reach.brokers]
    assert (tmp_path / "network").read_text() == "apn v-internet\n"


def test_without_systemd_there_is_no_folder_and_nothing_is_asked_for(tmp_path: Path):
    Uplink(tmp_path / "none").lay(Reach(apn=Apn(name="v-internet")))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_no_end_of_the_agent(tmp_path: Path):
    (tmp_path / ".network.new").mkdir()
    Uplink(tmp_path).lay(Reach(apn=Apn(name="v-internet")))
    assert not (tmp_path / "network").exists()
