"""The signing page's files stand in the signed release: whoever serves others is found out, by anybody."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.provisioning.test_provision_releases import NEW, _sign, desk, furnished, pytestmark

__all__ = ["desk", "furnished", "pytestmark"]


def loa(*words: object) -> subprocess.CompletedProcess[str]:
    program = (sys.executable, "-c", "from controller.cli import main; main()", "signing-page")
    return subprocess.run((*program, *map(str, words)), capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def released(desk: Path, provision) -> Path:
    """A release that names the page's files, signed by two."""
    assert loa("--to", desk / "page").returncode == 0
    assert provision(*NEW, "--floor", "5", "--page", "page").code == 0
    for person in ("binh", "chi"):
        assert _sign(desk, person).code == 0
    return desk


@pytest.fixture
def site(released: Path):
    """The copied files, served by another program."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words, **more):
            super().__init__(*words, directory=str(released / "page"), **more)

        def log_message(self, *_words) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def held(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return loa("--release", folder / "release.json", "--root", folder / "root.json", *words)


def test_the_page_of_this_installation_and_the_served_one_are_those_of_the_release(released: Path, site: str):
    here, there = held(released), held(released, "--served", site, "--json")
    assert (here.returncode, there.returncode) == (0, 0), here.stderr + there.stderr
    assert json.loads(there.stdout)["wrong"] == []
    assert "sign.js" in json.loads(there.stdout)["files"]


def test_a_served_file_that_is_another_or_gone_is_named(released: Path, site: str):
    (released / "page" / "shown.js").write_text("export const shown = () => 'Nước rút.';\n", "utf-8")
    (released / "page" / "keys.js").unlink()
    said = held(released, "--served", site)
    assert said.returncode == 1
    assert "keys.js, shown.js differ" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_release_that_one_person_signed_or_that_names_no_page_proves_nothing(desk: Path, provision):
    assert loa("--to", desk / "page").returncode == 0
    assert provision(*NEW, "--floor", "5", "--page", "page").code == 0
    assert _sign(desk, "binh").code == 0
    assert "does not count" in held(desk).stderr
    (desk / "release.json").unlink()
    assert provision(*NEW, "--floor", "5").code == 0
    for person in ("binh", "chi"):
        assert _sign(desk, person).code == 0
    said = held(desk)
    assert (said.returncode, "names no signing page" in said.stderr) == (1, True)


def test_a_folder_without_the_page_is_one_sentence_and_no_draft(desk: Path, provision):
    (desk / "page").mkdir()
    said = provision(*NEW, "--floor", "5", "--page", "page")
    assert said.code == 1
    assert "no index.html" in said.err
    assert not (desk / "release.json").exists()
