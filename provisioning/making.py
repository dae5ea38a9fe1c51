"""Makes one person's key: an encrypted file, or on a token that it never leaves; the public file is written either way."""

from pathlib import Path

from provisioning import keyfile, token
from provisioning.files import refuse_existing
from provisioning.hands import token_secret
from provisioning.keyfile import PublicFile
from provisioning.terminal import passphrase


def make(out: Path, *, person: str, name: str, on_token: str | None, secret_file: Path | None) -> PublicFile:
    """Make a key and its public file, asking for a new passphrase (or the token's PIN). Raises InputRefused."""
    if on_token is None:
        secret = passphrase(f"New passphrase for {out}", secret_file, new=True)
        return keyfile.write_new(out, person=person, name=name, passphrase=secret)
    beside = keyfile.public_path(out)
    refuse_existing(beside, "public file")
    keyfile.describe(beside, person=person, name=name, public="0" * 64)  # before the token is touched
    uri = token.parse_uri(on_token)
    made = token.make_key(uri, token_secret(on_token, uri, secret_file))
    public = keyfile.describe(beside, person=person, name=name, public=made.public)
    keyfile.write_public(beside, public)
    return public
