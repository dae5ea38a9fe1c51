"""Keys on a PKCS#11 token (SoftHSM): made there, signing everywhere a file does, never read out; each trouble is a sentence."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.provisioning.conftest import PASSPHRASE, Said

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "246810"


@pytest.fixture
def token(people: Path) -> Callable[..., Said]:
    """A folder with a fresh token `the` and a way to run loa-provision beside it."""
    assert shutil.which("softhsm2-util"), "install softhsm2: tools/setup test"
    (people / "tokens").mkdir()
    (people / "softhsm2.conf").write_text(f"directories.tokendir = {people / 'tokens'}\nobjectstore.backend = file\n")
    (people / "pin").write_text(PIN + "\n")
    (people / "pin").chmod(0o600)
    (people / "wrong").write_text("135791\n")
    (people / "wrong").chmod(0o600)
    env = os.environ | {"SOFTHSM2_CONF": str(people / "softhsm2.conf"), "LOA_PKCS11_MODULE": MODULE}
    words = ["softhsm2-util", "--init-token", "--free", "--label", "the", "--so-pin", "87654321", "--pin", PIN]
    subprocess.run(words, env=env, check=True, capture_output=True)

    def run(*words: str, **more: str) -> Said:
        program = [sys.executable, "-m", "provisioning", *words]
        done = subprocess.run(program, cwd=people, env=env | more, capture_output=True, text=True, timeout=60, check=False)
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def new(token, person: str = "an", uri: str = "pkcs11:token=the?pin-source=file:pin", **more: str) -> Said:
    return token("key", "new", "--person", person, "--name", person, "--out", f"on-{person}.pub", "--token", uri, **more)


def test_a_token_signs_a_root_beside_a_key_file_and_nobody_can_tell_them_apart(people: Path, token):
    said = new(token)
    assert said.code == 0, said.err
    assert not (people / "on-an.key").exists()
    shutil.move(people / "on-an.pub", people / "an.pub")
    assert token("root", "new", "root.toml", "--out", "root.json").code == 0
    said = token("root", "sign", "root.json", "--key", "pkcs11:token=the?pin-source=file:pin", "--yes", "--json")
    assert json.loads(said.out)["complete"] is False
    said = token("root", "sign", "root.json", "--key", "binh.key", "--passphrase-file", "passphrase", "--yes", "--json")
    assert json.loads(said.out)["complete"] is True
    said = token("show", "root.json", "--root", "root.json", "--json")
    assert json.loads(said.out)["signers"] == ["an", "binh"]


def test_two_keys_on_one_token_sign_together_under_their_own_names(people: Path, token):
    for person in ("an", "binh"):
        uri = f"pkcs11:token=the;object={person}?pin-source=file:pin"
        assert new(token, person, uri).code == 0
        shutil.move(people / f"on-{person}.pub", people / f"{person}.pub")
    token("root", "new", "root.toml", "--out", "root.json")
    keys = [word for person in ("an", "binh") for word in ("--key", f"pkcs11:token=the;object={person}?pin-source=file:pin")]
    said = token("root", "sign", "root.json", *keys, "--yes", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["complete"] is True


def test_a_key_on_a_token_cannot_be_taken_out_of_it(people: Path, token):
    assert new(token).code == 0
    look = (
        "import pkcs11; from pkcs11 import Attribute, ObjectClass\n"
        f"session = pkcs11.lib({MODULE!r}).get_token(token_label='the').open(user_pin={PIN!r})\n"
        "key, = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})\n"
        "print(key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE])\n"
        "try:\n    print(key[Attribute.VALUE].hex())\nexcept pkcs11.PKCS11Error as error:\n    print(type(error).__name__)\n"
    )
    env = os.environ | {"SOFTHSM2_CONF": str(people / "softhsm2.conf")}
    said = subprocess.run([sys.executable, "-c", look], env=env, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["True False", "AttributeSensitive"]


def test_a_token_is_not_written_over(people: Path, token):
    assert new(token).code == 0
    again = new(token, "chi")
    assert again.code == 1
    assert "is on this token already" in again.err
    assert not (people / "on-chi.pub").exists()


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("pkcs11:token=the?pin-source=file:wrong", "wrong PIN"),
        ("pkcs11:token=gone?pin-source=file:pin", "knows no token 'gone'"),
        ("pkcs11:token=the;object=none?pin-source=file:pin", "no key 'none' is on this token"),
        ("pkcs11:token=the?module-path=/nowhere.so&pin-source=file:pin", "/nowhere.so"),
        ("pkcs11:token=the?pin-value=246810", "is seen by everybody"),
        ("pkcs11:slot-id=3", "is not understood here"),
        ("pkcs11:object=loa", "it names no token"),
        ("pkcs11:token=the", "no terminal to ask at"),
        ("pkcs11:token=the?pin-source=file:gone", "gone does not exist"),
    ],
)
def test_each_trouble_with_a_token_is_one_sentence(people: Path, token, uri: str, sentence: str):
    token("root", "new", "root.toml", "--out", "root.json")
    said = token("root", "sign", "root.json", "--key", uri, "--yes")
    assert said.code == 1
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert PIN not in said.out + said.err


def test_without_a_module_the_sentence_says_how_to_name_one(token):
    said = token("root", "sign", "root.json", "--key", "pkcs11:token=the", "--yes", LOA_PKCS11_MODULE="")
    assert said.code == 1
    assert "module-path" in said.err or "does not exist" in said.err


def test_a_ceremony_may_mix_tokens_and_files(people: Path, token):
    lines = ['area = "52"', "area_no = 100000052", "thresholds = {root = 2, delegate = 2, placement = 1}"]
    for name, role, holds in (
        ("an", "root", 'token = "pkcs11:token=the;object=an?pin-source=file:pin"'),
        ("binh2", "root", 'passphrase_file = "passphrase"'),
        ("chi2", "delegate", 'passphrase_file = "passphrase"'),
        ("dung", "delegate", 'token = "pkcs11:token=the;object=dung?pin-source=file:pin"'),
    ):
        lines += ["[[persons]]", f'id = "{name}"', f'name = "{name}"', f'roles = ["{role}"]', holds]
    (people / "plan.toml").write_text("\n".join(lines))
    said = token("keys", "ceremony", "--plan", "plan.toml", "--out", "le", "--yes")
    assert said.code == 0, said.err
    assert sorted(path.name for path in (people / "le").glob("*.key")) == ["binh2.key", "chi2.key"]
    assert "thẻ khóa / token" in (people / "le" / "bien-ban.html").read_text("utf-8")
    assert PASSPHRASE not in said.out
