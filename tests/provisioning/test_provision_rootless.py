"""An ordinary user builds in a user namespace: who stays what he is, and what is said where it cannot be."""

from __future__ import annotations

import pytest

from provisioning.errors import InputRefused
from provisioning.image import rootless


def test_root_stays_what_it_is(monkeypatch):
    monkeypatch.setattr(rootless.os, "geteuid", lambda: 0)
    monkeypatch.setattr(rootless.os, "execvp", lambda *_: pytest.fail("became something else"))
    rootless.as_root_of_our_own()


def test_where_it_may_not_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(rootless.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(rootless, "APART", ("sh", "-c", "echo no range of ids >&2; exit 1"))
    with pytest.raises(InputRefused, match=r"no range of ids.*uidmap.*/etc/subuid"):
        rootless.as_root_of_our_own()
    monkeypatch.setattr(rootless, "APART", ("/nowhere/unshare",))
    with pytest.raises(InputRefused, match="apt install util-linux uidmap"):
        rootless.as_root_of_our_own()
