"""Key files: encrypted, private, never overwritten; bad input is one sentence and leaves nothing behind."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from protocol import keys
from provisioning.errors import InputRefused
from provisioning.keyfile import open_private

NEW = ("key", "new", "--person", "an", "--name", "Nguyễn Văn An", "--out", "an.key")
SECRET = ("--passphrase-file", "passphrase")


def test_a_key_file_is_private_encrypted_and_says_in_public_whose_it_is(folder: Path, provision):
    assert provision(*NEW, *SECRET).code == 0
    private, public = folder / "an.key", json.loads((folder / "an.pub").read_text())
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert b"ENCRYPTED PRIVATE KEY" in private.read_bytes()
    assert (public["person"], public["name"]) == ("an", "Nguyễn Văn An")
    assert keys.public_hex(open_private(private, "ba con song vui")) == public["public"]


def test_a_wrong_passphrase_opens_nothing(folder: Path, provision):
    provision(*NEW, *SECRET)
    with pytest.raises(InputRefused, match="wrong passphrase"):
        open_private(folder / "an.key", "another one here")


def test_a_key_is_never_overwritten(folder: Path, provision):
    provision(*NEW, *SECRET)
    before = (folder / "an.key").read_bytes()
    said = provision(*NEW, *SECRET)
    assert said.code == 1
    assert "an.key already exists" in said.err
    assert (folder / "an.key").read_bytes() == before


def test_an_existing_public_file_stops_before_the_private_one_is_written(folder: Path, provision):
    (folder / "an.pub").write_text("{}")
    assert provision(*NEW, *SECRET).code == 1
    assert not (folder / "an.key").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("key", "new", "--person", "An Nguyễn", "--name", "A", "--out", "x.key", *SECRET), "small letters"),
        (("key", "new", "--person", "an", "--name", "", "--out", "x.key", *SECRET), "1 to 200 characters"),
        (("key", "new", "--person", "an", "--name", "A", "--out", "x.key"), "no terminal to ask at"),
        (("key", "new", "--person", "an", "--name", "A", "--out", "x.key", "--passphrase-file", "no"), "no does not exist"),
        (("key", "new", "--person", "an", "--name", "A", "--out", "gone/x.key", *SECRET), "cannot write in gone"),
        (("key", "show", "passphrase"), "is not one made by"),
    ],
)
def test_bad_input_is_a_sentence_and_leaves_nothing(folder: Path, provision, words, sentence):
    said = provision(*words)
    assert said.code == 1
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert [path.name for path in folder.iterdir()] == ["passphrase"]


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [("", 0o600, "is empty"), ("short\n", 0o600, "at least 8"), ("long enough now\n", 0o644, "can be read by others")],
)
def test_a_careless_passphrase_file_is_refused(folder: Path, provision, content, mode, sentence):
    (folder / "passphrase").write_text(content)
    (folder / "passphrase").chmod(mode)
    said = provision(*NEW, *SECRET)
    assert said.code == 1
    assert sentence in said.err
    assert not (folder / "an.key").exists()


def test_a_dry_run_writes_nothing(folder: Path, provision):
    said = provision(*NEW, "--dry-run")
    assert said.code == 0
    assert "Nothing was written" in said.out
    assert [path.name for path in folder.iterdir()] == ["passphrase"]


def test_at_a_terminal_the_passphrase_is_asked_twice_and_never_shown(folder: Path, at_terminal):
    code, shown = at_terminal(*NEW, lines=("ba con song vui", "ba con song vui"))
    assert code == 0, shown
    assert "song vui" not in shown
    open_private(folder / "an.key", "ba con song vui")


def test_two_different_passphrases_write_nothing(folder: Path, at_terminal):
    code, shown = at_terminal(*NEW, lines=("ba con song vui", "ba con song buon"))
    assert code == 1
    assert "differ" in shown
    assert not (folder / "an.key").exists()


def test_every_command_teaches_by_example():
    for words in (["key", "new"], ["root", "new"], ["grant", "new"], ["grant", "sign"], ["placement", "new"], ["show"]):
        done = subprocess.run(
            [sys.executable, "-m", "provisioning", *words, "--help"], capture_output=True, text=True, timeout=60, check=True
        )
        assert "loa-provision " in done.stdout
