"""The register of a meter at an instant: read there, estimated between reads, or expected."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

from cloud.metering.installs import Install, RegisterRead

DEFAULT_TOLERANCE_US: Final = 60_000_000
STRAIGHT_LINE: Final = "straight-line"


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


@dataclass(frozen=True, slots=True)
class BoundaryRead:
    """The register at a boundary, with the reads (one, or the two around it) it stands on.

    rule names how it was estimated, empty for a read.
    """

    boundary_us: int
    count: int
    reads: tuple[RegisterRead, ...]
    estimated: bool
    rule: str = ""

    @property
    def read_at_us(self) -> list[int]:
        """Give the instants of the reads it stands on."""
        return [read.read_at_us for read in self.reads]


class Estimator(Protocol):
    """How a register is estimated where nobody read it; each answer names its rule."""

    def gone(
        self, left: RegisterRead, right: RegisterRead, boundary_us: int, *, counts: int
    ) -> tuple[int, str]:
        """Return how many of the counts between two reads had passed at a boundary (floor)."""

    def expected(self, left: RegisterRead, boundary_us: int) -> tuple[int, str] | None:
        """Return the counts to expect from the last read to a boundary, None for no idea."""


class StraightLine:
    """Consumption as even as can be; it foretells nothing."""

    def gone(
        self, left: RegisterRead, right: RegisterRead, boundary_us: int, *, counts: int
    ) -> tuple[int, str]:
        """Return the share of the counts that goes with the time."""
        past_us = boundary_us - left.read_at_us
        return counts * past_us // (right.read_at_us - left.read_at_us), STRAIGHT_LINE

    def expected(self, left: RegisterRead, boundary_us: int) -> None:
        """Return nothing."""


_STRAIGHT: Final = StraightLine()


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
    estimator: Estimator = _STRAIGHT,
) -> BoundaryRead | None:
    """Register at a boundary from sorted clean reads; None where no read bounds it.

    The first read in [boundary, boundary + tolerance] is the boundary read, because polls are
    stamped some seconds after the aligned minute. Else the count is estimated between its reads,
    and after the last one only as far as the estimator dares.
    """
    after = bisect_left(reads, boundary_us, key=_instant)
    if after == len(reads):
        return _foretold(reads, boundary_us, install, estimator)
    right = reads[after]
    if right.read_at_us <= boundary_us + tolerance_us:
        return BoundaryRead(boundary_us, right.count, (right,), right.estimated)
    if after == 0:
        return None
    left = reads[after - 1]
    counts = counts_between(left, right, install)
    gone, rule = estimator.gone(left, right, boundary_us, counts=counts)
    count = _shown(left.count + gone, install)
    return BoundaryRead(boundary_us, count, (left, right), estimated=True, rule=rule)


def required_boundary(
    reads: Sequence[RegisterRead],
    boundary_us: int,
    *,
    install: Install | None,
    tolerance_us: int,
    estimator: Estimator = _STRAIGHT,
) -> BoundaryRead:
    """Register at a boundary; MissingReadError where no read bounds it."""
    edge = at_boundary(
        reads, boundary_us, tolerance_us=tolerance_us, install=install, estimator=estimator
    )
    if edge is None:
        raise MissingReadError(boundary_us, "no read stands on both sides of it")
    return edge


def counts_between(left: RegisterRead, right: RegisterRead, install: Install | None) -> int:
    """Counts from one read to the next one; BackwardsRegisterError for a fall unexplained."""
    if (
        install is not None
        and install.capacity is not None
        and install.end_rolls_over
        and right.read_at_us == install.removed_at_us
    ):
        return (right.count - left.count) % install.capacity
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


def counts_over(
    reads: Sequence[RegisterRead], start: BoundaryRead, end: BoundaryRead, install: Install | None
) -> int:
    """Counts from one boundary to a later one, read by read.

    So a register which rolls over more than once is still counted.
    """
    first, last = start.reads[-1], end.reads[0]
    if last.read_at_us < first.read_at_us or start.boundary_us > last.read_at_us:
        # both boundaries lie in one gap, or after the last read
        return _wrapped(end.count - start.count, install)
    low = bisect_left(reads, first.read_at_us, key=_instant)
    high = bisect_right(reads, last.read_at_us, key=_instant)
    between = sum(counts_between(a, b, install) for a, b in pairwise(reads[low:high]))
    lead = _wrapped(first.count - start.count, install)
    return lead + between + _wrapped(end.count - last.count, install)


def _foretold(
    reads: Sequence[RegisterRead], boundary_us: int, install: Install | None, estimator: Estimator
) -> BoundaryRead | None:
    if not reads:
        return None
    guess = estimator.expected(reads[-1], boundary_us)
    if guess is None:
        return None
    counts, rule = guess
    count = _shown(reads[-1].count + counts, install)
    return BoundaryRead(boundary_us, count, (reads[-1],), estimated=True, rule=rule)


def _wrapped(counts: int, install: Install | None) -> int:
    # Only for the inside of one gap, whose own difference is already judged.
    return counts if install is None or install.capacity is None else counts % install.capacity


def _shown(count: int, install: Install | None) -> int:
    return count if install is None or install.capacity is None else count % install.capacity


def _instant(read: RegisterRead) -> int:
    return read.read_at_us


def _named(read: RegisterRead | int) -> str:
    return str(read) if isinstance(read, int) else f"{read.count} (read at {read.read_at_us} us)"
