"""Envelopes: chained, bound to their contents, and refused when one bit is another."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.delivery import batch, envelope
from protocols.delivery.envelope import GENESIS, Envelope
from protocols.errors import WireError
from tests.fixtures.delivery import reading


def sealed(**changed: object) -> Envelope:
    fields: dict[str, object] = {
        "gateway": "网关-1",
        "lane": 1,
        "epoch": 0xFEDC_BA98_7654_3210,
        "seq": 7,
        "batch_id": envelope.batch_id(bytes(12), 7),
        "prev_hash": GENESIS,
        "root": b"\x05" * 32,
    }
    payload = batch.encode([reading(1), reading(2)], bytes(32))
    return envelope.seal(payload, **(fields | changed))  # type: ignore[arg-type]  # any field


WHOLE = envelope.pack(sealed())


def test_an_envelope_comes_back() -> None:
    assert envelope.unpack(WHOLE) == sealed()


def test_every_flipped_bit_is_refused() -> None:
    for position in range(len(WHOLE)):
        for bit in range(8):
            broken = bytearray(WHOLE)
            broken[position] ^= 1 << bit
            with pytest.raises(WireError):
                envelope.unpack(bytes(broken))


def test_every_truncation_and_a_trailing_byte_are_refused() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(WireError):
            envelope.unpack(WHOLE[:length])
    with pytest.raises(WireError):
        envelope.unpack(WHOLE + b"\0")


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(WireError):
        envelope.unpack(noise)


@pytest.mark.parametrize(
    "changed",
    [
        {"lane": 2},
        {"seq": 0},
        {"seq": 1 << 62},
        {"epoch": 0},
        {"batch_id": b"short"},
        {"prev_hash": b""},
        {"root": bytes(33)},
    ],
    ids=str,
)
def test_a_rightly_hashed_envelope_out_of_bounds_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(WireError):
        envelope.unpack(envelope.pack(sealed(**changed)))


def test_an_unknown_version_is_refused() -> None:
    later = msgspec.structs.replace(sealed(), version=2)
    with pytest.raises(WireError, match="version 2"):
        envelope.unpack(envelope.pack(later))


@pytest.mark.parametrize(
    "changed",
    [
        {"gateway": "gw-2"},
        {"lane": 0},
        {"epoch": 1},
        {"seq": 8},
        {"batch_id": envelope.batch_id(bytes(12), 8)},
        {"prev_hash": b"\x01" * 32},
        {"root": b"\x06" * 32},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_hash_binds_every_field(changed: dict[str, object]) -> None:
    assert sealed(**changed).hash != sealed().hash


def test_a_batch_id_needs_a_whole_boot_id() -> None:
    with pytest.raises(ValueError, match="allowed: 12"):
        envelope.batch_id(b"short", 1)


def test_a_log_line_names_the_place() -> None:
    assert str(sealed()) == "网关-1/1/fedcba9876543210/7 " + "00" * 15 + "07"
