"""A day's work of the real programs, then a search for every secret where none may be: logs, arguments, environments, files."""

from __future__ import annotations

import base64
import os
import re
import secrets
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from controller import credentials
from controller.actions import audit
from controller.actions.views import NewPerson
from controller.config import load
from controller.core import totp
from controller.errors import ConfigWrong
from protocol import keys
from protocol.envelope import seal
from protocol.errors import ProtocolError
from protocol.rules import Clock, Me
from protocol.seen import Seen
from tests.controller.headquarters import PHU_TUC, SETTLEMENT, Headquarters

ROOT = Path(__file__).parents[2]
TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
SECRET = re.compile(r'<code class="secret">([A-Z2-7 ]+)</code>')
OWN = "ba-con-len-nha-rong"
PUBLIC = re.compile(r"(\.crt|\.pub|\.mka|/run/.*)$")


class Day:
    """What was secret on a day, by what it is."""

    def __init__(self, hq: Headquarters) -> None:
        self.hq = hq
        self.secrets: dict[str, bytes] = {}

    def keep(self, what: str, *texts: str | bytes) -> None:
        for number, text in enumerate(texts):
            self.secrets[f"{what} {number}"] = text.encode() if isinstance(text, str) else text

    def live(self) -> None:
        hq = self.hq
        hq.new_node(SETTLEMENT)
        body = {"name": "lan", "full_name": "Lan", "duties": [{"role": "emergency", "area": PHU_TUC}]}
        first = hq.post("/v1/people", body, NewPerson).first_password
        self.keep("first password", first)
        self.keep("password", OWN)
        context = ssl.create_default_context(cafile=str(hq.state / "ca" / "ca.crt"))
        url = f"https://127.0.0.1:{hq.status().https_port}"
        with httpx.Client(verify=context, base_url=url, follow_redirects=True, timeout=60) as client:
            self._sign_in(client, first)
            sent = {"area": SETTLEMENT, "kind": "exercise", "risk": "0", "repeats": "1", "body": "UBND", "text-vi": "Thử loa."}
            review = self._press(
                client, client.get(f"/emergency/write?area={SETTLEMENT}"), "/emergency/write", do="review", **sent
            )
            path = review.url.path.replace("review", "confirm")
            assert "/incident/" in self._press(client, review, path, held_ms="2000").url.path
            self.keep("cookie", *(client.cookies.get(name) for name in ("__Host-loa", "__Host-loa-known")))
        hq.post("/v1/people/lan/reset-second-factor", {})
        self.keep("reset password", hq.post("/v1/people/lan/reset", {}, NewPerson).first_password)
        for file in hq.state.rglob("*"):
            if file.suffix == ".key" or (file.suffix == ".pem" and b"PRIVATE KEY" in file.read_bytes()):
                self._key(file)

    def _key(self, file: Path) -> None:
        content = file.read_bytes()
        if b"PRIVATE KEY" in content:
            self.keep(file.name, content.split(b"\n")[1])
        else:
            self.keep(file.name, content, content.hex(), base64.b64encode(content))

    def _press(self, client: httpx.Client, page: httpx.Response, path: str, **fields: str) -> httpx.Response:
        token = TOKEN.search(page.text)
        assert token, page.text
        self.keep(f"form {path}", token.group(1))
        return client.post(path, data={"form_token": token.group(1)} | fields)

    def _sign_in(self, client: httpx.Client, first: str) -> None:
        page = self._press(client, client.get("/login"), "/login", name="lan", password=first)
        page = self._press(client, page, "/password", old=first, new=OWN, again=OWN)
        written = SECRET.search(page.text)
        assert written
        letters = written.group(1).replace(" ", "")
        secret = base64.b32decode(letters + "=" * (-len(letters) % 8))
        self.keep("telephone", secret, letters, written.group(1), secret.hex())
        code = totp.code_at(secret, totp.step_of(time.time_ns() // 1_000_000))
        assert self._press(client, page, "/second-factor", code=code, next="/").url.path == "/"

    def found_in(self, content: bytes) -> list[str]:
        return [what for what, text in self.secrets.items() if text and text in content]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    hq = Headquarters(tmp_path_factory.mktemp("day"))
    before = os.umask(0o022)
    try:
        hq.start()
        hq.trust()
        made = Day(hq)
        made.live()
        yield made
    finally:
        os.umask(before)
        hq.close()


def test_a_day_leaves_no_secret_in_any_log(day: Day) -> None:
    for name in ("broker", "signer", "serve"):
        assert day.found_in(day.hq.log(name).encode()) == []
    assert "sealed exercise" in day.hq.log("signer"), "it logs what it does"


def test_no_secret_stands_in_arguments_or_environment_of_any_part(day: Day) -> None:
    for name, child in day.hq.running.items():
        for each in (psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)):
            for kind in ("cmdline", "environ"):
                assert day.found_in(Path(f"/proc/{each.pid}/{kind}").read_bytes()) == [], (name, kind)


def test_every_file_with_a_secret_is_its_users_alone_and_the_rest_lies_behind_a_closed_door(day: Day) -> None:
    state = day.hq.state
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    with_secrets = set()
    for file in state.rglob("*"):
        mode = stat.S_IMODE(file.stat().st_mode)
        assert not mode & 0o022, f"{file} can be written by others"
        if file.is_file():
            content = file.read_bytes()
            if b"PRIVATE KEY" in content or day.found_in(content) or file.suffix in (".db", ".key"):
                with_secrets.add(file.name)
                assert mode & 0o077 == 0, f"{file} has mode {mode:o}"
            elif mode & 0o044:
                assert PUBLIC.search(str(file)) or not day.found_in(content), file
    assert {"loa.db", "vault.key", "audit.key", "https.key", "controller.key", "ca.key"} <= with_secrets


def test_the_database_holds_no_password_cookie_code_or_key_as_it_is(day: Day) -> None:
    content = b"".join(file.read_bytes() for file in day.hq.state.glob("loa.db*"))
    forms = [what for what in day.secrets if what.startswith("form ")]
    assert [what for what in day.found_in(content) if what not in forms] == [], "form tokens die with their session"


def test_the_tree_holds_no_private_key_but_those_of_tests(day: Day) -> None:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    begins = b"-----BEGIN " + b"PRIVATE KEY-----"
    held = [name for name in names if name and (ROOT / name).is_file() and begins in (ROOT / name).read_bytes()]
    assert [name for name in held if not name.startswith("tests/")] == []
    for name in names:
        if name and (ROOT / name).is_file():
            assert day.found_in((ROOT / name).read_bytes()) in ([], ["password 0"]), name


def test_no_command_takes_a_secret_as_an_argument() -> None:
    from typer.main import get_command

    from controller.cli import app

    def options(command) -> Iterator[str]:
        for each in getattr(command, "commands", {}).values():
            yield from options(each)
        yield from (name for parameter in command.params for name in parameter.opts)

    told = {name for name in options(get_command(app)) if re.search(r"pass|secret|token|code$", name)}
    assert told <= {"--passphrase-file"}, "a file's name, never the passphrase"


def test_a_key_that_others_can_read_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "vault.key"
    made, fresh = credentials.read("loa-vault-key", file, lambda: secrets.token_bytes(32))
    assert (len(made), fresh, stat.S_IMODE(file.stat().st_mode)) == (32, True, 0o600)
    file.chmod(0o644)
    with pytest.raises(ConfigWrong, match="can be read by others"):
        credentials.read("loa-vault-key", file)


def test_a_credential_of_systemd_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = tmp_path / "credentials"
    given.mkdir()
    (given / "loa-vault-key").write_bytes(b"c" * 32)
    file = tmp_path / "vault.key"
    file.write_bytes(b"f" * 32)
    file.chmod(0o600)
    assert credentials.read("loa-vault-key", file)[0] == b"f" * 32
    monkeypatch.setenv(credentials.DIRECTORY_ENV, str(given))
    assert credentials.read("loa-vault-key", file)[0] == b"c" * 32
    assert credentials.find("loa-https-key", tmp_path / "https.key") == tmp_path / "https.key", "not given: the file"
    with pytest.raises(ConfigWrong, match="restore it"):
        credentials.read("loa-audit-key", tmp_path / "nothing.key")


def test_units_name_every_credential_that_the_controller_asks_for() -> None:
    code = "".join(file.read_text() for file in (ROOT / "controller").rglob("*.py"))
    asked = set(re.findall(r'"(loa-[a-z-]+-key)"', code))
    unit = (ROOT / "systemd" / "loa-controller.service").read_text()
    assert asked == set(re.findall(r"^LoadCredential=([a-z-]+)$", unit, re.MULTILINE))
    assert len(asked) == 4


def test_no_horn_obeys_the_key_of_the_audit_log(day: Day) -> None:
    hq = day.hq
    key = audit.open_key(load(hq.state))[0]
    from protocol.envelope import unseal
    from protocol.trust import Trust

    trust = Trust().with_document(hq.root).with_document(hq.grant(PHU_TUC))
    raw = seal(hq.start_order(SETTLEMENT), [keys.sealer(key)])
    with pytest.raises(ProtocolError):
        unseal(raw, topic=None, trust=trust, me=Me(), now=Clock(time.time_ns() // 1_000_000, "good"), seen=Seen())
    reply = hq.refused("/v1/orders", raw)
    assert reply["code"] in ("bad-signature", "not-empowered", "too-few-persons")


def test_the_log_of_the_day_is_verified_by_the_command_while_serve_runs(day: Day, tmp_path: Path) -> None:
    loa = [sys.executable, "-c", "from controller.cli import main; main()", "audit"]
    state = ["--state", str(day.hq.state)]
    said = subprocess.run([*loa, "verify", *state], capture_output=True, text=True, check=False, timeout=120)
    assert said.returncode == 0, said.stderr
    assert "The audit log holds" in said.stdout
    out = tmp_path / "log.jsonl"
    assert (
        subprocess.run([*loa, "export", "--out", str(out), *state], check=False, timeout=120, capture_output=True).returncode == 0
    )
    good = subprocess.run([*loa, "verify", str(out)], capture_output=True, text=True, check=False, timeout=120)
    assert good.returncode == 0, good.stderr
    out.write_bytes(out.read_bytes().replace(b'"people.reset"', b'"people.login"'))
    bad = subprocess.run([*loa, "verify", str(out)], capture_output=True, text=True, check=False, timeout=120)
    assert bad.returncode == 1
    assert "DOES NOT HOLD at row" in bad.stderr
