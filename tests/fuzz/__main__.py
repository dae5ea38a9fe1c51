"""Fuzz every parser of outside bytes, coverage-guided: `python -m tests.fuzz [--seconds 60] [--only orders,csr] [--together 1]`.

What is found lies in build/fuzz/<target>/found; copied to tests/fuzz/found/<target>/ it is replayed by every `make test`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.targets import TARGETS

HOME = Path(__file__).parents[2] / "build" / "fuzz"
MEMORY_MB = 1_024


def prepare(name: str) -> Path:
    """The corpus of a target: its seeds, what was found before, and what earlier runs kept."""
    home = HOME / name
    (home / "found").mkdir(parents=True, exist_ok=True)
    (home / "corpus").mkdir(exist_ok=True)
    known = sorted((Path(__file__).parent / "found" / name).glob("*"))
    for data in (*TARGETS[name].seeds(), *(path.read_bytes() for path in known)):
        (home / "corpus" / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    words = "\n".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in TARGETS[name].words)
    (home / "words").write_text(words + "\n", "utf-8")
    return home


def fuzz(name: str, seconds: int) -> str:
    """One target for so long, in a process of its own. Returns its line of the table."""
    home, target = prepare(name), TARGETS[name]
    before = set((home / "found").iterdir())
    words = [
        *(sys.executable, "-m", "tests.fuzz.one", name, f"-max_total_time={seconds}", f"-timeout={target.seconds}"),
        *(
            f"-rss_limit_mb={MEMORY_MB}",
            f"-report_slow_units={target.seconds}",
            f"-max_len={target.longest_bytes}",
            f"-artifact_prefix={home / 'found'}/",
        ),
        *("-print_final_stats=1", "-len_control=0", f"-dict={home / 'words'}", str(home / "corpus")),
    ]
    with (home / "log").open("wb") as log:
        status = subprocess.run(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=False).returncode
    said = (home / "log").read_text("utf-8", "replace")
    count = re.search(r"number_of_executed_units:\s*(\d+)", said)
    covered = re.findall(r"\bcov: (\d+)", said)
    found = sorted(path.name for path in set((home / "found").iterdir()) - before)
    outcome = "FOUND " + ", ".join(found) if found else "ok" if status == 0 else f"FAILED with {status}, see {home / 'log'}"
    return f"{name:18} {count[1] if count else '?':>9} inputs  cov {covered[-1] if covered else '?':>5}  {outcome}"


def main() -> int:
    """Run the targets one after the other, or a few at a time; 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--only", default=",".join(TARGETS))
    parser.add_argument("--together", type=int, default=1)
    asked = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is missing: .venv/bin/pip install '.[fuzz]'", file=sys.stderr)
        return 2
    names = [name for name in asked.only.split(",") if name]
    if unknown := set(names) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    lines = []
    with ThreadPoolExecutor(asked.together) as pool:
        for line in pool.map(lambda name: fuzz(name, asked.seconds), names):
            print(line, flush=True)
            lines.append(line)
    return 0 if all(line.endswith(" ok") for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
