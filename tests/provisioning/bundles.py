"""Bundles of RAUC's shape, signed by the real openssl: content, CMS signature with the manifest in it, eight bytes of length."""

import subprocess
from pathlib import Path

MANIFEST = """[update]
compatible={compatible}
version={version}
build={build}

[bundle]
format={format}
verity-hash=3f0c
"""


def make_bundle(
    path: Path, *, build: str = "7", version: str = "2026.11.2", content: bytes = b"squash" * 999, **more: str
) -> bytes:
    """Write a bundle and return its manifest."""
    names = {"compatible": "loa-node", "format": "verity"} | more
    manifest = MANIFEST.format(build=build, version=version, **names).encode()
    folder = path.parent
    (folder / "m").write_bytes(manifest)
    if not (folder / "cert.pem").exists():
        words = ["req", "-x509", "-newkey", "rsa:2048", "-keyout", "sign.pem", "-out", "cert.pem", "-nodes", "-subj", "/CN=desk"]
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)
    words = ["cms", "-sign", "-in", "m", "-binary", "-nodetach", "-outform", "DER", "-signer", "cert.pem", "-inkey", "sign.pem"]
    signed = subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60).stdout
    path.write_bytes(content + signed + len(signed).to_bytes(8, "big"))
    return manifest
