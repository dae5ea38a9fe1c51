"""`python -m tests.web.signing_integrity` writes the hashes of the signing page's files into its index.html, after a change."""

import base64
import hashlib
import re

from controller.signing_site import FOLDER, INDEX

_INTEGRITY = re.compile(r'(?:href|src)="(?P<name>[a-z]+\.(?:js|css))" integrity="(?P<value>[^"]*)"')


def with_integrity(index: str) -> str:
    """index.html with the hash of each file that it names (Subresource Integrity)."""

    def hashed(found: re.Match[str]) -> str:
        digest = base64.b64encode(hashlib.sha256((FOLDER / found["name"]).read_bytes()).digest()).decode()
        return found[0].replace(f'integrity="{found["value"]}"', f'integrity="sha256-{digest}"')

    return _INTEGRITY.sub(hashed, index)


if __name__ == "__main__":
    index = FOLDER / INDEX
    index.write_text(with_integrity(index.read_text(encoding="utf-8")), encoding="utf-8")
