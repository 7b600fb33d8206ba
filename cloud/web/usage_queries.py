"""Consumption per hour and day from register differences, and load curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from cloud.metering.tables import installs, meter_points
from cloud.sites.tables import channels
from cloud.telemetry import repository
from cloud.telemetry.chunk import HOUR_US, hour_of
from cloud.telemetry.tables import latest
from cloud.web.formats import midnight_us, shown_value

_DECEMBER: Final = 12


@dataclass(frozen=True)
class Meter:
    """The channel that bills a device's meter point, and what its counts are worth."""

    meter_point_id: str
    device_id: str
    channel_id: int
    point: str
    uom: str
    exponent: int
    multiplier: Decimal
    premise_id: str | None


@dataclass(frozen=True)
class Bar:
    """What was used in [start, end); None where the register at an end is not known."""

    start_us: int
    end_us: int
    quantity: Decimal | None
    partial: bool = False


@dataclass(frozen=True)
class Gap:
    """A stretch without reads; the registers at both ends say what was used in all of it."""

    start_us: int
    end_us: int
    quantity: Decimal | None


@dataclass(frozen=True)
class Usage:
    """Consumption of a meter as bars, with its gaps named."""

    bars: tuple[Bar, ...]
    gaps: tuple[Gap, ...]

    @property
    def total(self) -> Decimal | None:
        """Return what is known to be used, gaps between two reads included; None if nothing."""
        known = [bar.quantity for bar in self.bars if bar.quantity is not None]
        known += [gap.quantity for gap in self.gaps if gap.quantity is not None]
        return sum(known, Decimal(0)) if known else None


@dataclass(frozen=True)
class Sample:
    """A mean over a bucket that begins at at_us; None where there was no good reading."""

    at_us: int
    value: Decimal | None


def meters_at(
    connection: Connection, *, device_id: str | None = None, premise_id: str | None = None
) -> list[Meter]:
    """Return the meters that now stand there, of a device or of a premise."""
    query = (
        select(
            installs, meter_points.c.premise_id, channels.c.id.label("channel_id"), channels.c.uom
        )
        .join(meter_points, meter_points.c.id == installs.c.meter_point_id)
        .join(
            channels,
            (channels.c.device_id == installs.c.device_id)
            & (channels.c.point == installs.c.point)
            & (channels.c.exponent == installs.c.exponent),
        )
        .join(latest, latest.c.channel_id == channels.c.id)
        .where(installs.c.removed_at_us.is_(None))
        .order_by(installs.c.meter_point_id, latest.c.read_at_us)
    )
    if device_id is not None:
        query = query.where(installs.c.device_id == device_id)
    if premise_id is not None:
        query = query.where(meter_points.c.premise_id == premise_id)
    found = {
        row.meter_point_id: Meter(
            row.meter_point_id,
            row.device_id,
            row.channel_id,
            row.point,
            row.uom,
            row.exponent,
            Decimal(row.multiplier),
            row.premise_id,
        )
        for row in connection.execute(query)
    }
    return list(found.values())


def usage_of_day(
    connection: Connection, meter: Meter, day: date, *, zone: ZoneInfo, now_us: int
) -> Usage:
    """Return consumption per hour of a calendar day of the project."""
    start, end = midnight_us(day, zone), midnight_us(day + timedelta(days=1), zone)
    return _usage(connection, meter, list(range(start, end + 1, HOUR_US)), now_us=now_us)


def usage_of_month(
    connection: Connection, meter: Meter, month: date, *, zone: ZoneInfo, now_us: int
) -> Usage:
    """Return consumption per day of the calendar month that begins on `month`."""
    days = (next_month(month) - month).days
    boundaries = [midnight_us(month + timedelta(days=n), zone) for n in range(days + 1)]
    return _usage(connection, meter, boundaries, now_us=now_us)


def next_month(month: date) -> date:
    """Return the first day of the month after."""
    return date(month.year + month.month // _DECEMBER, month.month % _DECEMBER + 1, 1)


def month_before(month: date) -> date:
    """Return the first day of the month before."""
    return (month.replace(day=1) - timedelta(days=1)).replace(day=1)


def curve(
    connection: Connection,
    device_ids: Sequence[str],
    point: str,
    *,
    start_us: int,
    end_us: int,
    bucket_us: int,
) -> tuple[Sample, ...]:
    """Return the sum over devices of a point's means per bucket, in the uom pages show."""
    sums: dict[int, list[Decimal]] = {}
    query = select(channels).where(channels.c.device_id.in_(device_ids), channels.c.point == point)
    for channel in connection.execute(query):
        buckets: dict[int, list[int]] = {}
        for row in repository.rows_between(connection, channel.id, start_us, end_us):
            if row.count is not None and row.quality == 0:
                buckets.setdefault((row.read_at_us - start_us) // bucket_us, []).append(row.count)
        for bucket, counts in buckets.items():
            mean = shown_value(round(sum(counts) / len(counts)), channel.exponent, channel.uom)
            if mean is not None:
                sums.setdefault(bucket, []).append(mean)
    # a sum without one of its meters would be a lie: it is a gap
    return tuple(
        Sample(
            start_us + bucket * bucket_us,
            sum(sums[bucket], Decimal(0)) if len(sums.get(bucket, ())) >= len(device_ids) else None,
        )
        for bucket in range((end_us - start_us) // bucket_us)
    )


def _usage(connection: Connection, meter: Meter, boundaries: list[int], *, now_us: int) -> Usage:
    hours = repository.hours_between(
        connection, meter.channel_id, boundaries[0], boundaries[-1] + HOUR_US
    )
    first = {stats.hour: stats.first for stats in hours}
    known = {
        boundary: count
        for boundary in boundaries
        if (count := first.get(hour_of(boundary))) is not None
    }
    running = next((pair for pair in pairwise(boundaries) if pair[0] <= now_us < pair[1]), None)
    bars: list[Bar] = []
    for start, end in pairwise(boundaries):
        partial = (start, end) == running
        until = _last_count(hours, end) if partial else known.get(end)
        bars.append(Bar(start, end, _quantity(meter, known.get(start), until), partial))
    return Usage(tuple(bars), tuple(_gaps(meter, boundaries, known, now_us)))


def _last_count(hours: Sequence[repository.HourStats], end_us: int) -> int | None:
    before = [stats for stats in hours if stats.hour * HOUR_US < end_us and stats.last is not None]
    return before[-1].last if before else None


def _gaps(meter: Meter, boundaries: list[int], known: dict[int, int], now_us: int) -> list[Gap]:
    gaps = []
    past = [boundary for boundary in boundaries if boundary <= now_us]
    have = [boundary for boundary in past if boundary in known]
    for left, right in pairwise(have):
        if past.index(right) - past.index(left) > 1:
            gaps.append(Gap(left, right, _quantity(meter, known[left], known[right])))
    return gaps


def _quantity(meter: Meter, start: int | None, end: int | None) -> Decimal | None:
    # a fall is a replaced or reset meter: billing knows more about it than this picture
    if start is None or end is None or end < start:
        return None
    return Decimal(end - start).scaleb(meter.exponent) * meter.multiplier
