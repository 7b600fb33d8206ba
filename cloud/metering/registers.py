"""Register reads of a meter point turned into consumption that always telescopes."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from itertools import pairwise

from cloud.metering.installs import Install, RegisterRead
from cloud.metering.screening import clean

__all__ = [
    "BackwardsRegisterError",
    "BoundaryRead",
    "Consumption",
    "Install",
    "IntervalRead",
    "MissingReadError",
    "OverlappingInstallsError",
    "Part",
    "RegisterError",
    "RegisterRead",
    "at_boundary",
    "clean",
    "difference",
    "interval_reads",
    "meter_point_consumption",
    "quantity_of",
]

DEFAULT_TOLERANCE_US = 60_000_000
DEFAULT_SWAP_US = 4 * 3_600_000_000
_EXACT = Context(prec=80, traps=[Inexact])


class RegisterError(ValueError):
    """The reads of a meter point do not say what was consumed."""


class BackwardsRegisterError(RegisterError):
    """The register fell and no declared rollover explains it."""

    def __init__(self, start: RegisterRead | int, end: RegisterRead | int, why: str) -> None:
        """Name the two reads (or bare counts) and why this is no rollover."""
        super().__init__(f"register fell from {_named(start)} to {_named(end)}: {why}")
        self.start = start
        self.end = end


class MissingReadError(RegisterError):
    """No read stands at or around a boundary, so the consumption up to it is unknown."""

    def __init__(self, boundary_us: int, why: str) -> None:
        """Carry the boundary (microseconds since the epoch) that has no read."""
        super().__init__(f"no register read at boundary {boundary_us} us: {why}")
        self.boundary_us = boundary_us


class OverlappingInstallsError(RegisterError):
    """Two meters claim the same meter point at the same time."""


@dataclass(frozen=True, slots=True)
class BoundaryRead:
    """The register at a boundary, with the reads (one, or the two around it) it stands on."""

    boundary_us: int
    count: int
    reads: tuple[RegisterRead, ...]
    estimated: bool

    @property
    def read_at_us(self) -> list[int]:
        """Give the instants of the reads it stands on."""
        return [read.read_at_us for read in self.reads]


@dataclass(frozen=True, slots=True)
class IntervalRead:
    """Counts consumed over [start_us, end_us)."""

    start_us: int
    end_us: int
    counts: int
    estimated: bool
    start: BoundaryRead
    end: BoundaryRead


@dataclass(frozen=True, slots=True)
class Part:
    """What one installed meter contributed to a consumption."""

    install: Install
    start: BoundaryRead
    end: BoundaryRead
    counts: int
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a meter point consumed over a span, in the meter's uom, with its evidence."""

    quantity: Decimal
    estimated: bool
    parts: tuple[Part, ...]


def difference(
    start_count: int, end_count: int, *, capacity: int | None, max_counts: int | None
) -> int:
    """Counts from start to end; BackwardsRegisterError for a fall beyond max_counts."""
    if end_count >= start_count:
        return end_count - start_count
    if capacity is None:
        why = "the register declares no capacity, so it cannot roll over"
    elif max_counts is None:
        why = "no plausible maximum is declared (max_per_hour), so a rollover cannot be told"
    else:
        wrapped = end_count - start_count + capacity
        if 0 <= wrapped <= max_counts:
            return wrapped
        why = f"a rollover at {capacity} would mean {wrapped} counts, allowed are {max_counts}"
    raise BackwardsRegisterError(start_count, end_count, why)


def at_boundary(
    reads: Sequence[RegisterRead],
    boundary_us: int,
    *,
    tolerance_us: int = DEFAULT_TOLERANCE_US,
    install: Install | None = None,
) -> BoundaryRead | None:
    """Register at a boundary from sorted clean reads; None where no read bounds it.

    The first read in [boundary, boundary + tolerance] is the boundary read, because polls are
    stamped some seconds after the aligned minute. Else the count is interpolated (floor).
    """
    after = bisect_left(reads, boundary_us, key=_instant)
    if after == len(reads):
        return None
    right = reads[after]
    if right.read_at_us <= boundary_us + tolerance_us:
        return BoundaryRead(boundary_us, right.count, (right,), right.estimated)
    if after == 0:
        return None
    left = reads[after - 1]
    counts = _counts_between(left, right, install)
    gone = counts * (boundary_us - left.read_at_us) // (right.read_at_us - left.read_at_us)
    count = left.count + gone
    if install is not None and install.capacity is not None:
        count %= install.capacity
    return BoundaryRead(boundary_us, count, (left, right), estimated=True)


def interval_reads(
    reads: Sequence[RegisterRead],
    boundaries_us: Sequence[int],
    *,
    install: Install | None = None,
    tolerance_us: int = DEFAULT_TOLERANCE_US,
) -> list[IntervalRead]:
    """Intervals between ascending boundaries; their counts add up to last minus first register.

    Raises MissingReadError for a boundary without a bounding read.
    """
    if any(later <= earlier for earlier, later in pairwise(boundaries_us)):
        msg = "boundaries_us must ascend strictly"
        raise ValueError(msg)
    # A read beyond the next boundary says nothing about this one.
    gaps = [later - earlier - 1 for earlier, later in pairwise(boundaries_us)]
    tolerance_us = min([tolerance_us, *gaps])
    edges = [
        _required(reads, boundary_us, install=install, tolerance_us=tolerance_us)
        for boundary_us in boundaries_us
    ]
    return [
        IntervalRead(
            start_us=start.boundary_us,
            end_us=end.boundary_us,
            counts=_counts(reads, start, end, install),
            estimated=start.estimated or end.estimated,
            start=start,
            end=end,
        )
        for start, end in pairwise(edges)
    ]


def meter_point_consumption(
    installs_with_reads: Sequence[tuple[Install, Sequence[RegisterRead]]],
    start_us: int,
    end_us: int,
    *,
    tolerance_us: int = DEFAULT_TOLERANCE_US,
    swap_us: int = DEFAULT_SWAP_US,
) -> Consumption:
    """Consumption of [start_us, end_us) over every meter installed in it, raw reads allowed.

    Raises MissingReadError where a boundary has no read or no meter stood longer than swap_us.
    """
    if end_us <= start_us:
        msg = f"end_us {end_us} must lie after start_us {start_us}"
        raise ValueError(msg)
    ordered = sorted(installs_with_reads, key=lambda pair: pair[0].installed_at_us)
    _refuse_overlaps([install for install, _ in ordered])
    parts: list[Part] = []
    covered_us = start_us
    for install, reads in ordered:
        removed_at_us = install.removed_at_us
        if install.installed_at_us >= end_us or (
            removed_at_us is not None and removed_at_us <= start_us
        ):
            continue
        if install.installed_at_us - covered_us > swap_us:
            raise MissingReadError(covered_us, "no meter stood here, longer than a swap takes")
        part = _part(install, reads, (start_us, end_us), tolerance_us=tolerance_us)
        parts.append(part)
        covered_us = part.end.boundary_us
    if not parts or end_us - covered_us > swap_us:
        raise MissingReadError(covered_us, "no meter stood here, longer than a swap takes")
    quantity = Decimal(0)
    for part in parts:
        quantity = _EXACT.add(quantity, part.quantity)
    estimated = any(part.start.estimated or part.end.estimated for part in parts)
    return Consumption(quantity, estimated, tuple(parts))


def quantity_of(counts: int, install: Install) -> Decimal:
    """Counts as an exact quantity: counts x 10**exponent x multiplier."""
    return _EXACT.multiply(_EXACT.scaleb(Decimal(counts), install.exponent), install.multiplier)


def _part(
    install: Install, reads: Sequence[RegisterRead], span_us: tuple[int, int], *, tolerance_us: int
) -> Part:
    kept, _ = clean(reads, install)
    closing = install.end_read
    # The fitter's own reads stand for their instants: drop polls stamped with the same ones.
    known = [
        install.start_read,
        *(read for read in kept if read.read_at_us not in install.event_instants_us),
        *([closing] if closing is not None else []),
    ]
    start_us, end_us = span_us
    if install.installed_at_us >= start_us:
        first = install.start_read
        start = BoundaryRead(install.installed_at_us, first.count, (first,), estimated=False)
    else:
        start = _required(known, start_us, install=install, tolerance_us=tolerance_us)
    if install.removed_at_us is not None and install.removed_at_us <= end_us:
        if closing is None:
            raise MissingReadError(
                install.removed_at_us, f"{install.meter_id} has no removal count"
            )
        end = BoundaryRead(install.removed_at_us, closing.count, (closing,), estimated=False)
    else:
        end = _required(known, end_us, install=install, tolerance_us=tolerance_us)
    counts = _counts(known, start, end, install)
    return Part(install, start, end, counts, quantity_of(counts, install))


def _counts(
    reads: Sequence[RegisterRead], start: BoundaryRead, end: BoundaryRead, install: Install | None
) -> int:
    # Read by read, so that a register which rolls over more than once is still counted.
    first, last = start.reads[-1], end.reads[0]
    if last.read_at_us < first.read_at_us:
        return _wrapped(end.count - start.count, install)
    low = bisect_left(reads, first.read_at_us, key=_instant)
    high = bisect_right(reads, last.read_at_us, key=_instant)
    between = sum(_counts_between(a, b, install) for a, b in pairwise(reads[low:high]))
    lead = _wrapped(first.count - start.count, install)
    return lead + between + _wrapped(end.count - last.count, install)


def _wrapped(counts: int, install: Install | None) -> int:
    # Only for the inside of one gap, whose own difference is already judged.
    return counts if install is None or install.capacity is None else counts % install.capacity


def _required(
    reads: Sequence[RegisterRead],
    boundary_us: int,
    *,
    install: Install | None,
    tolerance_us: int,
) -> BoundaryRead:
    edge = at_boundary(reads, boundary_us, tolerance_us=tolerance_us, install=install)
    if edge is None:
        raise MissingReadError(boundary_us, "no read stands on both sides of it")
    return edge


def _counts_between(left: RegisterRead, right: RegisterRead, install: Install | None) -> int:
    span_us = right.read_at_us - left.read_at_us
    try:
        return difference(
            left.count,
            right.count,
            capacity=install.capacity if install else None,
            max_counts=install.max_counts(span_us) if install else None,
        )
    except BackwardsRegisterError as error:
        raise BackwardsRegisterError(left, right, str(error)) from None


def _refuse_overlaps(installs: Sequence[Install]) -> None:
    for earlier, later in pairwise(installs):
        if earlier.removed_at_us is None or earlier.removed_at_us > later.installed_at_us:
            msg = (
                f"meter {later.meter_id} is installed at {later.installed_at_us} us"
                f" while {earlier.meter_id} still stands"
            )
            raise OverlappingInstallsError(msg)


def _instant(read: RegisterRead) -> int:
    return read.read_at_us


def _named(read: RegisterRead | int) -> str:
    return str(read) if isinstance(read, int) else f"{read.count} (read at {read.read_at_us} us)"
