"""Records to bytes and back: versioned, columnar, per-series deltas, bounded."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import sub
from types import MappingProxyType
from typing import Final, Literal

import msgspec
import zstandard

from protocols.delivery.envelope import BATCH_ID_BYTES
from protocols.delivery.records import DATED, Event, Reading, Record
from protocols.errors import WireError

# a batch that replaces others is of version 2: who knows only 1 must refuse it, not lose its rows
VERSION: Final = 1
REPLACING_VERSION: Final = 2
MAX_RECORDS: Final = 4096
MAX_BYTES: Final = 64 * 1024
MAX_DECODED_BYTES: Final = 4 * 1024 * 1024
SEED_BYTES: Final = 32

_IPAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OPAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_HMAC_BLOCK: Final = 64
# the fields of Columns, as they travel
_Columns = tuple[
    str, str, str, int, list[int], list[int], list[int], list[int], list[int], int, bytes
]
_SeriesKey = tuple[str, str, str, int, int]


# of a batch: `none` has no readings
ClockQuality = Literal["certain", "uncertain", "mixed", "none"]


class BatchTooLargeError(WireError):
    """The batch is over its bound of records or bytes; seal fewer records."""


# how hard zstd tries; the dense one takes 40 times as long and saves a sixth
LEVEL: Final = 3
DENSE_LEVEL: Final = 15
_CANONICAL: Final = msgspec.json.Encoder(order="sorted")
_PACK: Final = msgspec.msgpack.Encoder()


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


class Replaced(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of the readings of an earlier batch, that was never acknowledged."""

    batch_id: bytes
    series: list[Columns]


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """What a batch holds before compression; `seed` salts the leaves of the Merkle tree.

    `replaces` names the batches in whose place this one stands; each is replaced for ever.
    """

    version: int
    seed: bytes
    series: list[Columns]
    events: list[Event]
    replaces: list[Replaced] = []


Kept = Mapping[bytes, Sequence[Reading]]
_NONE: Final[Kept] = MappingProxyType({})


def encode(records: Sequence[Record], seed: bytes, *, replaces: Kept = _NONE) -> bytes:
    """Return the bytes of a sealed batch, the same for the same records and 32-byte seed.

    `replaces` has by the id of each batch that is replaced which of its readings are kept.
    """
    return encode_with_root(records, seed, replaces=replaces)[0]


def encode_with_root(
    records: Sequence[Record], seed: bytes, *, replaces: Kept = _NONE, level: int = LEVEL
) -> tuple[bytes, bytes]:
    """Return the bytes of a sealed batch and its Merkle root, as `merkle_root` of them gives it."""
    count = len(records) + len(replaces) + sum(map(len, replaces.values()))
    if count > MAX_RECORDS:
        message = f"{count} records in a batch; allowed: up to {MAX_RECORDS}"
        raise BatchTooLargeError(message)
    readings = [record for record in records if isinstance(record, Reading)]
    events = (
        []
        if len(readings) == len(records)
        else [record for record in records if isinstance(record, Event)]
    )
    series, ordered = _series(readings)
    fields: tuple[object, ...] = (VERSION, seed, series, events)
    if replaces:
        groups = []
        for identity, kept in replaces.items():
            columns, rows = _series(kept)
            groups.append((identity, columns))
            ordered += rows
        fields = (REPLACING_VERSION, seed, series, events, groups)
    raw = _PACK.encode(fields)
    if len(raw) > MAX_DECODED_BYTES:
        message = f"{len(raw)} bytes before compression; allowed: up to {MAX_DECODED_BYTES}"
        raise BatchTooLargeError(message)
    payload = zstandard.ZstdCompressor(level=level).compress(raw)
    if len(payload) > MAX_BYTES:
        message = f"{len(payload)} bytes in a batch; allowed: up to {MAX_BYTES}"
        raise BatchTooLargeError(message)
    return payload, _root(chain(ordered, events), seed)


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
    known = REPLACING_VERSION if decoded.replaces else VERSION
    if decoded.version != known:
        message = (
            f"batch version {decoded.version}; known: {VERSION}, and {REPLACING_VERSION} of one"
            " that replaces others"
        )
        raise WireError(message)
    if any(len(item.batch_id) != BATCH_ID_BYTES for item in decoded.replaces):
        message = f"a replaced batch id must have {BATCH_ID_BYTES} bytes"
        raise WireError(message)
    rows = len(decoded.events) + len(decoded.replaces)
    rows += sum(len(columns.read_at_deltas) for columns in all_series(decoded))
    if rows > MAX_RECORDS:
        message = f"{rows} records in a batch; allowed: up to {MAX_RECORDS}"
        raise WireError(message)
    return decoded


def check(columns: Columns) -> None:
    """Check that a series has a value for each of its rows; WireError if its columns differ."""
    rows = len(columns.read_at_deltas)
    lengths = {
        len(columns.monotonic_deltas),
        len(columns.count_deltas),
        len(columns.qualities),
    }
    if lengths != {rows} or len(columns.words) != rows * columns.word_bytes:
        message = f"series {columns.device}/{columns.point}: columns differ in length"
        raise WireError(message)


def readings(columns: Columns) -> list[Reading]:
    """Return the rows of one series; WireError if its columns differ in length."""
    check(columns)
    rows = len(columns.read_at_deltas)
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


def all_series(payload: Payload) -> list[Columns]:
    """Return every series of a batch, those kept of the batches it replaces included."""
    return [*payload.series, *(columns for item in payload.replaces for columns in item.series)]


def clock_quality(payload: Payload) -> ClockQuality:
    """Return whether a batch's readings were read by a clock that could be believed.

    Derived from the qualities of its readings, those kept of the batches it replaces included.
    """
    uncertain = {
        quality in DATED for columns in all_series(payload) for quality in columns.qualities
    }
    if not uncertain:
        return "none"
    if len(uncertain) > 1:
        return "mixed"
    return "uncertain" if True in uncertain else "certain"


def records(payload: Payload) -> list[Record]:
    """Return every record of a batch, series by series, then what it replaces, then the events."""
    result: list[Record] = []
    for columns in all_series(payload):
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
        if (held := by_device.get(record.device)) is None:
            by_device[record.device] = [record]
        else:
            held.append(record)
    # HMAC with its two keyed states made once (RFC 2104 section 4)
    key = (seed if len(seed) <= _HMAC_BLOCK else hashlib.sha256(seed).digest()).ljust(
        _HMAC_BLOCK, b"\0"
    )
    inner = hashlib.sha256(key.translate(_IPAD))
    outer = hashlib.sha256(key.translate(_OPAD))
    encode_json, sha256 = _CANONICAL.encode, hashlib.sha256
    level: list[bytes] = []
    for device in sorted(by_device):
        first, second = inner.copy(), outer.copy()
        first.update(device.encode())
        second.update(first.digest())
        text = encode_json({"device": device, "records": by_device[device]})
        level.append(sha256(b"\x00" + second.digest() + text).digest())
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


def _series(rows: Sequence[Reading]) -> tuple[list[_Columns], list[Record]]:
    groups: dict[_SeriesKey, list[Reading]] = {}
    for row in rows:
        key = (row.device, row.point, row.uom, row.exponent, len(row.words))
        if (held := groups.get(key)) is None:
            groups[key] = [row]
        else:
            held.append(row)
    series = [
        _row(key, group[0]) if len(group) == 1 else _columns(key, group)
        for key, group in groups.items()
    ]
    # in the order in which `records` gives them back
    return series, [row for group in groups.values() for row in group]


def _row(key: _SeriesKey, row: Reading) -> _Columns:
    device, point, uom, exponent, width = key
    count, missing = row.count, []
    if count is None:
        count, missing = 0, [0]
    return (
        device,
        point,
        uom,
        exponent,
        [row.read_at_us],
        [row.monotonic_us],
        [count],
        missing,
        [row.quality],
        width,
        row.words,
    )


def _columns(key: _SeriesKey, rows: Sequence[Reading]) -> _Columns:
    device, point, uom, exponent, width = key
    counts: list[int] = []
    missing: list[int] = []
    last = 0
    for index, row in enumerate(rows):
        if (count := row.count) is None:
            missing.append(index)
            counts.append(0)
        else:
            counts.append(count - last)
            last = count
    return (
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
        b"".join([row.words for row in rows]),
    )


def _deltas(values: list[int]) -> list[int]:
    return [values[0], *map(sub, values[1:], values)]
