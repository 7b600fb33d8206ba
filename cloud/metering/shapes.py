"""The shape of a meter's consumption by hour and type of day, and estimates that follow it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

import numpy as np
import numpy.typing as npt

from cloud.metering.boundaries import StraightLine
from cloud.metering.installs import RegisterRead
from protocols.delivery.records import instant

HOUR_US: Final = 3_600_000_000
HISTORY_US: Final = 28 * 24 * HOUR_US
HISTORY_SHAPE: Final = "history-shape"
HISTORY_MEAN: Final = "history-mean"
# reads further apart than this say nothing of the hour between them
APART_US: Final = 2 * HOUR_US
OFTEN: Final = 2
LEAST_MEAN_US: Final = 24 * HOUR_US
_SCALE: Final = 1_000_000
_SATURDAY: Final = 5
_CELLS: Final = 48
_MOST: Final = 1 << 38  # counts: its products still fit 64 bits

Integers = npt.NDArray[np.int64]
Cell = tuple[bool, int]


@dataclass(frozen=True)
class Shape:
    """Millionths of a count that an hour usually uses, by (weekend, local hour)."""

    zone: tzinfo
    weights: Mapping[Cell, int]
    _hours: dict[int, int] = field(default_factory=dict, compare=False)

    def weight_us(self, start_us: int, end_us: int) -> int:
        """Return what [start, end) usually uses, in millionths of a count x microseconds."""
        if end_us <= start_us:
            return 0
        first, last = start_us // HOUR_US, (end_us - 1) // HOUR_US
        total = HOUR_US * sum(self._of(hour) for hour in range(first, last + 1))
        total -= self._of(first) * (start_us - first * HOUR_US)
        return total - self._of(last) * ((last + 1) * HOUR_US - end_us)

    def counts(self, start_us: int, end_us: int) -> int:
        """Return the counts that [start, end) usually uses (floor)."""
        return self.weight_us(start_us, end_us) // (_SCALE * HOUR_US)

    def _of(self, hour: int) -> int:
        held = self._hours.get(hour)
        if held is None:
            held = self._hours[hour] = self.weights[cell_of(hour, self.zone)]
        return held


@dataclass(frozen=True)
class History:
    """What is known of a meter before a gap: its shape, or else its mean (counts in a span)."""

    shape: Shape | None = None
    mean: tuple[int, int] | None = None

    def gone(
        self, left: RegisterRead, right: RegisterRead, boundary_us: int, *, counts: int
    ) -> tuple[int, str]:
        """Return how many of the counts between two reads had passed at a boundary (floor)."""
        if self.shape is not None and right.read_at_us - left.read_at_us > APART_US:
            whole = self.shape.weight_us(left.read_at_us, right.read_at_us)
            if whole > 0:
                part = self.shape.weight_us(left.read_at_us, boundary_us)
                return counts * part // whole, HISTORY_SHAPE
        return StraightLine().gone(left, right, boundary_us, counts=counts)

    def expected(self, left: RegisterRead, boundary_us: int) -> tuple[int, str] | None:
        """Return the counts to expect from the last read to a boundary, None without a history."""
        if self.shape is not None:
            return self.shape.counts(left.read_at_us, boundary_us), HISTORY_SHAPE
        if self.mean is not None:
            counts, span_us = self.mean
            return counts * (boundary_us - left.read_at_us) // span_us, HISTORY_MEAN
        return None


def history_of(read_at_us: Integers, totals: Integers, zone: tzinfo) -> History:
    """Return what reads in order of time say of a meter; totals are its counts, unwrapped.

    The shape needs each hour of both types of day at least twice, the mean a day.
    """
    if len(read_at_us) < OFTEN:
        return History()
    span_us = int(read_at_us[-1] - read_at_us[0])
    counts = int(totals[-1] - totals[0])
    mean = (counts, span_us) if span_us >= LEAST_MEAN_US and counts >= 0 else None
    return History(shape_of(read_at_us, totals, zone), mean)


def shape_of(read_at_us: Integers, totals: Integers, zone: tzinfo) -> Shape | None:
    """Return the shape of reads in order of time, None where they are too few or stand still."""
    first = -(-int(read_at_us[0]) // HOUR_US)
    last = int(read_at_us[-1]) // HOUR_US
    if last <= first:
        return None
    edges = np.arange(first, last + 1, dtype=np.int64) * HOUR_US
    right = np.searchsorted(read_at_us, edges, side="left")
    left = np.maximum(right - 1, 0)
    exact = read_at_us[right] == edges
    gap_us = read_at_us[right] - read_at_us[left]
    known = exact | (gap_us <= APART_US)
    # milliseconds keep the products within 64 bits
    gap_ms = np.maximum(gap_us // 1000, 1)
    past_ms = np.minimum((edges - read_at_us[left]) // 1000, gap_ms)
    steps = np.minimum(totals[right] - totals[left], _MOST)
    totals = totals - totals[0]
    values = np.where(exact, totals[right], totals[left] + steps * past_ms // gap_ms)
    used = np.diff(values)
    cells: dict[Cell, list[int]] = {}
    for index in np.flatnonzero(known[1:] & known[:-1]):
        cells.setdefault(cell_of(first + int(index), zone), []).append(int(used[index]))
    if len(cells) < _CELLS or min(map(len, cells.values())) < OFTEN:
        return None
    weights = {cell: _SCALE * sum(values) // len(values) for cell, values in cells.items()}
    if not any(weights.values()) or min(weights.values()) < 0:
        return None
    return Shape(zone, weights)


def cell_of(hour: int, zone: tzinfo) -> Cell:
    """Return type of day and local hour of an hour counted from the epoch."""
    local = instant(hour * HOUR_US).astimezone(zone)
    return local.weekday() >= _SATURDAY, local.hour
