"""What every amplifier keeps, and what each kind does outside."""

from __future__ import annotations

import time

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from edge_agent.drivers.amplifier import FileAmplifier, GpioAmplifier, NoAmplifier, parse
from edge_agent.errors import AmplifierFailed


@pytest.fixture
def pins():
    """gpiozero's own peer of the real pins: it refuses illegal use."""
    Device.pin_factory = MockFactory()
    yield Device.pin_factory
    Device.pin_factory.reset()
    Device.pin_factory = None


@pytest.fixture(params=["none", "gpio:17?on_ms=500", "file:{folder}/amp.log?on_ms=500"])
def amplifier(request, pins, tmp_path):
    made = parse(request.param.format(folder=tmp_path))
    yield made
    made.close()


def test_it_is_off_at_first(amplifier):
    assert not amplifier.is_on


def test_it_is_on_after_on_and_off_after_off_however_often(amplifier):
    for _ in range(2):
        amplifier.on()
        amplifier.on()
        assert amplifier.is_on
        amplifier.off()
        amplifier.off()
        assert not amplifier.is_on


def test_closing_takes_its_power_and_may_be_repeated(amplifier):
    amplifier.on()
    amplifier.close()
    amplifier.close()
    assert not amplifier.is_on


def test_it_says_how_long_it_needs(amplifier):
    assert amplifier.power_on_ms == (0 if isinstance(amplifier, NoAmplifier) else 500)


def test_the_gpio_line_follows(pins):
    amplifier = parse("gpio:17")
    assert isinstance(amplifier, GpioAmplifier)
    line = pins.pin(17)
    assert (line.function, line.state) == ("output", False)
    amplifier.on()
    assert line.state
    amplifier.off()
    assert not line.state
    amplifier.on()
    amplifier.close()
    assert not line.state
    with pytest.raises(AmplifierFailed, match="GPIO 17 is closed"):
        amplifier.on()


def test_a_pin_that_is_taken_is_one_sentence(pins):
    first = parse("gpio:17")
    with pytest.raises(AmplifierFailed, match="GPIO 17 cannot drive the amplifier"):
        parse("gpio:17")
    first.close()


def test_the_file_tells_each_change_with_its_instant(tmp_path):
    before = time.monotonic_ns()
    amplifier = FileAmplifier(tmp_path / "amp.log")
    amplifier.on()
    amplifier.on()
    amplifier.close()
    lines = [line.split() for line in (tmp_path / "amp.log").read_text().splitlines()]
    assert [word for _, word in lines] == ["off", "on", "off"]
    instants = [int(at) for at, _ in lines]
    assert before <= instants[0] <= instants[1] <= instants[2] <= time.monotonic_ns()


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(AmplifierFailed, match="choose a writable folder"):
        parse(f"file:{tmp_path}/no/amp.log")


@pytest.mark.parametrize("spec", ["", "on", "gpio:", "gpio:x", "gpio:17?on_ms=-1", "gpio:17?on_ms=9000", "file:", "none:1"])
def test_an_amplifier_that_is_none_is_refused_with_the_remedy(spec):
    with pytest.raises(ValueError, match="amplifier"):
        parse(spec)
