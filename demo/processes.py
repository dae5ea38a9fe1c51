"""Long-running parts of a stage: each with its own log, all ended with us."""

import signal
import subprocess
from pathlib import Path

ENDS_WITHIN_S = 5


class StageFailed(Exception):
    """A step of the stage failed; the text is the command's own last words."""


class Processes:
    """Every long-running part, each with its own log; all of them end with us."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start one part."""
        with (self._folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._children.append((name, child))
        return child

    def check(self) -> None:
        """Raises StageFailed when a part has ended by itself."""
        for name, child in self._children:
            if child.poll() is not None:
                words_of = (self._folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise StageFailed(f"{name} ended with status {child.returncode}:\n{words_of}")

    def end(self) -> None:
        """End all, the last first; what does not end within five seconds is killed."""
        for _name, child in reversed(self._children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for _name, child in self._children:
            try:
                child.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
