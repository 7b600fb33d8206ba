"""What a meter point consumed over a span, from the reads that were delivered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.metering import repository
from cloud.metering.accounts import AccountShare, AccountUse, Metered, parts_of, use_by_account
from cloud.metering.point_reads import HOUR_US, Estimates, PointReads, reads_of_points
from cloud.metering.registers import (
    Consumption,
    MissingReadError,
    RegisterError,
    interval_reads,
    kept_consumption,
    known_reads,
    quantity_of,
    sum_of,
)
from cloud.metering.true_up import is_open, open_before, with_true_up
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


def month(period: str, zone: ZoneInfo) -> Span:
    """Return the span of a period `YYYY-MM` in a project's time zone; ValueError if it is none."""
    from_on = date.fromisoformat(f"{period}-01")
    to_on = (from_on + timedelta(days=32)).replace(day=1)
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
    reads = reads_of_points(connection, [meter_point_id])[meter_point_id]
    return _Point(connection, meter_point_id, reads, estimate_end=estimate_end).billed(span)


def consumptions(
    connection: Connection, meter_point_ids: Sequence[str], span: Span
) -> dict[str, Consumption | RegisterError]:
    """Return what is to be billed of many meter points, or why it cannot be known: quickly."""
    found: dict[str, Consumption | RegisterError] = {}
    for start in range(0, len(meter_point_ids), _POINTS_AT_ONCE):
        names = meter_point_ids[start : start + _POINTS_AT_ONCE]
        for name, reads in reads_of_points(connection, names).items():
            try:
                found[name] = _Point(connection, name, reads, estimate_end=False).billed(span)
            except RegisterError as error:
                found[name] = error
    return found


def hourly(
    connection: Connection, meter_point_id: str, span: Span, *, estimate_end: bool = False
) -> list[Hour]:
    """Return a meter point's consumption by the hour; the hours add up to what is billed."""
    reads = reads_of_points(connection, [meter_point_id])[meter_point_id]
    point = _Point(connection, meter_point_id, reads, estimate_end=estimate_end)
    hours = point.hours(span)
    if not hours:
        raise MissingReadError(span.start_us, "no meter was installed")
    billed = point.billed(span)
    return hours if not billed.true_up else spread(hours, billed.quantity)


def close(
    connection: Connection,
    used: Mapping[str, Consumption],
    span: Span,
    *,
    now_us: int,
    revision: int = 1,
) -> None:
    """Remember what is billed of meter points, for the true-up of the next span."""
    repository.save_closings(
        connection,
        [
            {
                "meter_point_id": meter_point,
                "start_us": span.start_us,
                "end_us": span.end_us,
                "revision": revision,
                "quantity": f"{used[meter_point].quantity:f}",
                "is_open": int(is_open(used[meter_point])),
                "rules": " ".join(used[meter_point].rules),
                "closed_us": now_us,
            }
            for meter_point in sorted(used)
        ],
    )


def quantities_by_account(
    connection: Connection, project_id: str, used: Mapping[str, Consumption], span: Span
) -> dict[tuple[str, str], AccountUse]:
    """Return what each (account, service) used of a span, over all its meter points.

    A meter point is its premise's, or those accounts' to whom it was given at the span's end.
    """
    points = [
        Metered(point.id, point.service, point.premise_id)
        for point in repository.meter_points_of(connection, project_id)
        if point.role == "sub"
    ]
    shares = repository.account_shares(connection, project_id, span.end_us - 1)
    return use_by_account(points, shares, used)


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
        connection: Connection,
        meter_point_id: str,
        reads: PointReads,
        *,
        estimate_end: bool,
    ) -> None:
        self._connection = connection
        self._id = meter_point_id
        self._reads = reads
        self._estimates = [
            Estimates(self._reads, mounted, foretell=estimate_end)
            for mounted in self._reads.mounted
        ]

    def billed(self, span: Span) -> Consumption:
        used = self._measured(span.start_us, span.end_us)
        held = repository.closings_before(self._connection, self._id, span.start_us)
        since_us, billed = open_before(held, span.start_us)
        if since_us == span.start_us:
            return used
        due = self._measured(since_us, span.start_us).quantity - billed
        return with_true_up(used, due)

    def hours(self, span: Span) -> list[Hour]:
        hours: list[Hour] = []
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
            hours += [
                Hour(
                    instant(item.start_us),
                    instant(item.end_us),
                    quantity_of(item.counts, install),
                    item.estimated,
                )
                for item in interval_reads(known, edges, install=install, estimator=estimator)
            ]
        return hours

    def _measured(self, start_us: int, end_us: int) -> Consumption:
        return kept_consumption(
            [
                (mounted.install, self._reads.around(mounted, (start_us, end_us)), estimator)
                for mounted, estimator in zip(self._reads.mounted, self._estimates, strict=True)
            ],
            start_us,
            end_us,
        )
