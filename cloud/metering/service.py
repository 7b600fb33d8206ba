"""What a meter point consumed over a span, from the reads that were delivered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.metering import repository
from cloud.metering.accounts import AccountShare, parts_of
from cloud.metering.point_reads import HOUR_US, Estimates, PointReads, reads_of_points
from cloud.metering.registers import (
    BoundaryRead,
    Consumption,
    Install,
    IntervalRead,
    MissingReadError,
    RegisterError,
    interval_reads,
    kept_consumption,
    known_reads,
    quantity_of,
    sum_of,
)
from cloud.metering.true_up import Closing, open_before, with_true_up
from protocols.delivery.records import instant, microseconds

_POINTS_AT_ONCE: Final = 200


@dataclass(frozen=True)
class Span:
    """A billing period: from the first instant of one local day to that of another."""

    from_on: date
    to_on: date
    start_us: int
    end_us: int


@dataclass(frozen=True)
class Hour:
    """Consumption of one hour in the meter's uom."""

    start_at: datetime
    end_at: datetime
    quantity: Decimal
    estimated: bool


@dataclass(frozen=True)
class Wanted:
    """A span of a meter point that is asked for; see `consumption` for `estimate_end`."""

    meter_point_id: str
    span: Span
    estimate_end: bool = False
    by_hour: bool = False


@dataclass(frozen=True)
class MeterUse:
    """What a meter point used of a span; its hours, where they were asked for, add up to it."""

    consumption: Consumption
    hours: tuple[Hour, ...] = ()


def month(period: str, zone: ZoneInfo) -> Span:
    """Return the span of a period `YYYY-MM` in a project's time zone; ValueError if it is none."""
    from_on = date.fromisoformat(f"{period}-01")
    return days(from_on, (from_on + timedelta(days=32)).replace(day=1), zone)


@lru_cache(maxsize=1000)
def days(from_on: date, to_on: date, zone: ZoneInfo) -> Span:
    """Return the span of the local days [from_on, to_on)."""
    return Span(from_on, to_on, midnight_us(from_on, zone), midnight_us(to_on, zone))


def midnight_us(day: date, zone: ZoneInfo) -> int:
    """Return the first instant of a local day."""
    return microseconds(datetime.combine(day, time.min, zone).astimezone(UTC))


def consumption(
    connection: Connection, meter_point_id: str, span: Span, *, estimate_end: bool = False
) -> Consumption:
    """Return what is to be billed of a meter point; RegisterError says why it cannot be known.

    `estimate_end` foretells a closing register that nobody read yet from the meter's history. What
    earlier spans were billed by such an estimate is trued up 退补: over all spans, what is billed
    is what the registers say in the end.
    """
    wanted = Wanted(meter_point_id, span, estimate_end=estimate_end)
    use = uses(connection, [wanted])[wanted]
    if isinstance(use, RegisterError):
        raise use
    return use.consumption


def consumptions(
    connection: Connection, meter_point_ids: Sequence[str], span: Span
) -> dict[str, Consumption | RegisterError]:
    """Return what is to be billed of many meter points, or why it cannot be known: quickly."""
    found = uses(connection, [Wanted(name, span) for name in meter_point_ids])
    return {
        wanted.meter_point_id: use if isinstance(use, RegisterError) else use.consumption
        for wanted, use in found.items()
    }


def uses(
    connection: Connection,
    wanted: Sequence[Wanted],
    *,
    pending: Mapping[str, Sequence[Closing]] | None = None,
    trued_up: bool = True,
) -> dict[Wanted, MeterUse | RegisterError]:
    """Return what is to be billed of meter points' spans, or why it cannot be known: quickly.

    `pending` are spans that are about to be billed, again or anew: by meter point, the later ones
    in place of those before. Not `trued_up` they are what registers say, however it was billed.
    """
    by_point: dict[str, list[Wanted]] = {}
    for each in wanted:
        by_point.setdefault(each.meter_point_id, []).append(each)
    names = sorted(by_point)
    found: dict[Wanted, MeterUse | RegisterError] = {}
    for start in range(0, len(names), _POINTS_AT_ONCE):
        some = names[start : start + _POINTS_AT_ONCE]
        closed = repository.closings_of(connection, some)
        for name, reads in reads_of_points(connection, some).items():
            closed[name] |= {each.end_us: each for each in (pending or {}).get(name, ())}
            for each in by_point[name]:
                before = closed[name] if trued_up else {}
                point = _Point(reads, before, estimate_end=each.estimate_end)
                try:
                    found[each] = point.use(each)
                except RegisterError as error:
                    found[each] = error
    return found


def hourly(
    connection: Connection, meter_point_id: str, span: Span, *, estimate_end: bool = False
) -> list[Hour]:
    """Return a meter point's consumption by the hour; the hours add up to what is billed."""
    wanted = Wanted(meter_point_id, span, estimate_end=estimate_end, by_hour=True)
    use = uses(connection, [wanted])[wanted]
    if isinstance(use, RegisterError):
        raise use
    return list(use.hours)


def hourly_registers(
    connection: Connection, meter_point_id: str, span: Span, *, estimate_end: bool = False
) -> list[tuple[Install, list[BoundaryRead]]]:
    """Return each meter's register at both ends of a span and at every hour between."""
    reads = reads_of_points(connection, [meter_point_id])[meter_point_id]
    point = _Point(reads, {}, estimate_end=estimate_end)
    return [
        (install, [found[0].start, *(item.end for item in found)])
        for install, found in point.by_install(span)
    ]


def give_to_accounts(
    connection: Connection, meter_point_id: str, weights: Mapping[str, Decimal], *, from_us: int
) -> None:
    """Say whose a meter point is from an instant on, by weight; AccountError for weights."""
    shares = [AccountShare(name, meter_point_id, weights[name]) for name in sorted(weights)]
    if shares:
        parts_of(Decimal(1), shares)
    repository.save_account_shares(connection, meter_point_id, shares, from_us=from_us)


def spread(hours: Sequence[Hour], total: Decimal) -> list[Hour]:
    """Return hours scaled so that they add up to a total, to its last digit; none below zero."""
    before = sum_of([hour.quantity for hour in hours])
    weights = [hour.quantity for hour in hours] if before > 0 else [Decimal(1)] * len(hours)
    shares = [AccountShare(f"{at:06}", "hours", weight) for at, weight in enumerate(weights)]
    parts = parts_of(total, shares)
    return [
        replace(hour, quantity=parts[f"{at:06}"], estimated=True) for at, hour in enumerate(hours)
    ]


class _Point:
    """One meter point while its consumption is worked out."""

    def __init__(
        self,
        reads: PointReads,
        closed: Mapping[int, Closing],
        *,
        estimate_end: bool,
    ) -> None:
        self._reads = reads
        self._closed = closed
        self._estimates = [
            Estimates(self._reads, mounted, foretell=estimate_end)
            for mounted in self._reads.mounted
        ]

    def use(self, wanted: Wanted) -> MeterUse:
        used = self.billed(wanted.span)
        if not wanted.by_hour:
            return MeterUse(used)
        hours = self.hours(wanted.span)
        if not hours:
            raise MissingReadError(wanted.span.start_us, "no meter was installed")
        return MeterUse(used, tuple(spread(hours, used.quantity) if used.true_up else hours))

    def billed(self, span: Span) -> Consumption:
        used = self._measured(span.start_us, span.end_us)
        before = sorted((end for end in self._closed if end <= span.start_us), reverse=True)
        since_us, billed = open_before((self._closed[end] for end in before), span.start_us)
        if since_us == span.start_us:
            return used
        due = self._measured(since_us, span.start_us).quantity - billed
        return with_true_up(used, due)

    def hours(self, span: Span) -> list[Hour]:
        return [
            Hour(
                instant(item.start_us),
                instant(item.end_us),
                quantity_of(item.counts, install),
                item.estimated,
            )
            for install, found in self.by_install(span)
            for item in found
        ]

    def by_install(self, span: Span) -> Iterator[tuple[Install, list[IntervalRead]]]:
        for mounted, estimator in zip(self._reads.mounted, self._estimates, strict=True):
            install = mounted.install
            start = max(span.start_us, install.installed_at_us)
            end = min(span.end_us, install.removed_at_us or span.end_us)
            if start >= end:
                continue
            kept = {
                read.read_at_us: read
                for read in (
                    *self._reads.around(mounted, (start, end)),
                    *self._reads.kept(mounted, start, end),
                )
            }
            known = known_reads(install, [kept[at_us] for at_us in sorted(kept)])
            edges = [start, *range((start // HOUR_US + 1) * HOUR_US, end, HOUR_US), end]
            yield install, interval_reads(known, edges, install=install, estimator=estimator)

    def _measured(self, start_us: int, end_us: int) -> Consumption:
        return kept_consumption(
            [
                (mounted.install, self._reads.around(mounted, (start_us, end_us)), estimator)
                for mounted, estimator in zip(self._reads.mounted, self._estimates, strict=True)
            ],
            start_us,
            end_us,
        )
