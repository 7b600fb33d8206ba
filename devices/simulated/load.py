"""What a site's premises draw: cumulative registers as pure functions of time."""

import hashlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from devices.simulated.shapes import (
    CHUNK_DAYS,
    SHAPES,
    SLOTS_PER_DAY,
    SLOTS_PER_HOUR,
    Calendar,
    Floats,
    LoadShape,
)

Slots = NDArray[np.int64]

SLOT_US = 900_000_000
MICRO = 1_000_000
_DAY_S = 86_400
_YEAR_DAYS = 365.2425
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday, counted from Monday = 0
_SATURDAY = 5


class Load(Protocol):
    """A cumulative quantity in micro-units (10**-6 kWh or m3), never falling."""

    def total(self, at_us: int) -> int:
        """Micro-units since the site began, 0 before."""
        ...

    def per_hour(self, at_us: int) -> int:
        """Micro-units per hour at that instant: the slope of `total`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """When a site begins: local midnight of its first day, and that zone's offset."""

    start_us: int
    utc_offset_s: int


class SlotLoad:
    """A load from its use per quarter of an hour, linear within each; grows its table on demand."""

    def __init__(self, era: Era, slots_of: Callable[[int], Slots]) -> None:
        """`slots_of(chunk)`: micro-units of each slot of CHUNK_DAYS days, none negative."""
        self._start_us = era.start_us
        self._slots_of = slots_of
        self._totals = array("q", (0,))
        self._chunks = 0

    def total(self, at_us: int) -> int:
        """Micro-units since the era began, 0 before."""
        slot, rest_us = divmod(at_us - self._start_us, SLOT_US)
        if slot < 0:
            return 0
        totals = self._totals
        if slot + 1 >= len(totals):
            totals = self._grow(slot + 1)
        before = totals[slot]
        return before + (totals[slot + 1] - before) * rest_us // SLOT_US

    def per_hour(self, at_us: int) -> int:
        """Micro-units per hour in the slot of that instant."""
        slot = (at_us - self._start_us) // SLOT_US
        if slot < 0:
            return 0
        totals = self._totals
        if slot + 1 >= len(totals):
            totals = self._grow(slot + 1)
        return (totals[slot + 1] - totals[slot]) * SLOTS_PER_HOUR

    def slots(self, chunk: int) -> Slots:
        """Micro-units of each slot of a chunk."""
        size = CHUNK_DAYS * SLOTS_PER_DAY
        totals = np.frombuffer(self._grow((chunk + 1) * size), dtype=np.int64)
        slots: Slots = np.diff(totals[chunk * size : (chunk + 1) * size + 1])
        return slots

    def _grow(self, slot: int) -> "array[int]":
        while len(self._totals) <= slot:
            totals = np.cumsum(self._slots_of(self._chunks), dtype=np.int64) + self._totals[-1]
            self._chunks += 1
            # A new array: a table that numpy looks at must not move.
            self._totals = self._totals + array("q", totals.tobytes())
        return self._totals


class ConstantLoad:
    """A steady flow from one instant on, as of a leak."""

    def __init__(self, *, per_hour: int, from_us: int) -> None:
        self._per_hour = per_hour
        self._from_us = from_us

    def total(self, at_us: int) -> int:
        """Micro-units since it began, 0 before."""
        return max(0, at_us - self._from_us) * self._per_hour // 3_600_000_000

    def per_hour(self, at_us: int) -> int:
        """The flow, 0 before it began."""
        return self._per_hour if at_us >= self._from_us else 0


class JoinedLoad:
    """Several loads behind one meter."""

    def __init__(self, loads: Sequence[Load]) -> None:
        self._loads = tuple(loads)

    def total(self, at_us: int) -> int:
        """Sum of the totals."""
        return sum(load.total(at_us) for load in self._loads)

    def per_hour(self, at_us: int) -> int:
        """Sum of the flows."""
        return sum(load.per_hour(at_us) for load in self._loads)


def shaped_load(
    shape: LoadShape, era: Era, *, seed: int, device: str, size: float = 1.0
) -> SlotLoad:
    """The load of one device; same seed, device and shape give the same wherever it runs."""
    character = _random(seed, device, "character")
    draw = SHAPES[shape](character, size)

    def slots_of(chunk: int) -> Slots:
        use = draw(_random(seed, device, f"chunk {chunk}"), _calendar(era, chunk))
        slots: Slots = np.rint(np.maximum(use, 0) * MICRO).astype(np.int64).reshape(-1)
        return slots

    return SlotLoad(era, slots_of)


def summed_load(subs: Sequence[Load], era: Era, *, loss_ppm: int) -> SlotLoad:
    """What a master meter before these loads sees: their sum and the loss on the way."""

    def slots_of(chunk: int) -> Slots:
        total: Slots = np.sum([_slots(sub, era, chunk) for sub in subs], axis=0, dtype=np.int64)
        # Rounded on the running sum, so that the loss never drifts off its share.
        running = np.cumsum(total)
        lost: Slots = np.diff(running * loss_ppm // MICRO, prepend=0)
        return total + lost

    return SlotLoad(era, slots_of)


def fraction(seed: int, device: str, topic: str) -> float:
    """A fixed number in [0, 1) for one trait of one device."""
    return float(_random(seed, device, topic).random())


def _slots(load: Load, era: Era, chunk: int) -> Slots:
    if isinstance(load, SlotLoad):
        return load.slots(chunk)
    size = CHUNK_DAYS * SLOTS_PER_DAY
    borders = range(chunk * size, (chunk + 1) * size + 1)
    totals = [load.total(era.start_us + border * SLOT_US) for border in borders]
    return np.array([after - before for before, after in pairwise(totals)], dtype=np.int64)


def _calendar(era: Era, chunk: int) -> Calendar:
    first = (era.start_us // MICRO + era.utc_offset_s) // _DAY_S + chunk * CHUNK_DAYS
    days = first + np.arange(CHUNK_DAYS)
    angle: Floats = np.asarray(days % _YEAR_DAYS * (2 * np.pi / _YEAR_DAYS), dtype=np.float64)
    return Calendar(angle, (days + _EPOCH_WEEKDAY) % 7 >= _SATURDAY)


def _random(seed: int, device: str, topic: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{device}/{topic}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
