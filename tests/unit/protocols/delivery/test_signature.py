"""SIG: what is signed is laid down to the byte, and nonsense is refused by its field."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocols.delivery import signature
from protocols.delivery.envelope import MAX_SEQ
from protocols.delivery.records import EventValue
from protocols.errors import WireError
from tests.fixtures.signed_chains import EPOCH, GATEWAY, KEY

DIGEST = bytes(range(32))
MADE = signature.sign(KEY, gateway=GATEWAY, lane=1, epoch=EPOCH, seq=300, digest=DIGEST)
PUBLIC = signature.public_bytes(KEY)


def test_the_signed_bytes_are_those_of_the_document() -> None:
    signed = signature.signed_bytes(GATEWAY, 1, EPOCH, 300, DIGEST)
    head = "96 ac 6875746f6e672d7369672d31 a4 67772d31 01 cf a1b2c3d4e5f60718 cd 012c c4 20"
    assert signed == bytes.fromhex(head) + DIGEST


@given(st.integers(0, 1), st.integers(1, (1 << 64) - 1), st.integers(1, MAX_SEQ), st.binary())
def test_a_signature_comes_back_from_its_event(
    lane: int, epoch: int, seq: int, text: bytes
) -> None:
    digest = (text + bytes(32))[:32]
    made = signature.sign(KEY, gateway=GATEWAY, lane=lane, epoch=epoch, seq=seq, digest=digest)
    assert signature.from_body(made.to_body()) == made
    assert signature.is_signed_by(PUBLIC, GATEWAY, made)
    assert not signature.is_signed_by(PUBLIC, "gw-2", made)


def test_another_key_or_no_key_made_none() -> None:
    other = signature.public_bytes(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert not signature.is_signed_by(other, GATEWAY, MADE)
    assert not signature.is_signed_by(b"short", GATEWAY, MADE)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lane", 2),
        ("lane", "1"),
        ("lane", None),
        ("seq", 0),
        ("seq", MAX_SEQ + 1),
        ("epoch", "A1B2C3D4E5F60718"),
        ("epoch", 7),
        ("hash", "00"),
        ("hash", "zz" * 32),
        ("signature", "no base64"),
        ("signature", "AAAA"),
        ("signature", 1),
    ],
)
def test_nonsense_is_refused_by_its_field(field: str, value: EventValue) -> None:
    with pytest.raises(WireError, match=f"sig: {field}"):
        signature.from_body(MADE.to_body() | {field: value})


def test_a_public_key_has_one_way_to_be_written() -> None:
    text = signature.key_text(PUBLIC)
    assert len(text) == 44
    assert signature.key_bytes(text) == PUBLIC
    last = chr(ord(text[42]) ^ 1)
    for wrong in ("", text[:-1], text + "=", text[:42] + last + "=" if last.isalnum() else "x"):
        with pytest.raises(WireError, match="44 characters"):
            signature.key_bytes(wrong)
