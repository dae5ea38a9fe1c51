"""Keys on PKCS#11 tokens (smart cards, HSMs, SoftHSM): named by a pkcs11: URI (RFC 7512), made there, never read out of there."""

import os
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct
from securesystemslib.signer import Signature, SSlibKey

from provisioning.errors import InputRefused, WrongPassphrase
from provisioning.keyfile import read_passphrase

if TYPE_CHECKING:
    from pkcs11 import Session

SCHEME: Final = "pkcs11:"
MODULE_ENV: Final = "LOA_PKCS11_MODULE"
OBJECT_DEFAULT: Final = "loa"
ED25519_OID: Final = "1.3.101.112"
POINT_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_PATH_KNOWN: Final = frozenset({"token", "object", "serial"})
_QUERY_KNOWN: Final = frozenset({"module-path", "pin-source"})


class TokenUri(Struct, frozen=True, kw_only=True):
    """What a URI says: which module, which token, which key on it, and where its PIN is read."""

    text: str
    module: str
    token: str | None
    serial: str | None
    label: str
    pin_file: Path | None


def is_token(where: str) -> bool:
    """Whether a --key names a token and no file."""
    return where.startswith(SCHEME)


def parse_uri(text: str) -> TokenUri:
    """Take `pkcs11:token=LABEL;object=KEY?module-path=/usr/lib/....so&pin-source=file:/...` apart. Raises InputRefused."""
    path, _, query = text.removeprefix(SCHEME).partition("?")
    parts = _pairs(text, path, ";", _PATH_KNOWN) | _pairs(text, query, "&", _QUERY_KNOWN)
    if not parts.get("token") and not parts.get("serial"):
        raise InputRefused(f"{text}: it names no token: write pkcs11:token=LABEL, as the token was initialised")
    module = parts.get("module-path") or os.environ.get(MODULE_ENV)
    if not module:
        raise InputRefused(
            f"{text}: no PKCS#11 module is named: add ?module-path=/usr/lib/softhsm/libsofthsm2.so (your token's library), "
            f"or set {MODULE_ENV}"
        )
    source = parts.get("pin-source")
    return TokenUri(
        text=text,
        module=module,
        token=parts.get("token"),
        serial=parts.get("serial"),
        label=parts.get("object") or OBJECT_DEFAULT,
        pin_file=Path(source.removeprefix("file:")) if source else None,
    )


def _pairs(text: str, part: str, between: str, known: frozenset[str]) -> dict[str, str]:
    pairs = {}
    for each in filter(None, part.split(between)):
        name, equals, value = each.partition("=")
        if name == "pin-value":
            raise InputRefused("a PIN in an argument is seen by everybody on this machine: use pin-source=file:..., or be asked")
        if name not in known or not equals:
            raise InputRefused(f"{text}: {name!r} is not understood here: token, serial, object, module-path and pin-source are")
        pairs[name] = urllib.parse.unquote(value)
    return pairs


class TokenKey:
    """A key on an open token: signs there. Raises InputRefused when the token is pulled out or says no."""

    def __init__(self, session: "Session", private: Any, public: bytes, text: str) -> None:
        self._session = session
        self._private = private
        self._text = text
        self.public = public.hex()
        self.keyid: str = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(public)).keyid

    def sign(self, payload: bytes) -> Signature:
        """Sign with Ed25519 on the token."""
        import pkcs11

        try:
            signature = self._private.sign(payload, mechanism=pkcs11.Mechanism.EDDSA)
        except pkcs11.PKCS11Error as error:
            raise InputRefused(f"{self._text}: the token did not sign ({_words(error)}): is it still plugged in?") from error
        if len(signature) != SIGNATURE_BYTES:
            raise InputRefused(f"{self._text}: the token gave {len(signature)} bytes, no Ed25519 signature: use another token")
        return Signature(self.keyid, signature.hex())


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def pin_of(uri: TokenUri, otherwise: str) -> str:
    """The PIN out of the URI's pin-source, else the one given."""
    return read_passphrase(uri.pin_file) if uri.pin_file is not None else otherwise


def _session(uri: TokenUri, pin: str, *, write: bool) -> "Session":
    import pkcs11

    try:
        module = pkcs11.lib(uri.module)
        token = module.get_token(token_label=uri.token, token_serial=uri.serial.encode() if uri.serial else None)
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        name = uri.token or uri.serial
        raise InputRefused(f"{uri.text}: {uri.module} knows no token {name!r} ({_words(error)}): plug it in") from error
    try:
        return token.open(rw=write, user_pin=pin)
    except pkcs11.UserAlreadyLoggedIn:
        return token.open(rw=write)  # by this program, for another key on it: a login holds for all sessions of a process
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange) as error:
        raise WrongPassphrase(f"{uri.text}: wrong PIN; after some wrong ones a token locks itself") from error
    except pkcs11.PinLocked as error:
        raise InputRefused(f"{uri.text}: its PIN is locked: the token's own tools unlock it with the SO PIN") from error
    except pkcs11.PKCS11Error as error:
        raise InputRefused(f"{uri.text}: the token does not open ({_words(error)})") from error


def _raw_point(encoded: bytes, text: str) -> bytes:
    """32 bytes, which some tokens wrap in an OCTET STRING. Raises InputRefused."""
    wrapped = encoded[:2] == bytes((4, POINT_BYTES)) and len(encoded) == POINT_BYTES + 2
    point = encoded[2:] if wrapped else encoded
    if len(point) != POINT_BYTES:
        raise InputRefused(f"{text}: this key is not Ed25519: make one with `loa-provision key new --token`")
    return point


def _found(session: "Session", uri: TokenUri) -> tuple[Any, Any] | None:
    """The pair under this label; None when there is none. Raises InputRefused."""
    import pkcs11

    kept = pkcs11.ObjectClass
    halves = [
        list(session.get_objects({pkcs11.Attribute.CLASS: kind, pkcs11.Attribute.LABEL: uri.label}))
        for kind in (kept.PUBLIC_KEY, kept.PRIVATE_KEY)
    ]
    if not any(halves):
        return None
    if any(len(half) != 1 for half in halves):
        raise InputRefused(f"{uri.text}: not exactly one key pair is called {uri.label!r} there: name another with ;object=")
    return halves[0][0], halves[1][0]


def open_key(uri: TokenUri, pin: str) -> TokenKey:
    """The key that a URI names, ready to sign. Raises InputRefused or WrongPassphrase."""
    import pkcs11

    session = _session(uri, pin, write=False)
    found = _found(session, uri)
    if found is None:
        raise InputRefused(f"{uri.text}: no key {uri.label!r} is on this token: make it with `loa-provision key new --token`")
    public, private = found
    return TokenKey(session, private, _raw_point(public[pkcs11.Attribute.EC_POINT], uri.text), uri.text)


def make_key(uri: TokenUri, pin: str) -> TokenKey:
    """Make a key on the token that cannot be taken out of it. Raises InputRefused when one of that name is there."""
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    session = _session(uri, pin, write=True)
    if _found(session, uri) is not None:
        raise InputRefused(f"{uri.text}: a key called {uri.label!r} is on this token already: name another with ;object=")
    try:
        curve = session.create_domain_parameters(
            pkcs11.KeyType.EC_EDWARDS,
            {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(ED25519_OID)},
            local=True,
        )
        closed = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False}
        public, private = curve.generate_keypair(
            mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=uri.label, private_template=closed
        )
    except pkcs11.PKCS11Error as error:
        raise InputRefused(f"{uri.text}: the token makes no Ed25519 key ({_words(error)}): use one with EdDSA") from error
    return TokenKey(session, private, _raw_point(public[pkcs11.Attribute.EC_POINT], uri.text), uri.text)
