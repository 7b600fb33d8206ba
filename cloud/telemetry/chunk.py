"""An hour of one channel as columns: rows to bytes, merged in any order of arrival."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec

from protocols.delivery.records import USABLE

HOUR_US: Final = 3_600_000_000
_NO_COUNT: Final = -(1 << 63)  # below every count


class Row(msgspec.Struct, frozen=True, gc=False):
    """One stored reading; `batch_id` names the sealed batch that holds its raw words."""

    read_at_us: int
    count: int | None
    quality: int
    batch_id: bytes


class Chunk(NamedTuple):
    """What a chunk's columns say of its good rows, and every row as bytes."""

    rows: int
    first: int | None
    last: int | None
    min: int | None
    max: int | None
    total: int | None
    data: bytes


class Columns(NamedTuple):
    """Rows side by side; `missing` are the positions without a count."""

    read_at_us: list[int]
    counts: list[int]
    missing: list[int]
    qualities: list[int]
    batch_ids: list[bytes]


class _Columns(msgspec.Struct, frozen=True, array_like=True, gc=False):
    batch_ids: list[bytes]
    read_at_deltas: list[int]
    count_deltas: list[int]
    missing: list[int]
    qualities: list[int]
    batches: list[int]


_DECODER: Final = msgspec.msgpack.Decoder(_Columns)


def hour_of(read_at_us: int) -> int:
    """Return the hour of an instant, counted from the epoch."""
    return read_at_us // HOUR_US


def merge(before: Sequence[Row], more: Iterable[Row]) -> list[Row]:
    """Return rows in order of time, the same in whatever order they came.

    A reading that is there already is not doubled; the lowest batch id that holds it stays.
    """
    seen: dict[tuple[int, int, int], Row] = {}
    for row in (*before, *more):
        key = (row.read_at_us, _NO_COUNT if row.count is None else row.count, row.quality)
        held = seen.get(key)
        if held is None or row.batch_id < held.batch_id:
            seen[key] = row
    return [seen[key] for key in sorted(seen)]


def encode(rows: Sequence[Row]) -> Chunk:
    """Return the chunk of rows that are in order of time."""
    names: dict[bytes, int] = {}
    at_deltas: list[int] = []
    count_deltas: list[int] = []
    missing: list[int] = []
    good: list[int] = []
    at = count = 0
    for index, row in enumerate(rows):
        at_deltas.append(row.read_at_us - at)
        at = row.read_at_us
        if row.count is None:
            missing.append(index)
            count_deltas.append(0)
        else:
            count_deltas.append(row.count - count)
            count = row.count
            if row.quality in USABLE:
                good.append(count)
    batches = [names.setdefault(row.batch_id, len(names)) for row in rows]
    columns = _Columns(
        list(names), at_deltas, count_deltas, missing, [row.quality for row in rows], batches
    )
    data = msgspec.msgpack.encode(columns)
    if not good:
        return Chunk(len(rows), None, None, None, None, None, data)
    return Chunk(len(rows), good[0], good[-1], min(good), max(good), sum(good), data)


def decode_columns(data: Iterable[bytes]) -> Columns:
    """Return the rows of chunks one after the other as columns: many rows, quickly."""
    made = Columns([], [], [], [], [])
    for part in data:
        columns = _DECODER.decode(part)
        if columns.missing:
            rows = len(made.read_at_us)
            made.missing.extend([index + rows for index in columns.missing])
        made.read_at_us.extend(accumulate(columns.read_at_deltas))
        made.counts.extend(accumulate(columns.count_deltas))
        made.qualities.extend(columns.qualities)
        made.batch_ids.extend(map(columns.batch_ids.__getitem__, columns.batches))
    return made


def decode(data: bytes) -> list[Row]:
    """Return a chunk's rows in order of time."""
    columns = _DECODER.decode(data)
    missing = frozenset(columns.missing)
    rows: list[Row] = []
    at = count = 0
    for index, delta in enumerate(columns.read_at_deltas):
        at += delta
        count += columns.count_deltas[index]
        rows.append(
            Row(
                at,
                None if index in missing else count,
                columns.qualities[index],
                columns.batch_ids[columns.batches[index]],
            )
        )
    return rows
