"""Node ids: ten Crockford base32 characters, the last a check character (modulo 37, as Crockford's scheme has it)."""

from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MODULUS: Final = 37
BODY_LENGTH: Final = 9


def _value(body: str) -> int:
    value = 0
    for letter in body:
        value = value * 32 + ALPHABET.index(letter)
    return value


def new_id(randomness: bytes) -> str | None:
    """An id out of 6 or more random bytes; None when its check symbol is none of the 32 letters (draw again: 5 in 37)."""
    value = int.from_bytes(randomness, "big") % 32**BODY_LENGTH
    check = value % MODULUS
    if check >= len(ALPHABET):
        return None
    letters = ""
    for _ in range(BODY_LENGTH):
        value, digit = divmod(value, 32)
        letters = ALPHABET[digit] + letters
    return letters + ALPHABET[check]


def is_valid(text: str) -> bool:
    """Whether this is a whole id, as typed from a label: any single wrong letter or swapped neighbours show."""
    if len(text) != BODY_LENGTH + 1 or any(letter not in ALPHABET for letter in text):
        return False
    return _value(text[:-1]) % MODULUS == ALPHABET.index(text[-1])
