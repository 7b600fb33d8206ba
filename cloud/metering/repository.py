"""All SQL of meter points, installs and the register reads behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, func, select

from cloud.metering.installs import Install, RegisterRead
from cloud.metering.tables import installs, meter_points
from cloud.sites.tables import channels
from cloud.telemetry import repository as telemetry
from cloud.telemetry.chunk import HOUR_US, Row
from cloud.telemetry.tables import latest
from protocols.delivery.records import USABLE

MARGIN_US = 2 * HOUR_US
# the channel that an installed meter is read through
_READ_THROUGH = (
    (channels.c.device_id == installs.c.device_id)
    & (channels.c.point == installs.c.point)
    & (channels.c.exponent == installs.c.exponent)
)


@dataclass(frozen=True)
class MeterPoint:
    """The place 计量点 where something is measured, and for whom."""

    id: str
    project_id: str
    building_id: str
    premise_id: str | None
    parent_id: str | None
    name: str
    service: str
    uom: str
    role: str
    supply: str


@dataclass(frozen=True)
class Mounted:
    """An install with the device and channel it is read through."""

    install: Install
    device_id: str
    point: str
    channel_id: int | None


def meter_points_of(connection: Connection, project_id: str) -> list[MeterPoint]:
    """Return the meter points of a project, by id."""
    query = (
        select(meter_points)
        .where(meter_points.c.project_id == project_id)
        .order_by(meter_points.c.id)
    )
    return [MeterPoint(**row) for row in connection.execute(query).mappings()]


def mounted_at(connection: Connection, meter_point_id: str) -> list[Mounted]:
    """Return the meters that were ever installed at a meter point, oldest first."""
    query = (
        select(installs, channels.c.id.label("channel_id"))
        .join(channels, _READ_THROUGH, isouter=True)
        .where(installs.c.meter_point_id == meter_point_id)
        .order_by(installs.c.installed_at_us)
    )
    return [
        Mounted(
            Install(
                meter_id=row.meter_id,
                exponent=row.exponent,
                multiplier=Decimal(row.multiplier),
                capacity=row.capacity,
                max_per_hour=row.max_per_hour,
                installed_at_us=row.installed_at_us,
                removed_at_us=row.removed_at_us,
                start_count=row.start_count,
                end_count=row.end_count,
            ),
            row.device_id,
            row.point,
            row.channel_id,
        )
        for row in connection.execute(query)
    ]


def newest_reads_us(connection: Connection, project_id: str) -> list[int]:
    """Return when each meter that stands in a project was last read, 0 for never."""
    query = (
        select(func.coalesce(latest.c.read_at_us, 0))
        .select_from(meter_points)
        .join(installs, installs.c.meter_point_id == meter_points.c.id)
        .join(channels, _READ_THROUGH, isouter=True)
        .join(latest, latest.c.channel_id == channels.c.id, isouter=True)
        .where(meter_points.c.project_id == project_id, installs.c.removed_at_us.is_(None))
    )
    return list(connection.scalars(query))


def register_reads(
    connection: Connection, channel_id: int | None, start_us: int, end_us: int
) -> list[RegisterRead]:
    """Return a channel's good register reads around [start, end), with one beyond each side."""
    if channel_id is None:
        return []
    low, high = start_us - MARGIN_US, end_us + MARGIN_US
    rows = telemetry.rows_between(connection, channel_id, low, high)
    if not rows or rows[0].read_at_us > start_us:
        rows = [*_one(telemetry.nearest_before(connection, channel_id, low)), *rows]
    if rows and rows[-1].read_at_us < end_us:
        rows = [*rows, *_one(telemetry.nearest_after(connection, channel_id, high))]
    return [
        RegisterRead(row.read_at_us, row.count, source=source_of(channel_id, row))
        for row in rows
        if row.count is not None and row.quality in USABLE
    ]


def source_of(channel_id: int, row: Row) -> str:
    """Return where a register read can be opened again: its channel and sealed batch."""
    return f"{channel_id}:{row.batch_id.hex()}"


def _one(row: Row | None) -> Sequence[Row]:
    return () if row is None else (row,)
