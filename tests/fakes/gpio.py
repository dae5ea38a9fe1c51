"""A peer of the part of gpiod that is used: labelled chips, lines held by one at a time, gpiod's own errors, a history."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import gpiod
from gpiod.line import Bias, Clock, Direction, Drive, Edge, Value


@dataclass
class Line:
    """One line. Freed, it stays driven as it was, as some kernels leave it."""

    consumer: str = ""
    used: bool = False
    direction: Direction = Direction.INPUT
    history: list[Value] = field(default_factory=list)
    """Every level that it was driven to."""

    @property
    def high(self) -> bool:
        return self.history[-1:] == [Value.ACTIVE]


@dataclass
class Board:
    """The GPIO chips of a machine, their devices files in a folder. `Chip` takes the place of gpiod's."""

    folder: Path
    chips: dict[str, tuple[str, list[Line]]] = field(default_factory=dict)
    """Device to label and lines."""
    denied: set[str] = field(default_factory=set)
    broken: int = 0
    """The errno with which every change of a level fails."""

    def add(self, label: str, count: int = 54) -> list[Line]:
        """A chip under the next free number."""
        device = self.folder / f"gpiochip{len(self.chips)}"
        device.touch()
        lines = [Line() for _ in range(count)]
        self.chips[str(device)] = (label, lines)
        return lines

    def Chip(self, path: str) -> Chip:  # noqa: N802 - named as in gpiod
        device = os.path.realpath(path)
        if not Path(device).exists():
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if device in self.denied:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        if device not in self.chips:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        return Chip(self, device)


class Chip:
    """An open chip."""

    def __init__(self, board: Board, device: str) -> None:
        self._board = board
        self._open = True
        self._name = Path(device).name
        self._label, self._lines = board.chips[device]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self._open = False

    def get_info(self) -> gpiod.ChipInfo:
        self._check()
        return gpiod.ChipInfo(self._name, self._label, len(self._lines))

    def get_line_info(self, line: int) -> gpiod.LineInfo:
        at = self._line(line)
        still = (Bias.UNKNOWN, Drive.PUSH_PULL, Edge.NONE, Clock.MONOTONIC)
        return gpiod.LineInfo(line, f"GPIO{line}", at.used, at.consumer, at.direction, False, *still, False, 0)

    def request_lines(self, config: dict[int, gpiod.LineSettings], consumer: str) -> Request:
        ((number, settings),) = config.items()
        line = self._line(number)
        if line.used:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        line.used, line.consumer, line.direction = True, consumer, settings.direction
        if settings.direction == Direction.OUTPUT:
            line.history.append(settings.output_value)
        return Request(self._board, number, line)

    def _line(self, number: int) -> Line:
        self._check()
        if number >= len(self._lines):
            raise ValueError("line offset of out range")
        return self._lines[number]

    def _check(self) -> None:
        if not self._open:
            raise gpiod.ChipClosedError


class Request:
    """A line that is held; it outlives its chip's being closed, as the kernel has it."""

    def __init__(self, board: Board, number: int, line: Line) -> None:
        self._board = board
        self._number = number
        self._line: Line | None = line

    def set_value(self, line: int, value: Value) -> None:
        if self._line is None:
            raise gpiod.RequestReleasedError
        if line != self._number:
            raise ValueError(errno.EINVAL, os.strerror(errno.EINVAL))
        if self._line.direction != Direction.OUTPUT:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        if self._board.broken:
            raise OSError(self._board.broken, os.strerror(self._board.broken))
        self._line.history.append(value)

    def release(self) -> None:
        if self._line is None:
            raise gpiod.RequestReleasedError
        self._line.used, self._line.consumer, self._line = False, "", None
