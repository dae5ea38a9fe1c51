"""`make hil`: the node's image in QEMU (or, with --bench, a node on the bench), and every test against it."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec

from hil.due import SEEN, Seen, inputs

HERE = Path(__file__).parent
FOLDER = Path("build/hil").resolve()


def main() -> int:
    """Run it; pytest's own status."""
    parser = argparse.ArgumentParser(prog="python -m hil", description=__doc__)
    parser.add_argument("--bench", action="store_true", help="the node on the bench (hil/bench.yaml) in place of QEMU")
    parser.add_argument("--long", action="store_true", help="also what takes hours")
    parser.add_argument("words", nargs="*", help="for pytest, such as hil/test_1_first_sound.py or -k emergency")
    args, more = parser.parse_known_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "console.log").unlink(missing_ok=True)
    env = os.environ | {"LG_HIL_FOLDER": str(FOLDER)}
    place = HERE / ("bench.yaml" if args.bench else "qemu.yaml")
    words = [sys.executable, "-m", "pytest", "-c", str(HERE / "pytest.ini"), "--rootdir", ".", "-s", "-v", f"--lg-env={place}"]
    words += [] if args.long else ["-m", "not long"]
    result = FOLDER / "result.xml"
    ended = subprocess.run([*words, f"--junitxml={result}", *(args.words or [str(HERE)]), *more], env=env, check=False).returncode
    if ended == 0 and not (args.bench or args.words or more):
        SEEN.write_bytes(msgspec.json.format(msgspec.json.encode(_seen(result))) + b"\n")
        print(f"{SEEN.name}: this run is written down; commit it with what it was about")
    return ended


def _seen(result: Path) -> Seen:
    (suite,) = ET.parse(result).getroot().iter("testsuite")  # noqa: S314  pytest wrote it a moment ago
    passed = [f"{case.get('name')}" for case in suite.iter("testcase") if case.find("skipped") is None]
    return Seen(inputs=inputs(), on=time.strftime("%d/%m/%Y"), minutes=round(float(suite.get("time", 0)) / 60), passed=passed)


if __name__ == "__main__":
    sys.exit(main())
