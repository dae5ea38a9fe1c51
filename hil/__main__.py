"""`make hil`: the node's image in QEMU (or, with --bench, a node on the bench), and every test against it."""

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Final
from xml.etree import ElementTree as ET

import msgspec

from hil.due import SEEN, Seen, inputs
from hil.made import Made

HERE: Final = Path(__file__).parent
FOLDER: Final = Path("build/hil").resolve()
LANES: Final = (
    ("test_1_first_sound.py", "test_2_faults.py", "test_3_dead_copies.py", "test_6_raspberry_pi.py", "test_5_bytes.py"),
    ("test_4_updates.py",),
)
"""Two nodes, each with an office of its own, side by side: most of a test is waiting."""


def main() -> int:
    """Run it; pytest's own status."""
    parser = argparse.ArgumentParser(prog="python -m hil", description=__doc__)
    parser.add_argument("--bench", action="store_true", help="the node on the bench (hil/bench.yaml) in place of QEMU")
    parser.add_argument("--long", action="store_true", help="also what takes hours")
    parser.add_argument("words", nargs="*", help="for pytest, such as hil/test_1_first_sound.py or -k emergency")
    args, more = parser.parse_known_args()
    place = HERE / ("bench.yaml" if args.bench else "qemu.yaml")
    plain = ["-c", str(HERE / "pytest.ini"), "--rootdir", ".", "-s", "-v", f"--lg-env={place}"]
    plain += [] if args.long else ["-m", "not long"]
    if args.bench or args.words or more:
        return _Lane(0, [*plain, *(args.words or [str(HERE)]), *more]).wait()
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = Made(FOLDER)
    print(f"ssh to a node: ssh -i {made.ssh_key} root@127.0.0.1 -p PORT", flush=True)
    began = time.monotonic()
    made.image(1)
    lanes = [_Lane(number, [*plain, *(str(HERE / name) for name in names)]) for number, names in enumerate(LANES, 1)]
    for build in (1, 2):  # they need these later
        made.bundle(build)
    ended = [lane.wait() for lane in lanes]
    if any(ended):
        return next(filter(None, ended))
    seen = Seen(
        inputs=inputs(),
        on=time.strftime("%d/%m/%Y"),
        minutes=round((time.monotonic() - began) / 60),
        passed=[name for lane in lanes for name in lane.passed()],
    )
    SEEN.write_bytes(msgspec.json.format(msgspec.json.encode(seen)) + b"\n")
    print(f"{len(seen.passed)} tests passed in {seen.minutes} minutes; {SEEN.name} says so: commit it with what it was about")
    return 0


class _Lane:
    """One run of pytest in a folder of its own; what it prints is shown as it comes, under its number. Lane 0 is alone."""

    def __init__(self, number: int, words: list[str]) -> None:
        self._number = number
        folder = FOLDER / f"lane-{number}" if number else FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "console.log").unlink(missing_ok=True)
        self._result = folder / "result.xml"
        self._result.unlink(missing_ok=True)
        command = [sys.executable, "-u", "-m", "pytest", *words, f"--junitxml={self._result}"]
        env = os.environ | {"LG_HIL_FOLDER": str(folder), "LG_HIL_MADE": str(FOLDER)}
        pipe = subprocess.PIPE if number else None
        self._child = subprocess.Popen(command, env=env, stdout=pipe, stderr=subprocess.STDOUT if number else None)
        self._reader = threading.Thread(target=self._show, args=(self._child.stdout,))
        self._reader.start()

    def wait(self) -> int:
        """Until it has ended; its status."""
        status = self._child.wait()
        self._reader.join()
        return status

    def passed(self) -> list[str]:
        """The names of the tests that passed."""
        (suite,) = ET.parse(self._result).getroot().iter("testsuite")  # noqa: S314  pytest wrote it a moment ago
        return [f"{case.get('name')}" for case in suite.iter("testcase") if case.find("skipped") is None]

    def _show(self, lines: IO[bytes] | None) -> None:
        for line in lines or ():
            print(f"{self._number}| {time.strftime('%H:%M:%S')} {line.decode(errors='replace').rstrip()}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
