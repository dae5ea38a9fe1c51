"""The software bill of materials (CycloneDX 1.5): every Debian and Python package in the image and its version."""

import email.parser
import re
from pathlib import Path
from typing import Final

import msgspec

from provisioning.image.recipe import COMPATIBLE, Recipe

FORMAT: Final = "1.5"
_FIELD: Final = re.compile(r"^(\S+): (.*)$", re.MULTILINE)


def debian_packages(status: str) -> list[tuple[str, str, str]]:
    """Name, version and architecture of what dpkg has installed, in order of name."""
    found = []
    for paragraph in status.split("\n\n"):
        fields = dict(_FIELD.findall(paragraph))
        if fields.get("Status", "").endswith(" installed"):
            found.append((fields["Package"], fields["Version"], fields["Architecture"]))
    return sorted(found)


def python_packages(folder: Path) -> list[tuple[str, str]]:
    """Name and version of the wheels that were unpacked into a folder."""
    found = []
    for path in folder.glob("*.dist-info/METADATA"):
        head = email.parser.HeaderParser().parsestr(path.read_text(encoding="utf-8"))
        found.append((str(head["Name"]), str(head["Version"])))
    return sorted(found)


def bill(recipe: Recipe, status: str, wheels: Path) -> bytes:
    """The document, as JSON; nothing in it depends on when it is written."""
    debian = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:deb/debian/{name}@{version}?arch={architecture}"}
        for name, version, architecture in debian_packages(status)
    ]
    python = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name.lower()}@{version}"}
        for name, version in python_packages(wheels)
    ]
    about = {"type": "operating-system", "name": COMPATIBLE, "version": recipe.version}
    document = {"bomFormat": "CycloneDX", "specVersion": FORMAT, "version": 1, "metadata": {"component": about}}
    return msgspec.json.format(msgspec.json.encode({**document, "components": [*debian, *python]}))
