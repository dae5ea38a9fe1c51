"""Keys made once, certificates swapped whole: whenever the power goes, the old file is there or the new one, never half."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge_agent.core.enrolment import Dates
from edge_agent.errors import DriverError
from protocol import keys
from protocol.enrolment import new_tls_key

SECRET_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
HALF: Final = ".half-"


class IdentityBroken(DriverError):
    """A file of the node's identity cannot be read or written; the sentence says which and what to do."""


def make_keys(tls_key: Path, report_key: Path) -> None:
    """Make both keys unless they are there. Raises IdentityBroken when the folder cannot be written."""
    for path in (tls_key, report_key):
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sweep(path)
            if not path.exists():
                content = new_tls_key() if path == tls_key else keys.to_pem(keys.new_key(), None)
                _put(path, content, SECRET_MODE, over=False)
        except OSError as error:
            raise IdentityBroken(f"{path} cannot be made ({error}): let the agent's user write its folder") from error


def put_certificate(path: Path, pem: str) -> None:
    """Swap the certificate for a new one of the same key. Raises OSError."""
    _sweep(path)
    _put(path, pem.encode(), PUBLIC_MODE, over=True)


def forget_claim(path: Path) -> None:
    """The claim has done its work: emptied, and taken away where the folder may be written."""
    with contextlib.suppress(OSError), path.open("r+b") as file:
        file.truncate()
        os.fsync(file.fileno())
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        _sync(path.parent)


def open_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The node's TLS key. Raises IdentityBroken."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise IdentityBroken(f"{path} holds no key ({error}): enrol this node anew, with a new label") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise IdentityBroken(f"{path} holds another kind of key than P-256: enrol this node anew, with a new label")
    return key


def read_dates(path: Path) -> Dates:
    """From when until when the certificate counts. Raises IdentityBroken."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise IdentityBroken(f"{path} holds no certificate ({error}): enrol this node anew") from error
    return Dates(int(found.not_valid_before_utc.timestamp() * 1000), int(found.not_valid_after_utc.timestamp() * 1000))


def _put(path: Path, content: bytes, mode: int, *, over: bool) -> None:
    """Write beside, sync, give it its name, sync the folder. What is half written has another name until then."""
    half = path.with_name(f"{HALF}{path.name}-{secrets.token_hex(4)}")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    if over:
        half.replace(path)
    else:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(half)
        half.unlink()
    _sync(path.parent)


def _sweep(path: Path) -> None:
    """Take away what a power cut left half written."""
    for half in path.parent.glob(f"{HALF}{path.name}-*"):
        half.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
