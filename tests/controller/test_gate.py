"""How fast strangers may guess."""

from __future__ import annotations

import pytest

from controller.core.gate import Gate, source_of


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "unknown"),
        ("", "unknown"),
    ],
)
def test_who_counts_as_one_source(address, source):
    assert source_of(address) == source


def test_a_source_has_ten_wrong_tries_then_waits_and_gets_them_back():
    gate = Gate()
    assert [gate.wrong("a", 0.0) for _ in range(10)] == [0.0] * 10
    assert gate.wrong("a", 0.0) == pytest.approx(10.0)
    assert gate.wrong("a", 0.0) == pytest.approx(10.0)
    assert gate.wrong("b", 0.0) == 0.0
    assert gate.wrong("a", 25.0) == 0.0
    assert gate.spent("a", 1e6) == 0.0


def test_what_is_remembered_is_bounded_and_the_quietest_is_forgotten():
    gate = Gate(sources=100)
    for _ in range(11):
        gate.wrong("loud", 0.0)
    for number in range(99):
        gate.wrong(str(number), 0.0)
    assert gate.wrong("loud", 0.0) > 0
    for number in range(100):
        gate.wrong(str(number), 0.0)
    assert gate.spent("loud", 0.0) == 0.0
