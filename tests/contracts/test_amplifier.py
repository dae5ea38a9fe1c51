"""What every amplifier keeps, and what each kind does outside; GPIO on a fake chip, and on a real one if LOA_GPIO names it.

On a node, as root, with a line to which nothing is wired, from a copy of this project:
PYTHONPATH=. LOA_GPIO="gpio:5?chip=9030000.pl061" python3 -m pytest --noconftest -c /dev/null --rootdir . \\
  --import-mode=importlib -rs tests/contracts/test_amplifier.py
"""

from __future__ import annotations

import errno
import os
import re
import time
from pathlib import Path

import gpiod
import pytest
from gpiod.line import Direction, Value

from edge_agent.drivers import amplifier as driver
from edge_agent.drivers.amplifier import FileAmplifier, GpioAmplifier, NoAmplifier, parse
from edge_agent.errors import AmplifierFailed
from provisioning.errors import InputRefused
from provisioning.sites import check_amplifier
from tests.fakes.gpio import Board

NAMED = os.environ.get("LOA_GPIO", "")
"""No chip is switched unasked: whoever runs the tests knows what is wired to the line, this file does not."""
LEVEL = re.compile(rf"\|{driver.CONSUMER} *\) out (hi|lo)")
"""Linux's own list of lines (drivers/gpio/gpiolib.c, gpiolib_dbg_show)."""


class FakeGpio:
    """A Raspberry Pi's chip, not the first of its board."""

    spec = "gpio:17"

    def __init__(self, board: Board) -> None:
        self.board = board
        self.line = board.add("pinctrl-bcm2711")[17]

    def level(self) -> bool:
        return self.line.high

    def held(self) -> tuple[str, Direction] | None:
        return (self.line.consumer, self.line.direction) if self.line.used else None


class RealGpio:
    """A line of this machine."""

    spec = NAMED

    def __init__(self) -> None:
        match = re.fullmatch(r"gpio:(\d+)(?:\?chip=(\S+))?", NAMED)
        assert match, f"LOA_GPIO={NAMED!r}: write it as gpio:5?chip=LABEL, without on_ms"
        self.line = int(match[1])
        chip = match[2] or ""
        self.device = chip if chip.startswith("/") else driver._find_chip(chip)

    def level(self) -> bool:
        found = LEVEL.search(Path("/sys/kernel/debug/gpio").read_text())
        assert found, "Linux's list of lines does not name the amplifier's"
        return found[1] == "hi"

    def held(self) -> tuple[str, Direction] | None:
        with gpiod.Chip(self.device) as chip:
            info = chip.get_line_info(self.line)
        return (info.consumer, info.direction) if info.used else None


@pytest.fixture
def board(tmp_path, monkeypatch) -> Board:
    made = Board(tmp_path / "dev")
    made.folder.mkdir()
    monkeypatch.setattr(gpiod, "Chip", made.Chip)
    monkeypatch.setattr(driver, "DEVICES", made.folder)
    made.add("gpio-brcmstb@107d508500", 32)
    return made


def _gpio(kind: str, request: pytest.FixtureRequest) -> FakeGpio | RealGpio:
    if kind == "fake":
        return FakeGpio(request.getfixturevalue("board"))
    if not NAMED:
        pytest.skip("no line of a real chip is named (LOA_GPIO=gpio:5?chip=LABEL)")
    return RealGpio()


@pytest.fixture(params=["fake", "real"])
def gpio(request) -> FakeGpio | RealGpio:
    return _gpio(request.param, request)


@pytest.fixture(params=["none", "file", "fake gpio", "real gpio"])
def amplifier(request, tmp_path):
    kind = request.param.split()[0]
    spec = {"none": "none", "file": f"file:{tmp_path}/amp.log"}.get(kind) or _gpio(kind, request).spec
    made = parse(spec if spec == "none" else f"{spec}{'&' if '?' in spec else '?'}on_ms=500")
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


# --- a line of a chip, fake and real


def test_the_line_is_low_at_first_and_follows_and_is_free_in_the_end(gpio):
    amplifier = parse(gpio.spec)
    assert isinstance(amplifier, GpioAmplifier)
    try:
        assert gpio.held() == ("loa-amplifier", Direction.OUTPUT)
        seen = [gpio.level()]
        for switch in (amplifier.on, amplifier.off, amplifier.on):
            switch()
            seen.append(gpio.level())
    finally:
        amplifier.close()
    assert seen == [False, True, False, True]
    assert gpio.held() is None
    with pytest.raises(AmplifierFailed, match=r"GPIO \d+ is closed"):
        amplifier.on()


def test_a_line_that_is_taken_is_one_sentence_that_names_the_holder(gpio):
    first = parse(gpio.spec)
    try:
        with pytest.raises(AmplifierFailed, match=r"GPIO \d+ of \S+ cannot .*: loa-amplifier uses that line; choose another"):
            parse(gpio.spec)
    finally:
        first.close()
    parse(gpio.spec).close()


def test_a_line_that_the_chip_does_not_have_is_one_sentence(gpio):
    spec = re.sub(r"\d+", "99999999999", gpio.spec, count=1)
    with pytest.raises(AmplifierFailed, match=r"its lines are 0 to \d+; count as Linux does"):
        parse(spec)


@pytest.mark.parametrize("faked", [True, False])
@pytest.mark.parametrize(
    ("device", "words"),
    [("none", "No such file or directory; name a GPIO chip"), ("plain", "Inappropriate ioctl for device; name a GPIO chip")],
)
def test_a_device_that_is_no_chip_is_one_sentence_under_the_fake_and_under_gpiod_itself(faked, device, words, request, tmp_path):
    if faked:
        request.getfixturevalue("board")
    (tmp_path / "plain").touch()
    with pytest.raises(AmplifierFailed, match=rf"GPIO 5 of {tmp_path}/{device} cannot drive the amplifier: {words}"):
        parse(f"gpio:5?chip={tmp_path}/{device}")


# --- which chip, on the fake


def test_what_the_chip_gets_is_low_then_each_change_then_low_and_nothing_else(board):
    line = FakeGpio(board).line
    amplifier = parse("gpio:17")
    amplifier.on()
    amplifier.close()
    assert line.history == [Value.INACTIVE, Value.ACTIVE, Value.INACTIVE]


@pytest.mark.parametrize("label", ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"])
def test_the_headers_chip_is_found_by_its_label_whatever_its_number(board, label):
    lines = board.add(label)
    (board.folder / "gpiochip4").symlink_to(board.folder / "gpiochip1")
    (board.folder / "gpiochip9").touch()  # its chip was pulled out
    made = parse("gpio:17")
    assert [number for number, line in enumerate(lines) if line.used] == [17]
    made.close()


@pytest.mark.parametrize("chip", ["9030000.pl061", "{folder}/gpiochip1", "{folder}/header"])
def test_another_chip_is_named_by_its_label_or_its_device(board, chip):
    lines = board.add("9030000.pl061", 8)
    board.add("pinctrl-bcm2711")
    (board.folder / "header").symlink_to("gpiochip1")
    made = parse(f"gpio:5?on_ms=300&chip={chip.format(folder=board.folder)}")
    assert (made.power_on_ms, [number for number, line in enumerate(lines) if line.used]) == (300, [5])
    made.close()


def test_without_a_header_the_sentence_names_the_chips_that_are_there(board):
    with pytest.raises(AmplifierFailed, match=r"those here are gpio-brcmstb@107d508500 \(\S+gpiochip0\): name the board's own"):
        parse("gpio:17")
    with pytest.raises(AmplifierFailed, match=r"no GPIO chip is labelled pl061, those here are gpio-brcmstb"):
        parse("gpio:5?chip=pl061")


def test_without_any_chip_the_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "DEVICES", tmp_path)
    with pytest.raises(AmplifierFailed, match=r"pinctrl-bcm2835 or pinctrl-bcm2711 or pinctrl-rp1, those here are none"):
        parse("gpio:17")


def test_two_chips_of_one_label_are_not_guessed_between(board):
    board.add("gpio-brcmstb@107d508500", 4)
    with pytest.raises(AmplifierFailed, match=r"gpiochip0 and \S+gpiochip1 are both labelled .* name one, as gpio:LINE\?chip=/"):
        parse("gpio:2?chip=gpio-brcmstb@107d508500")


@pytest.mark.parametrize("spec", ["gpio:17", "gpio:17?chip={folder}/gpiochip1"])
def test_a_chip_that_may_not_be_opened_names_the_group_and_the_unit(board, spec):
    board.add("pinctrl-bcm2711")
    board.denied.add(str(board.folder / "gpiochip1"))
    with pytest.raises(AmplifierFailed, match=r"may not be opened; .* group gpio, its unit DeviceAllow=char-gpiochip"):
        parse(spec.format(folder=board.folder))


def test_a_chip_that_may_not_be_opened_is_no_hindrance_to_another(board):
    line = FakeGpio(board).line
    board.denied.add(str(board.folder / "gpiochip0"))
    made = parse("gpio:17")
    assert line.used
    made.close()


def test_a_line_that_does_not_follow_is_one_sentence_and_stays_on_as_far_as_we_know(board):
    line = FakeGpio(board).line
    amplifier = parse("gpio:17")
    amplifier.on()
    board.broken = errno.ENODEV
    with pytest.raises(AmplifierFailed, match="GPIO 17 does not switch the amplifier: No such device"):
        amplifier.off()
    assert amplifier.is_on
    with pytest.raises(AmplifierFailed, match="does not switch"):
        amplifier.close()
    assert (line.used, amplifier.is_on) == (False, False)
    amplifier.close()


# --- the others


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


BAD = ("", "on", "gpio:", "gpio:x", "gpio:-1", "gpio:17?on_ms=-1", "gpio:17?on_ms=9000", "file:", "none:1",
       "none?on_ms=5", "gpio:17?chip=", "gpio:17?chip", "gpio:17?chp=a", "gpio:17?chip=a&chip=b", "gpio:17?chip=a&on_ms=",
       "file:a?chip=b")  # fmt: skip


@pytest.mark.parametrize("spec", BAD)
def test_an_amplifier_that_is_none_is_refused_with_the_remedy_here_and_at_the_desk(spec):
    with pytest.raises(ValueError, match="amplifier"):
        parse(spec)
    with pytest.raises(InputRefused, match="khuếch đại"):
        check_amplifier(spec)


@pytest.mark.parametrize("rest", ["", "?on_ms=500", "?chip=9030000.pl061", "?chip=9030000.pl061&on_ms=4000", "?on_ms=0&chip=a@b"])
def test_what_the_desk_takes_the_node_takes(rest, board):
    for label in ("pinctrl-bcm2711", "9030000.pl061", "a@b"):
        board.add(label)
    parse(check_amplifier(f"gpio:17{rest}")).close()
