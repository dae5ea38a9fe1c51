"""Where this machine gets Debian from: the image comes from the same place unless told otherwise."""

import re
from pathlib import Path
from typing import Final

from provisioning.errors import InputRefused

APT: Final = Path("/etc/apt")
_LINE: Final = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)", re.MULTILINE)
_FIELD: Final = re.compile(r"^(URIs|Suites):\s*(\S+)", re.MULTILINE)
REMEDY: Final = "name them: --mirror URL --security URL"


def mirrors(folder: Path = APT) -> tuple[str, str]:
    """The addresses of Debian's archive and of its security updates. Raises InputRefused when this machine does not say."""
    found = _named(folder)
    main = next((url for url, suite in found if url.rstrip("/").endswith("/debian") and "security" not in suite), None)
    security = next((url for url, suite in found if suite.endswith("-security")), None)
    if main is None or security is None:
        raise InputRefused(f"máy này không cho biết kho Debian / this machine names no Debian archive in {folder}: {REMEDY}")
    return main, security


def _named(folder: Path) -> list[tuple[str, str]]:
    """Address and first suite of each source."""
    found: list[tuple[str, str]] = []
    for path in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))):
        if not path.is_file():
            continue
        text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#"))
        if path.suffix == ".sources":
            stanzas = [dict(_FIELD.findall(stanza)) for stanza in text.split("\n\n")]
            found += [(fields["URIs"], fields["Suites"]) for fields in stanzas if {"URIs", "Suites"} <= fields.keys()]
        else:
            found += _LINE.findall(text)
    return found
