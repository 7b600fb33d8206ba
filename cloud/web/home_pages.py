"""A resident's own home: what is due, the bills, and the days' usage."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from fastapi import HTTPException, Response
from sqlalchemy import Connection, select

from cloud.ingest.clock_repository import waiting_readings
from cloud.metering.tables import meter_points
from cloud.sites.tables import buildings, devices, premises
from cloud.web import charts
from cloud.web.bill_queries import BillFilter, BillRow, bills_of, periods_of
from cloud.web.formats import shown_uom
from cloud.web.rendering import page
from cloud.web.usage_queries import Meter, Usage, meters_at, month_before, usage_of_month
from cloud.web.visit import Visit

_PERIODS = 12


@dataclass(frozen=True)
class Premise:
    """A home as its resident sees it."""

    id: str
    name: str
    building_name: str
    building_name_en: str
    holder: str
    area_m2: str


@dataclass(frozen=True)
class MeterUsage:
    """This month by the day beside the same days of last month."""

    service: str
    uom: str
    usage: Usage
    chart: charts.Chart
    before: Decimal | None


def show_home(visit: Visit, connection: Connection) -> Response:
    """Show a resident the bills of the newest period, older ones, and this month's usage."""
    premise = premise_of(connection, visit.person.premise_id)
    project = visit.person.project_id
    periods = periods_of(connection, project, premise.id)[:_PERIODS]
    by_period: dict[str, tuple[BillRow, ...]] = {
        period: bills_of(
            connection, project, BillFilter(period=period, premise=premise.id), limit=None
        ).rows
        for period in periods
    }
    meters = meters_at(connection, premise_id=premise.id)
    return page(
        visit,
        "home.html",
        premise=premise,
        by_period=by_period,
        newest=periods[0] if periods else None,
        meters=[_usage(visit, connection, meter) for meter in meters],
        waiting=_waiting(connection, meters),
    )


def premise_of(connection: Connection, premise_id: str | None) -> Premise:
    """Return a premise with its building; 404 for none."""
    row = connection.execute(
        select(
            premises.c.id,
            premises.c.name,
            buildings.c.name.label("building_name"),
            buildings.c.name_en,
            premises.c.holder,
            premises.c.area_m2,
        )
        .join(buildings, buildings.c.id == premises.c.building_id)
        .where(premises.c.id == premise_id)
    ).one_or_none()
    if row is None:
        raise HTTPException(404)
    return Premise(*row)


def _usage(visit: Visit, connection: Connection, meter: Meter) -> MeterUsage:
    month = visit.format.today(visit.now_us).replace(day=1)
    usage = usage_of_month(connection, meter, month, zone=visit.zone, now_us=visit.now_us)
    service = connection.scalar(
        select(meter_points.c.service).where(meter_points.c.id == meter.meter_point_id)
    )
    return MeterUsage(
        service or "",
        meter.uom,
        usage,
        charts.bars(usage, shown_uom(meter.uom), step="day"),
        _total_before(visit, connection, meter, month),
    )


def _waiting(connection: Connection, meters: Sequence[Meter]) -> int:
    # readings of the gateways of these meters that have no believable time yet
    query = select(devices.c.gateway_id).where(
        devices.c.id.in_([meter.device_id for meter in meters])
    )
    mine = set(connection.scalars(query))
    return sum(count for name, count in waiting_readings(connection).items() if name in mine)


def _total_before(
    visit: Visit, connection: Connection, meter: Meter, month: date
) -> Decimal | None:
    before = usage_of_month(
        connection, meter, month_before(month), zone=visit.zone, now_us=visit.now_us
    )
    return before.total
