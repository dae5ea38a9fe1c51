"""`loa init` makes a whole state folder or none."""

import hashlib
import json
import stat
import subprocess
from pathlib import Path

import pytest

from controller.ca import load_ca
from controller.config import load
from tests.cli.loa_office import LOA


def test_init_makes_everything_that_a_controller_needs(office):
    config = load(office.state)
    assert config.settings.province == "52"
    assert config.settings.broker.port == office.port > 0
    load_ca(office.state / "ca")
    areas = {row["id"]: row for row in json.loads((office.state / "areas.json").read_text())}
    assert areas["52.24076"]["parent"] == "52"
    assert areas["52.24076.001"]["level"] == "settlement"
    assert stat.S_IMODE(office.state.stat().st_mode) == 0o700
    for secret in ("ca/ca.key", "tls/controller.key", "tls/operator-1.key", "loa.db"):
        assert stat.S_IMODE((office.state / secret).stat().st_mode) == 0o600, secret


def test_the_broker_runs_on_what_init_wrote(office):
    office.broker()


def test_init_never_touches_an_existing_folder(office):
    before = (office.state / "ca" / "ca.key").read_bytes()
    said = office.loa("init", "--province", "52")
    assert said.code == 1
    assert "is not empty" in said.err
    assert (office.state / "ca" / "ca.key").read_bytes() == before


def test_a_broker_of_its_own_user_gets_a_folder_of_its_own(tmp_path: Path):
    words = ("--broker-folder", str(tmp_path / "etc"), "--broker-state", str(tmp_path / "memory"), "--broker-group", "root")
    done = subprocess.run(
        [*LOA, "init", "--state", str(tmp_path / "state"), "--province", "52", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    conf = Path(json.loads(done.stdout)["broker_conf"])
    assert conf == tmp_path / "etc" / "mosquitto.conf"
    assert f"persistence_location {tmp_path / 'memory'}/" in conf.read_text()
    assert stat.S_IMODE((tmp_path / "etc").stat().st_mode) == 0o2750


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--province", "52", "--broker-group", "no-such-group"), "no-such-group"),
        (("--province", "99"), "no province code"),
        (("--province", "52", "--host", "not a host"), "not a host"),
        (("--province", "52", "--operator", "Ông A"), "operator"),
        (("--province", "52", "--settlements", "gone.csv"), "gone.csv does not exist"),
        (("--province", "52", "--settlements", "bad.csv"), "settlements"),
    ],
)
def test_a_wrong_word_leaves_no_folder_behind(tmp_path: Path, words, sentence):
    (tmp_path / "bad.csv").write_text("id,name,level,parent\n52.99999.001,Thôn 1,settlement,52.99999\n")
    done = subprocess.run(
        [*LOA, "init", "--state", "state", *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_a_service_key_stays_in_the_signers_folder_and_its_public_half_goes_into_the_grant(office, tmp_path):
    out = tmp_path / "relay.pub"
    assert office.loa("service-key", "--area", "52.24076", "--out", str(out)).code == 0
    assert json.loads(out.read_text())["person"] == "service-52.24076"
    assert "PRIVATE" not in out.read_text()
    again = office.loa("service-key", "--area", "52.24076", "--out", str(tmp_path / "two.pub"))
    assert again.code == 1
    assert not (tmp_path / "two.pub").exists()
    wide = office.loa("service-key", "--area", "52", "--out", str(tmp_path / "wide.pub"))
    assert "for one commune" in wide.err


@pytest.mark.parametrize("words", [("status",), ("node", "list"), ("plays",), ("emergency", "watch")])
def test_without_serve_a_sentence_says_what_to_start(still, words):
    said = still.loa(*words)
    assert said.code == 1
    assert "loa serve" in said.err


@pytest.mark.parametrize("words", [("status",), ("serve",), ("signer",), ("area", "list")])
def test_what_is_no_state_folder_is_named(tmp_path: Path, words):
    done = subprocess.run([*LOA, *words, "--state", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "is no state folder" in done.stderr


def test_the_signing_pages_files_are_copied_with_their_hashes_and_headers(still, tmp_path):
    said = still.loa(
        "signing-page", "--to", str(tmp_path / "page"), "--controller", "https://loa.example.vn:8443", "--json"
    ).json()
    for name, digest in said["files"].items():
        assert hashlib.sha256((tmp_path / "page" / name).read_bytes()).hexdigest() == digest
    assert {"index.html", "sign.js", "dsse.js"} <= set(said["files"])
    assert "connect-src https://loa.example.vn:8443;" in said["headers"]["content-security-policy"]


def test_a_grant_goes_beside_the_service_key_that_it_names_and_no_other(office, tmp_path):
    said = office.loa("service-grant", str(office.papers.grant))
    assert said.code == 1
    assert "service" in said.err
    assert not list((office.state / "signer").glob("*.grant.json"))


def test_a_relay_says_no_words_and_a_person_names_a_key(still):
    start = ("emergency", "start", "--area", "52.24076.001", "--text-vi", "Thử.")
    assert "no words" in still.loa(*start, "--service").err
    assert "--key" in still.loa(*start).err
