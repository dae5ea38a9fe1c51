"""Keys: the small-order points by real curve arithmetic, files that open only with their passphrase, ids that show a slip."""

import base64

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import keys, node_id, pkcs8
from protocol.documents import Key
from protocol.errors import Malformed
from protocol.trust import is_small_order, public_key
from tests.vectors import key

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
NEUTRAL: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    """The twisted Edwards addition law, complete on this curve."""
    cross = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + cross, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - cross, -1, P)
    return x % P, y % P


def times(scalar: int, point: Point) -> Point:
    total = NEUTRAL
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def with_y(y: int) -> Point | None:
    """A point of the curve with this y, if there is one."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (x, y) if x * x % P == square else None


def torsion() -> set[Point]:
    """All points whose order divides 8: what is left of any point after multiplying by the large prime."""
    found: set[Point] = set()
    y = 2
    while len(found) < 8:
        if point := with_y(y):
            rest = times(L, point)
            found |= {times(factor, rest) for factor in range(8)}
        y += 1
    return found


def encoded(y: int, sign: int) -> str:
    return (y | sign << 255).to_bytes(32, "little").hex()


def test_the_refused_points_are_exactly_the_eight_of_small_order():
    points = torsion()
    assert len(points) == 8
    assert all(times(8, point) == NEUTRAL for point in points)
    spellings = {encoded(y, sign) for _x, point_y in points for y in (point_y, point_y + P) if y < 2**255 for sign in (0, 1)}
    assert all(is_small_order(spelling) for spelling in spellings)
    for spelling in spellings:
        with pytest.raises(Malformed):
            public_key(spelling)


@given(y=st.integers(2, 2**255 - 1), sign=st.integers(0, 1))
@settings(max_examples=50)
def test_no_other_point_is_called_small(y: int, sign: int):
    point = with_y(y % P)
    assert is_small_order(encoded(y, sign)) == (point is not None and times(8, point) == NEUTRAL)


def test_a_real_key_is_none_of_them_and_keeps_its_id():
    for number in range(20):
        private = key(f"k{number}")
        assert not is_small_order(keys.public_hex(private))
        assert public_key(keys.public_hex(private)).keyid == keys.sealer(private).public_key.keyid


@pytest.mark.parametrize("passphrase", [None, "x", "mật khẩu dài có dấu"])
def test_a_key_file_opens_with_its_own_passphrase(passphrase: str | None):
    private = keys.new_key()
    assert keys.public_hex(keys.from_pem(keys.to_pem(private, passphrase), passphrase)) == keys.public_hex(private)


@pytest.mark.parametrize(
    ("sealed_with", "opened_with", "said"),
    [("a", "b", "wrong passphrase"), ("a", None, "give its passphrase"), (None, "a", "give no passphrase")],
)
def test_a_wrong_passphrase_says_what_is_wrong(sealed_with: str | None, opened_with: str | None, said: str):
    with pytest.raises(keys.KeyUnreadable, match=said):
        keys.from_pem(keys.to_pem(keys.new_key(), sealed_with), opened_with)


def test_a_key_file_is_closed_with_scrypt_at_a_cost_that_makes_guessing_slow():
    der = base64.b64decode("".join(keys.to_pem(keys.new_key(), "ba con").decode().splitlines()[1:-1]))
    scrypt = bytes.fromhex("06092b06010401da47040b")
    at = der.index(scrypt) + len(scrypt)
    salt, costs = der[at + 4 : at + 20], der[at + 20 :]
    assert costs.startswith(bytes.fromhex("0203020000 020108 020101")), "N 2^17, r 8, p 1"
    assert len(set(salt)) > 1
    assert pkcs8.COST_N * 128 * pkcs8.BLOCK_R >= 128 << 20


def test_two_files_of_one_key_and_passphrase_have_nothing_in_common_but_their_head():
    private = keys.new_key()
    one, two = (keys.to_pem(private, "ba con").splitlines()[1:-1] for _ in range(2))
    assert one[1:] != two[1:]


@pytest.mark.parametrize("cost", [2**14, 2**15, 2**17])
def test_a_key_file_of_another_cost_opens_too(cost: int):
    private = keys.new_key()
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert keys.public_hex(keys.from_pem(pkcs8.encrypt(der, b"ba con", cost_n=cost), "ba con")) == keys.public_hex(private)


def test_a_key_file_of_before_under_pbkdf2_still_opens():
    private = keys.new_key()
    old = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"ba con"))
    assert keys.public_hex(keys.from_pem(old, "ba con")) == keys.public_hex(private)
    with pytest.raises(keys.KeyUnreadable, match="wrong passphrase"):
        keys.from_pem(old, "ba ba")


def test_what_is_no_ed25519_key_is_refused():
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(keys.KeyUnreadable, match="not an Ed25519 key"):
        keys.from_pem(other, None)
    for pem in (b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", keys.to_pem(keys.new_key(), None)[:60]):
        with pytest.raises(keys.KeyUnreadable):
            keys.from_pem(pem, None)


def test_an_empty_passphrase_is_refused_before_a_file_is_written():
    with pytest.raises(Malformed, match="empty"):
        keys.to_pem(keys.new_key(), "")


def test_a_key_in_a_document_is_hex_without_a_line_break():
    spelled = keys.public_hex(key("c1")) + "\n"
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(Key(public=spelled, person="c1")), type=Key)


IDS = st.binary(min_size=6, max_size=12).map(node_id.new_id).filter(lambda found: found is not None)


@given(found=IDS)
def test_a_new_node_id_is_valid(found: str):
    assert len(found) == 10
    assert node_id.is_valid(found)


@given(found=IDS, place=st.integers(0, 9), letter=st.sampled_from(node_id.ALPHABET))
def test_one_wrong_letter_shows(found: str, place: int, letter: str):
    typed = found[:place] + letter + found[place + 1 :]
    assert node_id.is_valid(typed) == (typed == found)


@given(found=IDS, place=st.integers(0, 8))
def test_swapped_neighbours_show(found: str, place: int):
    typed = found[:place] + found[place + 1] + found[place] + found[place + 2 :]
    assert node_id.is_valid(typed) == (typed == found)


@given(text=st.text(max_size=12))
def test_any_typed_text_is_judged_without_an_error(text: str):
    assert node_id.is_valid(text) in (True, False)
