"""Batches: every record comes back, the bytes are stable, and nonsense is refused."""

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from protocols.delivery import batch
from protocols.delivery.batch import BatchTooLargeError, Columns, Payload
from protocols.delivery.records import MAX_COUNT, Event, Quality, Reading, Record
from protocols.errors import WireError
from tests.fixtures.delivery import reading

SEED = bytes(range(batch.SEED_BYTES))
NAMES = st.sampled_from(["e-1", "e-2", "水表", ""])
COUNTS = st.integers(-MAX_COUNT, MAX_COUNT)
INSTANTS = st.integers(0, MAX_COUNT)

READINGS = st.builds(
    Reading,
    device=NAMES,
    point=st.sampled_from(["energy_import", "active_power"]),
    uom=st.sampled_from(["kWh", ""]),
    exponent=st.integers(-6, 3),
    count=st.none() | COUNTS,
    quality=st.sampled_from([int(quality) for quality in Quality]),
    read_at_us=INSTANTS,
    monotonic_us=INSTANTS,
    words=st.sampled_from([0, 2, 4, 8]).flatmap(
        lambda size: st.binary(min_size=size, max_size=size)
    ),
)
EVENTS = st.builds(
    Event,
    device=NAMES,
    kind=st.text(max_size=8),
    at_us=INSTANTS,
    monotonic_us=INSTANTS,
    body=st.dictionaries(st.text(max_size=4), st.none() | COUNTS | st.text(max_size=8), max_size=3),
)
RECORDS = st.lists(READINGS | EVENTS, max_size=40)


def series_of(record: Reading) -> tuple[object, ...]:
    return (record.device, record.point, record.uom, record.exponent, len(record.words))


@given(RECORDS)
def test_every_record_comes_back_in_the_order_of_its_series(records: list[Record]) -> None:
    result = batch.records(batch.decode(batch.encode(records, SEED)))

    assert [row for row in result if isinstance(row, Event)] == [
        row for row in records if isinstance(row, Event)
    ]
    sent: dict[tuple[object, ...], list[Reading]] = {}
    came: dict[tuple[object, ...], list[Reading]] = {}
    for rows, by_series in ((records, sent), (result, came)):
        for row in rows:
            if isinstance(row, Reading):
                by_series.setdefault(series_of(row), []).append(row)
    assert came == sent


@given(RECORDS)
def test_bytes_are_stable(records: list[Record]) -> None:
    payload = batch.encode(records, SEED)

    assert batch.encode(records, SEED) == payload
    assert batch.encode(batch.records(batch.decode(payload)), SEED) == payload


def test_the_bytes_of_version_1_stay_what_they_are() -> None:
    # sealed batches are evidence: what was written once must be read for ever
    records = [
        reading(0, words=bytes.fromhex("000003e8")),
        reading(1, count=None, quality=1, words=bytes(4)),
        Event("e-1", "device_silent", 5, 6, {"bus": "b"}),
    ]
    raw = bytes.fromhex(
        "9401c4200707070707070707070707070707070707070707070707070707070707070707919ba365"
        "2d31ad656e657267795f696d706f7274a36b5768fe92cf000655815f672000ce039387009200ce03"
        "93870092cd03e800910192000104c408000003e8000000009195a3652d31ad6465766963655f7369"
        "6c656e74050681a3627573a162"
    )
    assert zstandard.decompress(batch.encode(records, b"\x07" * 32)) == raw
    assert batch.records(batch.decode(zstandard.compress(raw))) == records


def test_too_many_records_are_refused() -> None:
    with pytest.raises(BatchTooLargeError, match="4097 records"):
        batch.encode([reading(number) for number in range(batch.MAX_RECORDS + 1)], SEED)


def test_too_many_bytes_are_refused() -> None:
    noise = [
        reading(number, f"{number * 2654435761 % 2**32:08x}" * 4, count=number * 7919**9 % 2**61)
        for number in range(batch.MAX_RECORDS)
    ]
    with pytest.raises(BatchTooLargeError, match="bytes in a batch"):
        batch.encode(noise, SEED)


def test_what_could_not_be_unpacked_again_is_not_sealed() -> None:
    event = Event("e-1", "note", 0, 0, {"text": "a" * (batch.MAX_DECODED_BYTES + 1)})
    with pytest.raises(BatchTooLargeError, match="before compression"):
        batch.encode([event], SEED)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no zstd frame", id="noise"),
        pytest.param(zstandard.compress(b"\xc1"), id="no msgpack"),
        pytest.param(zstandard.compress(b"\x94\x01\xa1\xff\x90\x90"), id="no UTF-8"),
        pytest.param(zstandard.compress(b"\0" * 100_000_000), id="bomb that names its size"),
        pytest.param(
            zstandard.ZstdCompressor(write_content_size=False).compress(b"\0" * 100_000_000),
            id="bomb that hides its size",
        ),
        pytest.param(bytes(batch.MAX_BYTES + 1), id="over the bound"),
        pytest.param(
            zstandard.compress(msgspec.msgpack.encode(Payload(2, SEED, [], []))), id="version 2"
        ),
        pytest.param(batch.encode([reading(1)], SEED) + b"x", id="trailing byte"),
        pytest.param(
            zstandard.compress(
                msgspec.msgpack.encode(Payload(1, SEED, [], [Event("", "", 0, 0)] * 4097))
            ),
            id="too many records",
        ),
    ],
)
def test_nonsense_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        batch.decode(payload)


@given(RECORDS.filter(bool), st.data())
def test_no_truncated_batch_is_read(records: list[Record], data: st.DataObject) -> None:
    payload = batch.encode(records, SEED)
    with pytest.raises(WireError):
        batch.decode(payload[: data.draw(st.integers(0, len(payload) - 1))])


def test_columns_of_different_length_are_refused() -> None:
    columns = Columns("e-1", "p", "kWh", 0, [1, 2], [1, 2], [1], [], [0, 0], 0, b"")
    with pytest.raises(WireError, match="e-1/p"):
        batch.readings(columns)


ROWS = st.dictionaries(
    st.sampled_from(["e-1", "e-2", "e-3", "e-4", "e-5"]),
    st.lists(st.integers(0, 1000), min_size=1, max_size=4),
    min_size=1,
)


def records_of(rows: dict[str, list[int]]) -> list[Record]:
    return [reading(number, device) for device in rows for number in rows[device]]


@given(ROWS, st.data())
def test_one_changed_reading_changes_the_root_and_only_its_own_leaf(
    rows: dict[str, list[int]], data: st.DataObject
) -> None:
    before = batch.decode(batch.encode(records_of(rows), SEED))
    changed = data.draw(st.sampled_from(sorted(rows)))
    other = dict(rows) | {changed: [rows[changed][0] + 1, *rows[changed][1:]]}
    after = batch.decode(batch.encode(records_of(other), SEED))

    assert batch.merkle_root(after) != batch.merkle_root(before)
    for device in rows:
        leaves = [
            batch.leaf(device, [row for row in batch.records(it) if row.device == device], SEED)
            for it in (before, after)
        ]
        assert (leaves[0] == leaves[1]) == (device != changed)


def test_a_leaf_is_salted_by_its_device_and_seed() -> None:
    rows = [reading(1)]
    assert batch.leaf("e-1", rows, SEED) != batch.leaf("e-1", rows, bytes(32))
    assert batch.salt_of("e-1", SEED) != batch.salt_of("e-2", SEED)


def test_an_empty_batch_has_a_root() -> None:
    assert batch.merkle_root(Payload(1, SEED, [], [])).hex().startswith("e3b0c442")
