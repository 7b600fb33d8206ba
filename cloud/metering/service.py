"""What a meter point consumed over a span, from the reads that were delivered."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.metering import repository
from cloud.metering.installs import RegisterRead
from cloud.metering.registers import (
    Consumption,
    MissingReadError,
    interval_reads,
    meter_point_consumption,
    quantity_of,
)
from cloud.metering.repository import Mounted
from cloud.metering.screening import clean
from protocols.delivery.records import instant, microseconds


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


def consumption(connection: Connection, meter_point_id: str, span: Span) -> Consumption:
    """Return what a meter point consumed; RegisterError says why it cannot be known."""
    pairs = _reads(connection, meter_point_id, span)
    return meter_point_consumption(
        [(mounted.install, reads) for mounted, reads in pairs], span.start_us, span.end_us
    )


def hourly(connection: Connection, meter_point_id: str, span: Span) -> list[Hour]:
    """Return a meter point's consumption by the hour; the hours add up to the span's."""
    hour_us = 3_600_000_000
    hours: list[Hour] = []
    for mounted, reads in _reads(connection, meter_point_id, span):
        install = mounted.install
        start = max(span.start_us, install.installed_at_us)
        end = min(span.end_us, install.removed_at_us or span.end_us)
        if start >= end:
            continue
        kept, _ = clean(reads, install)
        known = [
            install.start_read,
            *(read for read in kept if read.read_at_us not in install.event_instants_us),
            *([install.end_read] if install.end_read else []),
        ]
        edges = [start, *range((start // hour_us + 1) * hour_us, end, hour_us), end]
        hours += [
            Hour(
                instant(item.start_us),
                instant(item.end_us),
                quantity_of(item.counts, install),
                item.estimated,
            )
            for item in interval_reads(known, edges, install=install)
        ]
    if not hours:
        raise MissingReadError(span.start_us, "no meter was installed")
    return hours


def _reads(
    connection: Connection, meter_point_id: str, span: Span
) -> list[tuple[Mounted, list[RegisterRead]]]:
    return [
        (
            mounted,
            repository.register_reads(connection, mounted.channel_id, span.start_us, span.end_us),
        )
        for mounted in repository.mounted_at(connection, meter_point_id)
    ]
