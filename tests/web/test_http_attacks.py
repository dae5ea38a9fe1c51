"""Attacks over HTTPS on a real `loa serve`: paths, ranges, slow and greedy clients, foreign forms, planted cookies, guessing."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from controller.actions.views import DocumentView, MediaView, NewPerson
from controller.bounded import HALF_OPEN_A_SOURCE, HEAD_S
from controller.core import totp
from protocol.bulletins import Item, Media, Variant
from tests.controller.headquarters import OTHER, PHU_TUC, Headquarters, sha256_of, wait

TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
SECRET = re.compile(r'<code class="secret">([A-Z2-7 ]+)</code>')
OWN = "mua-lu-thang-muoi"
OPENED: list[httpx.Client] = []
SESSION, VISIT = "__Host-loa", "__Host-loa-visit"


@pytest.fixture(scope="module")
def hq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Headquarters]:
    """Of its own, since it is attacked. No broker: nothing here needs one."""
    made = Headquarters(tmp_path_factory.mktemp("attacked"))
    try:
        made.start_serve()
        made.trust()
        yield made
        assert made.status().nodes >= 0, "serve answers after all of it"
        assert "Traceback" not in made.log("serve")
    finally:
        for client in OPENED:
            client.close()
        made.close()


def trusting(hq: Headquarters) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(hq.state / "ca" / "ca.crt"))


class Browser:
    """One browser, from an address of its own."""

    def __init__(self, hq: Headquarters, address: str = "127.0.0.1") -> None:
        transport = httpx.HTTPTransport(verify=trusting(hq), local_address=address)
        url = f"https://127.0.0.1:{hq.status().https_port}"
        self.client = httpx.Client(transport=transport, base_url=url, timeout=60, follow_redirects=True)
        self.page = httpx.Response(200)
        OPENED.append(self.client)

    def open(self, path: str) -> Browser:
        self.page = self.client.get(path)
        return self

    def press(self, path: str, **fields: str) -> Browser:
        token = TOKEN.search(self.page.text)
        assert token, self.page.text
        self.page = self.client.post(path, data={"form_token": token.group(1)} | fields)
        return self

    @property
    def path(self) -> str:
        return self.page.url.path

    def cookie(self, name: str) -> str:
        return self.client.cookies.get(name) or ""


class Person:
    """An officer with password and telephone."""

    def __init__(self, hq: Headquarters, name: str) -> None:
        self.name = name
        body = {"name": name, "full_name": name, "duties": [{"role": "emergency", "area": PHU_TUC}]}
        self.first = hq.post("/v1/people", body, NewPerson).first_password
        browser = Browser(hq).open("/login").press("/login", name=name, password=self.first)
        browser.press("/password", old=self.first, new=OWN, again=OWN)
        assert browser.path == "/second-factor"
        found = SECRET.search(browser.page.text)
        assert found
        letters = found.group(1).replace(" ", "")
        self.secret = base64.b32decode(letters + "=" * (-len(letters) % 8))
        before = self.code(-1)
        browser.press("/second-factor", code=before, next="/")
        assert browser.path == "/"
        self.browser = browser

    def code(self, ahead: int = 0) -> str:
        return totp.code_at(self.secret, totp.step_of(time.time_ns() // 1_000_000) + ahead)


@pytest.fixture(scope="module")
def lan(hq: Headquarters) -> Person:
    return Person(hq, "lan")


def raw(hq: Headquarters, request: bytes, deadline_s: float = 30.0) -> bytes:
    """Send bytes as they are, which no client library would, and read until the other side has had enough."""
    plain = socket.create_connection(("127.0.0.1", hq.status().https_port), timeout=deadline_s)
    answer = b""
    with trusting(hq).wrap_socket(plain, server_hostname="127.0.0.1") as line:
        try:
            line.sendall(request)
            while piece := line.recv(65_536):
                answer += piece
        except (ConnectionError, ssl.SSLError):
            pass
    return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", "")).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize("folder", ["/static/", "/media/", "/", "/emergency/review/", "/incident/"])
def test_no_path_leads_out_of_what_is_served(hq: Headquarters, folder: str) -> None:
    ups = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "....//", "..;/", "%252e%252e%252f", "..%c0%af", "/")
    for up in ups:
        for target in ("loa.toml", "loa.db", "secrets/vault.key", "tls/https.key", "etc/passwd", "pages.py"):
            answer = raw(hq, get(folder + up * 6 + target))
            assert 300 <= status_of(answer) < 500, (up, target, answer[:200])
            for told in (b"PRIVATE KEY", b"root:", b"province =", b"SQLite format", b"_officers"):
                assert told not in answer, (up, target)
    for odd in ("%00", "%0d%0aSet-Cookie:%20x=y", "\\..\\loa.toml", "%ff%fe", "a" * 5_000):
        answer = raw(hq, get(folder + odd))
        assert 300 <= status_of(answer) < 500, odd
        assert b"set-cookie: x=y" not in answer.lower()


@pytest.fixture(scope="module")
def sound(hq: Headquarters, tmp_path_factory: pytest.TempPathFactory) -> MediaView:
    """A recording that the commune's programme names."""
    wav = tmp_path_factory.mktemp("sound") / "ban-tin.wav"
    subprocess.run(["espeak-ng", "-v", "vi", "-w", str(wav), "Xin chào bà con, đây là bản tin buổi sáng."], check=True)
    reply = hq.http.post("/v1/media", json={"path": str(wav), "title": "Bản tin"}, timeout=120)
    made = msgspec.json.decode(reply.text.strip().splitlines()[-1], type=dict[str, MediaView])["media"]
    media = Media(sha256=made.sha256, bytes=made.bytes, samples=made.samples, loudness_clufs=made.loudness_clufs)
    item = Item(id="sang", title="Bản tin", rrule="FREQ=DAILY;BYHOUR=5;BYMINUTE=0", variants=(Variant(lang="vi", media=media),))
    hq.post("/v1/documents", hq.sealed(hq.programme(item, area=PHU_TUC)), DocumentView)
    return made


def test_ranges_cost_no_more_than_the_file_and_give_no_byte_beyond_it(hq: Headquarters, sound: MediaView) -> None:
    node = hq.new_node(OTHER)
    client = Browser(hq).client

    def ask(*ranges: str) -> httpx.Response:
        statement = base64.b64encode(node.statement(sound.sha256)).decode()
        headers = [("authorization", f"Loa {statement}"), *(("range", each) for each in ranges)]
        return client.get(f"/media/{sound.sha256}", headers=headers)

    nonsense = ("bytes=0-1,2-3", "bytes=0-0,-1", "bytes=5-2", "lines=1-2", "bytes=a-b", "bytes=-")
    for many in ("bytes=" + ",".join(["0-"] * 1_000), *nonsense):
        answer = ask(many)
        assert (answer.status_code, sha256_of(answer.content)) == (200, sound.sha256), many[:40]
    for far in (f"bytes={sound.bytes}-", "bytes=999999999999999999-", "bytes=-0"):
        answer = ask(far)
        assert (answer.status_code, answer.content) == (416, b""), far
    for wide in ("bytes=0-999999999999999999", "bytes=-999999999999999999"):
        answer = ask(wide)
        assert (answer.status_code, len(answer.content)) == (206, sound.bytes), wide
    assert ask("bytes=" + "9" * 5_000 + "-").status_code in (200, 416)
    assert ask("bytes=0-0", "bytes=1-1").status_code in (200, 206)


def half_open(hq: Headquarters, sent: bytes) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", hq.status().https_port), timeout=60)
    line = trusting(hq).wrap_socket(plain, server_hostname="127.0.0.1")
    line.sendall(sent)
    return line


def closed(line: ssl.SSLSocket) -> bool:
    line.settimeout(0.01)
    try:
        return line.recv(65_536) == b""
    except (TimeoutError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True


def test_slow_clients_are_dropped_and_meanwhile_everybody_else_is_served(hq: Headquarters) -> None:
    many = [half_open(hq, b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ") for _ in range(2 * HALF_OPEN_A_SOURCE)]
    bodies = [half_open(hq, b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\nname=") for _ in range(20)]
    mute = [socket.create_connection(("127.0.0.1", hq.status().https_port), timeout=60) for _ in range(20)]
    try:
        assert Browser(hq).open("/login").page.status_code == 200
        assert sum(closed(line) for line in many) >= HALF_OPEN_A_SOURCE, "the oldest of one source give way"
        drips = [line for line in many if not closed(line)][:5]

        def dropped() -> bool:
            for line in drips:
                try:
                    line.sendall(b"x")
                except OSError:
                    continue
            return all(closed(line) for line in drips)

        wait(dropped, "a head that drips in does not put its deadline off", 6 * HEAD_S)
        wait(lambda: all(closed(line) for line in many + bodies), "half requests are dropped", 12 * HEAD_S)
        wait(lambda: all(_gone(line) for line in mute), "and handshakes that never come", 12 * HEAD_S)
        assert Browser(hq).open("/login").page.status_code == 200
    finally:
        for line in (*many, *bodies, *mute):
            line.close()


def _gone(line: socket.socket) -> bool:
    line.settimeout(0.01)
    try:
        return line.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_oversized_bodies_and_heads_are_turned_away_without_being_kept(hq: Headquarters) -> None:
    serve = psutil.Process(hq.running["serve"].pid)
    before = serve.memory_info().rss
    form = "Content-Type: application/x-www-form-urlencoded"
    promise = f"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\n{form}\r\nContent-Length: 10000000000\r\n\r\n".encode()
    assert status_of(raw(hq, promise + b"name=" + b"x" * 100_000)) == 413
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    endless = f"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\n{form}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunk * 500
    answer = raw(hq, endless)
    assert answer == b"" or status_of(answer) == 413
    for head in (
        get("/" + "a" * 200_000),
        get("/", "X-Long: " + "a" * 200_000),
        get("/", *[f"X-{n}: {n}" for n in range(20_000)]),
    ):
        answer = raw(hq, head)
        assert answer == b"" or 400 <= status_of(answer) < 500
    for twice in (
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: -1",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ):
        answer = raw(hq, f"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{twice}\r\n\r\n0\r\n\r\n".encode())
        assert answer == b"" or 400 <= status_of(answer) < 500
    assert serve.memory_info().rss - before < 60_000_000


def test_bodies_of_another_kind_do_nothing(hq: Headquarters, lan: Person) -> None:
    parts = "".join(f'--b\r\nContent-Disposition: form-data; name="x{n}"\r\n\r\ny\r\n' for n in range(1_500)) + "--b--\r\n"
    cookie = f"Cookie: {SESSION}={lan.browser.cookie(SESSION)}"
    for kind, body in (
        ("application/json", b'{"form_token": "x", "area": "52.24076", "do": "stop"}'),
        ("application/msgpack", b"\x81\xa1a\xa1b"),
        ("text/xml", b"<a/>"),
        ("text/plain", b"form_token=x&area=52.24076&do=stop"),
        ("multipart/form-data; boundary=b", parts.encode()[:60_000]),
        ("multipart/form-data", b"--b\r\n"),
        ("multipart/form-data; boundary=", b"----\r\n"),
        ("application/x-www-form-urlencoded; charset=utf-7", b"form_token=%ff%fe&area=52.24076&do=stop"),
        ("application/x-www-form-urlencoded", b"&" * 60_000),
        ("\x80\xff", b"x"),
    ):
        head = f"POST /stop HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{cookie}\r\n".encode()
        sent = head + b"Content-Type: " + kind.encode("latin-1") + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        assert 400 <= status_of(raw(hq, sent)) < 500, kind
    assert hq.get("/v1/incidents", list) == []


def test_forms_of_other_pages_do_nothing_even_with_the_officers_cookie(hq: Headquarters, lan: Person) -> None:
    other = Browser(hq).open("/login")
    foreign = TOKEN.search(other.page.text)
    assert foreign
    mine = TOKEN.search(lan.browser.open("/incidents").page.text)
    assert mine
    for path in ("/stop", "/emergency/write", "/password", "/sessions", "/second-factor", "/logout", "/language"):
        for fields in ({}, {"form_token": ""}, {"form_token": foreign.group(1)}, {"form_token": mine.group(1)[:-1]}):
            origin = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
            answer = lan.browser.client.post(path, data=fields | {"area": PHU_TUC, "do": "stop"}, headers=origin)
            assert answer.status_code == 403, (path, fields)
        assert lan.browser.client.post(f"{path}?form_token={mine.group(1)}", data={"area": PHU_TUC}).status_code == 403
        assert lan.browser.client.get(path, params={"form_token": mine.group(1), "do": "stop"}).status_code in (200, 404, 405)
    assert hq.get("/v1/incidents", list) == []
    assert lan.browser.open("/").path == "/", "still signed in"


def test_a_planted_session_is_not_taken_over_and_rising_changes_every_secret(hq: Headquarters) -> None:
    person = Person(hq, "minh")
    attacker = Browser(hq).open("/login")
    victim = Browser(hq)
    planted = "a" * 43
    for name, value in ((SESSION, planted), (VISIT, attacker.cookie(VISIT))):
        victim.client.cookies.set(name, value, domain="127.0.0.1", path="/")
    victim.open("/login").press("/login", name="minh", password=OWN)
    half, half_token = victim.cookie(SESSION), TOKEN.search(victim.page.text).group(1)
    assert half not in ("", planted)
    victim.press("/second-factor", code=person.code(), next="/")
    assert victim.path == "/"
    whole, whole_token = victim.cookie(SESSION), TOKEN.search(victim.page.text).group(1)
    assert whole != half
    assert whole_token != half_token
    for stolen in (planted, half):
        thief = Browser(hq)
        thief.client.cookies.set(SESSION, stolen, domain="127.0.0.1", path="/")
        assert thief.open("/").path == "/login"
    victim.client.cookies.delete(VISIT)
    assert victim.client.post("/logout", data={"form_token": half_token}).status_code == 403


def test_a_password_alone_reaches_nothing_but_the_question_for_the_code(hq: Headquarters, lan: Person) -> None:
    thief = Browser(hq, "127.0.0.3").open("/login").press("/login", name=lan.name, password=OWN)
    assert thief.path == "/second-factor"
    for path in (
        "/",
        "/emergency",
        "/incidents",
        "/stop",
        "/sessions",
        "/password",
        "/plays",
        f"/emergency/write?area={PHU_TUC}",
    ):
        assert thief.open(path).path == "/second-factor", path
    thief.open("/second-factor")
    token = TOKEN.search(thief.page.text).group(1)
    for path in ("/stop", "/password", "/sessions", "/emergency/write"):
        answer = thief.client.post(path, data={"form_token": token, "area": PHU_TUC, "do": "stop", "old": OWN, "new": "x" * 12})
        assert answer.url.path == "/second-factor", path
    with thief.client.stream("GET", "/events") as stream:
        assert "event: ended" in next(piece for piece in stream.iter_text() if piece.strip())


def test_guessing_passwords_and_codes_is_held_back_and_the_known_browser_gets_in(hq: Headquarters) -> None:
    person = Person(hq, "tuyet")
    person.browser.open("/").press("/logout")
    thief = Browser(hq, "127.0.0.4").open("/login")
    answers = [thief.press("/login", name=person.name, password=f"doan-{n}").page.status_code for n in range(12)]
    assert answers[:5] == [401] * 5
    assert answers[-1] == 429
    assert thief.press("/login", name=person.name, password=OWN).page.status_code == 429
    assert person.browser.open("/login").press("/login", name=person.name, password=OWN).path == "/second-factor"

    holder = Browser(hq, "127.0.0.5")
    wait(
        lambda: holder.open("/login").press("/login", name=person.name, password=OWN).path == "/second-factor", "the wait is over"
    )
    answers = [holder.press("/second-factor", code=f"{n:06d}", next="/").page.status_code for n in range(8)]
    assert answers[:5] == [401] * 5
    assert answers[-1] == 429
    assert holder.press("/second-factor", code=person.code(), next="/").page.status_code == 429
    person.browser.press("/second-factor", code=person.code(), next="/")
    assert person.browser.path == "/", "strangers' guesses do not keep its owner out"


def test_one_source_guesses_over_many_names_in_vain(hq: Headquarters) -> None:
    thief = Browser(hq, "127.0.0.6").open("/login")
    answers = [thief.press("/login", name=f"canbo{n}", password="mat-khau-1").page.status_code for n in range(24)]
    assert 429 in answers
    assert Browser(hq, "127.0.0.7").open("/login").press("/login", name="canbo1", password="x").page.status_code == 401


def test_nothing_is_in_reach_of_the_page_that_belongs_to_the_socket(hq: Headquarters, lan: Person) -> None:
    for path in ("/v1/people", "/v1/audit", "/v1/status", "/v1/orders", "/v1/nodes", "/schema", "/schema/openapi.json", "/docs"):
        for method in ("GET", "POST", "PUT", "DELETE", "TRACE", "OPTIONS"):
            assert lan.browser.client.request(method, path).status_code in (404, 405), (method, path)


def test_where_the_files_of_this_test_lie_is_no_part_of_any_answer(hq: Headquarters) -> None:
    for path in ("/", "/login", "/khong-co", "/media/x", "/static/x", "/emergency/review/%ff"):
        assert str(Path(hq.state)).encode() not in raw(hq, get(path))
