"""Which readings of old batches are kept when the journal is full."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from protocols.delivery.batch import Columns, Payload
from protocols.delivery.records import Reading

QUARTER_S: Final = 900
HOUR_S: Final = 3600
# tried one after the other
RESOLUTIONS_S: Final = (QUARTER_S, HOUR_S)


@dataclass(frozen=True)
class Thinned:
    """What is kept of a run of batches by the id each reading came with, and what is lost."""

    kept: dict[bytes, list[Reading]] = field(default_factory=dict)
    lost: dict[bytes, int | None] = field(default_factory=dict)
    first_us: int | None = None
    last_us: int | None = None


class _Row(NamedTuple):
    read_at_us: int
    batch_id: bytes
    reading: Reading


_Edge = tuple[str, str, str, int, int, int, int]


def thin(batches: Iterable[tuple[bytes, Payload]], *, resolution_s: int) -> Thinned:
    """Keep of each channel the first and the last read of each quality between two boundaries.

    So the reads on both sides of every hour (or quarter) stay, and a register's value there is
    what it was. Every id is in `kept`, those of which nothing is left included.
    """
    step_us = resolution_s * 1_000_000
    first: dict[_Edge, _Row] = {}
    last: dict[_Edge, _Row] = {}
    totals: dict[bytes, int] = {}
    low: int | None = None
    high: int | None = None
    for name, columns in _origins(batches, totals):
        for row in _rows(columns, name):
            at_us, reading = row.read_at_us, row.reading
            key = (
                reading.device,
                reading.point,
                reading.uom,
                reading.exponent,
                len(reading.words),
                at_us // step_us,
                reading.quality,
            )
            totals[name] += 1
            low = at_us if low is None or at_us < low else low
            high = at_us if high is None or at_us > high else high
            held = first.get(key)
            if held is None:
                first[key] = last[key] = row
            elif at_us < held.read_at_us:
                first[key] = row
            elif at_us >= last[key].read_at_us:
                last[key] = row
    kept: dict[bytes, list[Reading]] = {name: [] for name in totals}
    for key, row in first.items():
        kept[row.batch_id].append(row.reading)
        if (end := last[key]) is not row:
            kept[end.batch_id].append(end.reading)
    lost: dict[bytes, int | None] = {
        name: total - len(kept[name]) for name, total in totals.items() if total > len(kept[name])
    }
    return Thinned(kept, lost, low, high)


def _origins(
    batches: Iterable[tuple[bytes, Payload]], totals: dict[bytes, int]
) -> Iterator[tuple[bytes, Columns]]:
    # a batch that was thinned before passes on what it replaces, and is replaced itself
    for name, payload in batches:
        totals.setdefault(name, 0)
        for columns in payload.series:
            yield name, columns
        for item in payload.replaces:
            totals.setdefault(item.batch_id, 0)
            for columns in item.series:
                yield item.batch_id, columns


def _rows(columns: Columns, name: bytes) -> Iterator[_Row]:
    missing = frozenset(columns.missing_rows)
    width = columns.word_bytes
    at = monotonic = count = 0
    for row, delta in enumerate(columns.read_at_deltas):
        at += delta
        monotonic += columns.monotonic_deltas[row]
        count += columns.count_deltas[row]
        reading = Reading(
            columns.device,
            columns.point,
            columns.uom,
            columns.exponent,
            None if row in missing else count,
            columns.qualities[row],
            at,
            monotonic,
            columns.words[row * width : (row + 1) * width],
        )
        yield _Row(at, name, reading)
