"""Routes of readings."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select

from cloud.auth import Person
from cloud.errors import NotFoundError, RefusedError
from cloud.ingest.clock_repository import waiting_readings
from cloud.requests import Reading, require
from cloud.sites.tables import channels, devices
from cloud.telemetry import repository
from cloud.telemetry.chunk import HOUR_US
from cloud.telemetry.schemas import ReadingOut, ReadingsOut
from protocols.delivery.records import Quality, decimal_text, instant, microseconds

router = APIRouter(tags=["telemetry"])

MAX_RAW_DAYS = 31
# load curves by the minute show who is at home: guards and clerks do not get them
Technician = Annotated[Person, Depends(require("manager", "maintenance", "integrator"))]


@router.get("/channels/{channel_id}/readings")
def list_readings(
    channel_id: int,
    person: Technician,
    connection: Reading,
    from_: Annotated[datetime, Query(alias="from")],
    to: datetime,
    resolution: Literal["raw", "hour"] = "raw",
) -> ReadingsOut:
    """List a channel's readings in [from, to): each one, or the first of each hour."""
    row = connection.execute(
        select(channels)
        .join(devices, devices.c.id == channels.c.device_id)
        .where(channels.c.id == channel_id, devices.c.project_id == person.project_id)
    ).one_or_none()
    if row is None:
        message = f"channel {channel_id} is unknown"
        raise NotFoundError(message)
    if from_.tzinfo is None or to.tzinfo is None:
        message = "from, to: allowed are instants with a time zone (RFC 3339)"
        raise RefusedError(message)
    start_us, end_us = microseconds(from_), microseconds(to)
    if resolution == "raw" and end_us - start_us > MAX_RAW_DAYS * 24 * HOUR_US:
        message = f"raw readings: up to {MAX_RAW_DAYS} days at a time; ask for resolution=hour"
        raise RefusedError(message)
    found = (
        _raw(connection, channel_id, start_us, end_us, row.exponent)
        if resolution == "raw"
        else _hours(connection, channel_id, start_us, end_us, row.exponent)
    )
    return ReadingsOut(
        channel=channel_id,
        device=row.device_id,
        point=row.point,
        uom=row.uom,
        waiting_for_the_time=waiting_readings(connection).get(row.gateway_id, 0),
        readings=found,
    )


def _raw(
    connection: Reading, channel_id: int, start_us: int, end_us: int, exponent: int
) -> list[ReadingOut]:
    return [
        ReadingOut(
            read_at=instant(item.read_at_us),
            value=decimal_text(item.count, exponent),
            quality=item.quality,
            quality_name=Quality(item.quality).name.lower(),
        )
        for item in repository.rows_between(connection, channel_id, start_us, end_us)
    ]


def _hours(
    connection: Reading, channel_id: int, start_us: int, end_us: int, exponent: int
) -> list[ReadingOut]:
    found = []
    for item in repository.hours_between(connection, channel_id, start_us, end_us):
        quality = Quality.GOOD if item.first is not None else Quality.MISSING
        found.append(
            ReadingOut(
                read_at=instant(item.hour * HOUR_US),
                value=decimal_text(item.first, exponent),
                quality=quality,
                quality_name=quality.name.lower(),
            )
        )
    return found
