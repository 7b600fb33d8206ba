"""Batches that replace others: the same bytes for the same input, and bounded."""

import hashlib

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from protocols.delivery import batch
from protocols.delivery.batch import BatchTooLargeError, Payload, Replaced
from protocols.delivery.records import Event, Reading
from protocols.errors import WireError
from tests.fixtures.delivery import reading

SEED = bytes(range(32))
A, B = b"a" * 16, b"b" * 16


def packed(payload: object) -> bytes:
    return zstandard.compress(msgspec.msgpack.encode(payload))


def test_a_batch_that_replaces_nothing_has_the_bytes_it_always_had() -> None:
    rows = [reading(0), reading(1), Event("e-1", "door", 5, 6, {"who": "x"})]
    raw = zstandard.decompress(batch.encode(rows, SEED))
    assert (
        hashlib.sha256(raw).hexdigest()[:16]
        == hashlib.sha256(
            msgspec.msgpack.encode(
                (
                    1,
                    SEED,
                    [
                        (
                            "e-1",
                            "energy_import",
                            "kWh",
                            -2,
                            [reading(0).read_at_us, 60_000_000],
                            [0, 60_000_000],
                            [1000, 1],
                            [],
                            [0, 0],
                            4,
                            reading(0).words + reading(1).words,
                        )
                    ],
                    [rows[2]],
                )
            )
        ).hexdigest()[:16]
    )
    assert batch.decode(batch.encode(rows, SEED)).replaces == []


rows = st.lists(st.integers(0, 50), max_size=6)


@given(own=rows, kept=st.dictionaries(st.binary(min_size=16, max_size=16), rows, max_size=5))
def test_round_trip(own: list[int], kept: dict[bytes, list[int]]) -> None:
    replaces = {name: [reading(n, f"e-{n % 3}") for n in numbers] for name, numbers in kept.items()}
    mine: list[Reading] = [reading(n) for n in own]
    payload, root = batch.encode_with_root(mine, SEED, replaces=replaces)
    decoded = batch.decode(payload)
    assert batch.encode(mine, SEED, replaces=replaces) == payload
    assert root == batch.merkle_root(decoded)
    assert [item.batch_id for item in decoded.replaces] == list(replaces)
    for item in decoded.replaces:
        back = [row for columns in item.series for row in batch.readings(columns)]
        assert sorted(map(repr, back)) == sorted(map(repr, replaces[item.batch_id]))
    assert len(batch.records(decoded)) == len(mine) + sum(map(len, replaces.values()))
    assert len(batch.all_series(decoded)) >= len(decoded.series)


def test_the_root_covers_what_is_kept() -> None:
    one = batch.encode_with_root([], SEED, replaces={A: [reading(0)]})[1]
    other = batch.encode_with_root([], SEED, replaces={A: [reading(0, count=1)]})[1]
    assert one != other


def test_ids_count_as_records() -> None:
    ids = {number.to_bytes(16, "big"): [] for number in range(batch.MAX_RECORDS)}
    assert len(batch.decode(batch.encode([], SEED, replaces=ids)).replaces) == batch.MAX_RECORDS
    with pytest.raises(BatchTooLargeError, match="4097 records"):
        batch.encode([reading(0)], SEED, replaces=ids)
    many = [Replaced(number.to_bytes(16, "big"), []) for number in range(batch.MAX_RECORDS + 1)]
    with pytest.raises(WireError, match="4097 records"):
        batch.decode(packed(Payload(2, SEED, [], [], many)))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        pytest.param(Payload(1, SEED, [], [], [Replaced(A, [])]), "version 1", id="not as 1"),
        pytest.param(Payload(2, SEED, [], []), "version 2", id="2 without any"),
        pytest.param(Payload(2, SEED, [], [], [Replaced(b"a", [])]), "16 bytes", id="short id"),
    ],
)
def test_nonsense_is_refused(payload: Payload, message: str) -> None:
    with pytest.raises(WireError, match=message):
        batch.decode(packed(payload))


def test_dense_batches_say_the_same() -> None:
    mine = [reading(number, f"e-{number}") for number in range(200)]
    thin, root = batch.encode_with_root(mine, SEED)
    dense, same_root = batch.encode_with_root(mine, SEED, level=batch.DENSE_LEVEL)
    assert len(dense) < len(thin)
    assert (batch.decode(dense), same_root) == (batch.decode(thin), root)
