"""Records to bytes and back: versioned, columnar, per-series deltas, bounded."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import zstandard

from protocols.delivery.records import Event, Reading, Record
from protocols.errors import WireError

VERSION: Final = 1
MAX_RECORDS: Final = 4096
MAX_BYTES: Final = 64 * 1024
MAX_DECODED_BYTES: Final = 4 * 1024 * 1024
SEED_BYTES: Final = 32

SeriesKey = tuple[str, str, str, int]


class BatchTooLargeError(WireError):
    """The batch is over its bound of records or bytes; seal fewer records."""


_CANONICAL: Final = msgspec.json.Encoder(order="sorted")


class Columns(msgspec.Struct, frozen=True, array_like=True):
    """One series of a batch, in the order it was read; deltas against the row before."""

    device: str
    point: str
    uom: str
    exponent: int
    read_at_deltas: list[int]
    monotonic_deltas: list[int]
    count_deltas: list[int]
    missing_rows: list[int]
    qualities: list[int]
    word_bytes: int
    words: bytes


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """What a batch holds before compression; `seed` salts the leaves of the Merkle tree."""

    version: int
    seed: bytes
    series: list[Columns]
    events: list[Event]


def encode(records: Sequence[Record], seed: bytes) -> bytes:
    """Return the bytes of a sealed batch, the same for the same records and 32-byte seed."""
    return encode_with_root(records, seed)[0]


def encode_with_root(records: Sequence[Record], seed: bytes) -> tuple[bytes, bytes]:
    """Return the bytes of a sealed batch and its Merkle root, as `merkle_root` of them gives it."""
    if len(records) > MAX_RECORDS:
        message = f"{len(records)} records in a batch; allowed: up to {MAX_RECORDS}"
        raise BatchTooLargeError(message)
    groups: dict[tuple[SeriesKey, int], list[Reading]] = {}
    events: list[Event] = []
    for record in records:
        if isinstance(record, Event):
            events.append(record)
            continue
        key = (record.device, record.point, record.uom, record.exponent)
        groups.setdefault((key, len(record.words)), []).append(record)
    series = [_columns(key, width, rows) for (key, width), rows in groups.items()]
    raw = msgspec.msgpack.encode(Payload(VERSION, seed, series, events))
    if len(raw) > MAX_DECODED_BYTES:
        message = f"{len(raw)} bytes before compression; allowed: up to {MAX_DECODED_BYTES}"
        raise BatchTooLargeError(message)
    payload = zstandard.ZstdCompressor(level=3).compress(raw)
    if len(payload) > MAX_BYTES:
        message = f"{len(payload)} bytes in a batch; allowed: up to {MAX_BYTES}"
        raise BatchTooLargeError(message)
    # in the order in which `records` gives them back
    ordered: list[Record] = [row for rows in groups.values() for row in rows]
    return payload, _root([*ordered, *events], seed)


def decode(payload: bytes) -> Payload:
    """Return the payload of a sealed batch; WireError if its bytes are nonsense."""
    if len(payload) > MAX_BYTES:
        message = f"a batch of {len(payload)} bytes; allowed: up to {MAX_BYTES}"
        raise WireError(message)
    try:
        # a frame that names its size is decompressed whole, whatever max_output_size says
        if zstandard.frame_content_size(payload) > MAX_DECODED_BYTES:
            message = f"a batch of {len(payload)} bytes unpacks to over {MAX_DECODED_BYTES}"
            raise WireError(message)
        raw = zstandard.ZstdDecompressor().decompress(
            payload, max_output_size=MAX_DECODED_BYTES, allow_extra_data=False
        )
        decoded = msgspec.msgpack.decode(raw, type=Payload)
    except (zstandard.ZstdError, msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"a batch of {len(payload)} bytes cannot be decoded: {error}"
        raise WireError(message) from error
    if decoded.version != VERSION:
        message = f"batch version {decoded.version}; known: {VERSION}"
        raise WireError(message)
    rows = len(decoded.events) + sum(len(columns.read_at_deltas) for columns in decoded.series)
    if rows > MAX_RECORDS:
        message = f"{rows} records in a batch; allowed: up to {MAX_RECORDS}"
        raise WireError(message)
    return decoded


def readings(columns: Columns) -> list[Reading]:
    """Return the rows of one series; WireError if its columns differ in length."""
    rows = len(columns.read_at_deltas)
    lengths = {
        len(columns.monotonic_deltas),
        len(columns.count_deltas),
        len(columns.qualities),
    }
    if lengths != {rows} or len(columns.words) != rows * columns.word_bytes:
        message = f"series {columns.device}/{columns.point}: columns differ in length"
        raise WireError(message)
    missing = frozenset(columns.missing_rows)
    result: list[Reading] = []
    read_at = monotonic = count = 0
    width = columns.word_bytes
    for row in range(rows):
        read_at += columns.read_at_deltas[row]
        monotonic += columns.monotonic_deltas[row]
        count += columns.count_deltas[row]
        result.append(
            Reading(
                columns.device,
                columns.point,
                columns.uom,
                columns.exponent,
                None if row in missing else count,
                columns.qualities[row],
                read_at,
                monotonic,
                columns.words[row * width : (row + 1) * width],
            )
        )
    return result


def records(payload: Payload) -> list[Record]:
    """Return every record of a batch, series by series, then the events."""
    result: list[Record] = []
    for columns in payload.series:
        result.extend(readings(columns))
    result.extend(payload.events)
    return result


def leaf(device: str, rows: Sequence[Record], seed: bytes) -> bytes:
    """Return one device's salted leaf: SHA-256 over its salt and its records as canonical JSON.

    `{"device": ..., "records": [...]}` without blanks: a record is the list of its fields, words
    are base64, the keys of an event's body are sorted.
    """
    text = _CANONICAL.encode({"device": device, "records": rows})
    return hashlib.sha256(b"\x00" + salt_of(device, seed) + text).digest()


def salt_of(device: str, seed: bytes) -> bytes:
    """Return the salt of one device's leaf; it tells nothing of its neighbours' salts."""
    return hmac.digest(seed, device.encode(), "sha256")


def merkle_root(payload: Payload) -> bytes:
    """Return the Merkle root over the devices' leaves, ordered by device id."""
    return _root(records(payload), payload.seed)


def _root(rows: Iterable[Record], seed: bytes) -> bytes:
    by_device: dict[str, list[Record]] = {}
    for record in rows:
        by_device.setdefault(record.device, []).append(record)
    level = [leaf(device, by_device[device], seed) for device in sorted(by_device)]
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        # an odd node rises unchanged (RFC 9162 section 2.1.1 has the same tree)
        pairs = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest()
            for i in range(0, len(level) - 1, 2)
        ]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


def _columns(key: SeriesKey, width: int, rows: Sequence[Reading]) -> Columns:
    device, point, uom, exponent = key
    counts: list[int] = []
    missing: list[int] = []
    last = 0
    for index, row in enumerate(rows):
        if row.count is None:
            missing.append(index)
            counts.append(0)
        else:
            counts.append(row.count - last)
            last = row.count
    return Columns(
        device,
        point,
        uom,
        exponent,
        _deltas([row.read_at_us for row in rows]),
        _deltas([row.monotonic_us for row in rows]),
        counts,
        missing,
        [row.quality for row in rows],
        width,
        b"".join(row.words for row in rows),
    )


def _deltas(values: Sequence[int]) -> list[int]:
    return [value - before for value, before in zip(values, (0, *values), strict=False)]
