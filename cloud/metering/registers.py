"""Register reads of a meter point turned into consumption that always telescopes."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from itertools import pairwise

from cloud.metering.boundaries import (
    DEFAULT_TOLERANCE_US,
    BackwardsRegisterError,
    BoundaryRead,
    Estimator,
    MissingReadError,
    RegisterError,
    StraightLine,
    at_boundary,
    counts_over,
    difference,
    required_boundary,
)
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
    "kept_consumption",
    "known_reads",
    "meter_point_consumption",
    "quantity_of",
    "refuse_overlaps",
    "sum_of",
]

DEFAULT_SWAP_US = 4 * 3_600_000_000
_EXACT = Context(prec=80, traps=[Inexact])
_STRAIGHT = StraightLine()


class OverlappingInstallsError(RegisterError):
    """Two meters claim the same meter point at the same time."""


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
    """What a meter point consumed over a span, in the meter's uom, with its evidence.

    quantity is what is billed: the parts, and the true-up 退补 of spans billed by an estimate.
    """

    quantity: Decimal
    estimated: bool
    parts: tuple[Part, ...]
    true_up: Decimal = Decimal(0)

    @property
    def measured(self) -> Decimal:
        """Give what the registers say of the span itself."""
        return sum_of([part.quantity for part in self.parts])

    @property
    def rules(self) -> tuple[str, ...]:
        """Give the names of the rules that estimated a boundary of it."""
        edges = [edge for part in self.parts for edge in (part.start, part.end)]
        return tuple(sorted({edge.rule for edge in edges if edge.rule}))


def interval_reads(
    reads: Sequence[RegisterRead],
    boundaries_us: Sequence[int],
    *,
    install: Install | None = None,
    tolerance_us: int = DEFAULT_TOLERANCE_US,
    estimator: Estimator = _STRAIGHT,
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
        required_boundary(
            reads, boundary_us, install=install, tolerance_us=tolerance_us, estimator=estimator
        )
        for boundary_us in boundaries_us
    ]
    return [
        IntervalRead(
            start_us=start.boundary_us,
            end_us=end.boundary_us,
            counts=counts_over(reads, start, end, install),
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
    estimator: Estimator = _STRAIGHT,
) -> Consumption:
    """Consumption of [start_us, end_us) over every meter installed in it, raw reads allowed.

    Raises MissingReadError where a boundary has no read or no meter stood longer than swap_us.
    """
    kept = [
        (install, clean(reads, install)[0], estimator) for install, reads in installs_with_reads
    ]
    return kept_consumption(kept, start_us, end_us, tolerance_us=tolerance_us, swap_us=swap_us)


def kept_consumption(
    installs_with_reads: Sequence[tuple[Install, Sequence[RegisterRead], Estimator]],
    start_us: int,
    end_us: int,
    *,
    tolerance_us: int = DEFAULT_TOLERANCE_US,
    swap_us: int = DEFAULT_SWAP_US,
) -> Consumption:
    """Consumption of [start_us, end_us) from reads that screening kept, each install's in order.

    Reads may be few: those around the boundaries and on both sides of each rollover.
    """
    if end_us <= start_us:
        msg = f"end_us {end_us} must lie after start_us {start_us}"
        raise ValueError(msg)
    ordered = sorted(installs_with_reads, key=lambda each: each[0].installed_at_us)
    refuse_overlaps([install for install, _, _ in ordered])
    parts: list[Part] = []
    covered_us = start_us
    for install, reads, estimator in ordered:
        removed_at_us = install.removed_at_us
        if removed_at_us is not None and removed_at_us <= start_us:
            continue
        if install.covers_from_us - covered_us > swap_us:
            break
        if install.installed_at_us >= end_us:
            # only its idle stretch reaches into the span
            covered_us = max(covered_us, install.installed_at_us)
            break
        part = _part(
            install, reads, (start_us, end_us), tolerance_us=tolerance_us, estimator=estimator
        )
        parts.append(part)
        covered_us = part.end.boundary_us
    if end_us - covered_us > swap_us or (not parts and covered_us == start_us):
        raise MissingReadError(covered_us, "no meter stood here, longer than a swap takes")
    estimated = any(part.start.estimated or part.end.estimated for part in parts)
    return Consumption(sum_of([part.quantity for part in parts]), estimated, tuple(parts))


def known_reads(install: Install, kept: Sequence[RegisterRead]) -> list[RegisterRead]:
    """Kept reads between the fitter's own, which stand for their instants."""
    closing = install.end_read
    return [
        install.start_read,
        # polls stamped with the same instants are dropped
        *(read for read in kept if read.read_at_us not in install.event_instants_us),
        *([closing] if closing is not None else []),
    ]


def quantity_of(counts: int, install: Install) -> Decimal:
    """Counts as an exact quantity: counts x 10**exponent x multiplier."""
    return _EXACT.multiply(_EXACT.scaleb(Decimal(counts), install.exponent), install.multiplier)


def sum_of(quantities: Sequence[Decimal]) -> Decimal:
    """Exact sum of quantities."""
    total = Decimal(0)
    for quantity in quantities:
        total = _EXACT.add(total, quantity)
    return total


def refuse_overlaps(installs: Sequence[Install]) -> None:
    """Refuse two meters at one place at one time (OverlappingInstallsError)."""
    for earlier, later in pairwise(installs):
        if earlier.removed_at_us is None or earlier.removed_at_us > later.installed_at_us:
            msg = (
                f"meter {later.meter_id} is installed at {later.installed_at_us} us"
                f" while {earlier.meter_id} still stands"
            )
            raise OverlappingInstallsError(msg)


def _part(
    install: Install,
    kept: Sequence[RegisterRead],
    span_us: tuple[int, int],
    *,
    tolerance_us: int,
    estimator: Estimator,
) -> Part:
    known = known_reads(install, kept)
    closing = install.end_read
    start_us, end_us = span_us
    if install.installed_at_us >= start_us:
        first = install.start_read
        start = BoundaryRead(install.installed_at_us, first.count, (first,), estimated=False)
    else:
        start = required_boundary(
            known, start_us, install=install, tolerance_us=tolerance_us, estimator=estimator
        )
    if install.removed_at_us is not None and install.removed_at_us <= end_us:
        if closing is None:
            raise MissingReadError(
                install.removed_at_us, f"{install.meter_id} has no removal count"
            )
        end = BoundaryRead(install.removed_at_us, closing.count, (closing,), estimated=False)
    else:
        end = required_boundary(
            known, end_us, install=install, tolerance_us=tolerance_us, estimator=estimator
        )
    counts = counts_over(known, start, end, install)
    return Part(install, start, end, counts, quantity_of(counts, install))
