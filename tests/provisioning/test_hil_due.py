"""When the node in QEMU is proved anew."""

from __future__ import annotations

import msgspec
import pytest

from hil import due


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(due, "SEEN", tmp_path / "seen.json")
    monkeypatch.setattr(due, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(due.os, "geteuid", lambda: 0)
    return tmp_path


def said(capsys) -> str:
    assert due.main() == 0
    out, err = capsys.readouterr()
    assert err.startswith("hil: ")
    return out.strip()


def write_down(inputs: str) -> None:
    due.SEEN.write_bytes(msgspec.json.encode(due.Seen(inputs=inputs, on="29/11/2026", minutes=30, passed=["test_a"])))


def test_the_first_whole_run_is_a_persons(cache, capsys):
    assert said(capsys) == ""
    write_down("of other sources")
    assert said(capsys) == "all"


def test_what_changed_since_is_due_and_what_did_not_only_where_an_image_can_be_had_soon(cache, capsys):
    write_down(due.inputs())
    assert said(capsys) == ""
    (cache / "base.tar-1234").touch()
    assert said(capsys) == "smoke"
    write_down("of other sources")
    assert said(capsys) == "all"


def test_nobody_but_root_builds_an_image(cache, capsys, monkeypatch):
    monkeypatch.setattr(due.os, "geteuid", lambda: 1000)
    assert said(capsys) == ""


def test_a_change_of_the_boot_script_or_of_a_test_is_seen(tmp_path, monkeypatch):
    for name in (*due.INPUTS, "hil/a.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a") if path.suffix else path.mkdir()
    (tmp_path / "provisioning/boot.cmd").write_text("a")
    monkeypatch.setattr(due, "PROJECT", tmp_path)
    seen = [due.inputs()]
    for name in ("provisioning/boot.cmd", "hil/a.py"):
        (tmp_path / name).write_text("b")
        seen.append(due.inputs())
    (tmp_path / "hil/seen.json").write_text("{}")
    assert len(set(seen)) == 3
    assert due.inputs() == seen[-1]
