"""`make hil`: the node's image in QEMU (or, with --bench, a node on the bench), and every test against it."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

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
    return subprocess.run([*words, *(args.words or [str(HERE)]), *more], env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
