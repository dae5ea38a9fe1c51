"""`loa serve` as a process: one at a time, a clean end, sentences for mistakes, who may open its socket, who did what."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from controller.actions.views import AuditView
from controller.config import load
from controller.errors import ConfigWrong
from controller.init import InitOptions, initialise
from controller.store.database import migrate, open_engine, url_of
from controller.store.schema import metadata
from tests.controller.headquarters import SETTLEMENT, Headquarters


def run_serve(state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "controller", "--state", str(state)], capture_output=True, text=True, timeout=60, check=False
    )


def test_it_ends_cleanly_and_leaves_no_socket(own_hq: Headquarters) -> None:
    assert own_hq.kill("serve", signal.SIGTERM) == 0
    assert not (own_hq.state / "run" / "loa.sock").exists()
    assert "Traceback" not in own_hq.log("serve")


def test_a_second_serve_on_one_folder_is_refused(hq: Headquarters) -> None:
    second = run_serve(hq.state)
    assert second.returncode == 2
    assert "another `loa serve` runs" in second.stderr
    assert hq.status().broker_connected


def test_its_socket_is_for_its_user_alone_and_names_the_peer(hq: Headquarters) -> None:
    path = hq.state / "run" / "loa.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    hq.post("/v1/orders", hq.sealed(hq.stop_order(SETTLEMENT)))
    newest = hq.get("/v1/audit", list[AuditView], limit=1)[0]
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert (newest.actor, newest.via, newest.act) == (user, "cli", "order.stop")
    assert "officer" in newest.detail


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("province = 52\n", "province"),
        ('province = "52"\n[broker]\nport = 70000\n', "port"),
        ('province = "52"\nprovnce = "52"\n', "provnce"),
        ("province = \n", "TOML"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_sentence_with_file_key_and_remedy(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "loa.toml").write_text(text)
    ended = run_serve(tmp_path)
    assert ended.returncode == 2
    assert str(tmp_path / "loa.toml") in ended.stderr
    assert named in ended.stderr
    assert "correct that" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_folder_that_is_none_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigWrong, match="loa init"):
        load(tmp_path)


def test_a_port_that_is_taken_is_named(hq: Headquarters, tmp_path: Path) -> None:
    taken = hq.status().https_port
    initialise(tmp_path / "state", InitOptions(province=52, broker_port=0, https_port=taken))
    ended = run_serve(tmp_path / "state")
    assert ended.returncode == 2
    assert str(taken) in ended.stderr
    assert "[https]" in ended.stderr


def test_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    url = url_of(tmp_path / "loa.db")
    migrate(url)
    migrate(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_database_is_durable_and_checks_its_references(tmp_path: Path) -> None:
    engine = open_engine(url_of(tmp_path / "loa.db"))
    with engine.connect() as connection:
        told = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    engine.dispose()
    assert told == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
