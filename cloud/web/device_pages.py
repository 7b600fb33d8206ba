"""Devices: the list, and one device with its values, its days and its months."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from sqlalchemy import Connection, select

from cloud.alerts.tables import alert_rules
from cloud.auth import STAFF
from cloud.commands.permissions import MAY_ASK
from cloud.ingest.clock_repository import waiting_readings
from cloud.requests import Reading
from cloud.telemetry.repository import latest_of
from cloud.web import charts
from cloud.web.alert_queries import alerts_of
from cloud.web.bill_queries import BillFilter, bills_of
from cloud.web.formats import midnight_us, shown_uom
from cloud.web.paging import MOST, Pager, offset_of
from cloud.web.permissions import BILLING, DAILY, LOAD, sees_values
from cloud.web.rendering import page
from cloud.web.route import PageRoute
from cloud.web.site_queries import DeviceRow, buildings_of, count_states, devices_of
from cloud.web.states import late_after_us, rank
from cloud.web.usage_queries import (
    Meter,
    curve,
    meters_at,
    month_before,
    next_month,
    usage_of_day,
    usage_of_month,
)
from cloud.web.visit import Visit, visit_of
from protocols.commands import Action

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE: Final = 50
# the coarsest reads in use: a finer bucket would show gaps between them
_BUCKET_US: Final = 15 * 60_000_000
_RECENT_BILLS: Final = 6

StaffVisit = Annotated[Visit, Depends(visit_of(*STAFF))]
Short = Annotated[str, Query(max_length=100)]


@router.get("/devices")
def show_devices(
    visit: StaffVisit,
    connection: Reading,
    text: Short = "",
    building: Short = "",
    state: Short = "",
    sort: Short = "",
    page_number: Annotated[int, Query(alias="page", ge=1, le=MOST)] = 1,
) -> Response:
    """Show the devices that match, the abnormal first unless sorted otherwise."""
    rows = devices_of(connection, visit.person.project_id, now_us=visit.now_us)
    places = buildings_of(connection, visit.person.project_id)
    near = [row for row in rows if _matches(row, text.strip(), building)]
    found = [row for row in near if not state or row.state == state]
    found.sort(key=_SORTS.get(sort, _SORTS["state"]))
    filters = {"text": text, "building": building, "state": state, "sort": sort}
    pager = Pager("/devices", filters, page_number, PAGE, len(found))
    start = offset_of(page_number, PAGE)
    return page(
        visit,
        "devices.html",
        rows=found[start : start + PAGE],
        counts=count_states(near),
        buildings=places,
        building_names={place.id: visit.name(place.name, place.name_en) for place in places},
        pager=pager,
        filters=filters,
        sees=lambda row: sees_values(visit.person, row.premise_id),
    )


@router.get("/devices/{device_id}")
def show_device(
    device_id: str,
    visit: StaffVisit,
    connection: Reading,
    day: date | None = None,
    month: date | None = None,
) -> Response:
    """Show one device; who may not see its load sees its state, age and quality only."""
    found = devices_of(connection, visit.person.project_id, now_us=visit.now_us, only=device_id)
    if not found:
        raise HTTPException(404)
    device = found[0]
    today = visit.format.today(visit.now_us)
    on = min(day or today, today)
    first = min((month or on).replace(day=1), today.replace(day=1))
    meter = next(iter(meters_at(connection, device_id=device_id)), None)
    sees = sees_values(visit.person, device.premise_id)
    curves, daily = visit.person.role in LOAD, visit.person.role in DAILY
    return page(
        visit,
        "device.html",
        device=device,
        building=next(
            (
                p
                for p in buildings_of(connection, visit.person.project_id)
                if p.id == device.building_id
            ),
            None,
        ),
        readings=latest_of(connection, [device_id]),
        waiting=waiting_readings(connection).get(device.gateway_id, 0),
        late_us=late_after_us(device.period_s),
        meter=meter,
        sees=sees,
        may_read=visit.person.role in MAY_ASK[Action.READ_NOW],
        curves=curves,
        daily=daily,
        today=today,
        day=on,
        day_before=on - timedelta(days=1),
        day_after=on + timedelta(days=1),
        month=first,
        month_before=month_before(first),
        month_after=next_month(first),
        day_chart=_day_chart(visit, connection, meter, on) if curves else None,
        curve_chart=_curve(visit, connection, device, on) if curves else None,
        month_chart=_month_chart(visit, connection, meter, first) if daily else None,
        alerts=alerts_of(connection, visit.person.project_id, device_id=device_id, limit=10),
        bills=_bills(visit, connection, device),
    )


_SORTS: Final = {
    "state": lambda row: (rank(row.state), row.building_id or "", row.id),
    "name": lambda row: (row.building_id or "", row.id),
    "value": lambda row: (-(row.value or Decimal(-1)), row.id),
    "age": lambda row: (row.newest_us or 0, row.id),
}


def _matches(row: DeviceRow, text: str, building: str) -> bool:
    if building and row.building_id != building:
        return False
    words = (row.id, row.name, row.name_en, row.premise_name or "", row.holder or "")
    return not text or any(text.lower() in word.lower() for word in words)


def _day_chart(
    visit: Visit, connection: Connection, meter: Meter | None, day: date
) -> charts.Chart | None:
    if meter is None:
        return None
    usage = usage_of_day(connection, meter, day, zone=visit.zone, now_us=visit.now_us)
    return charts.bars(usage, shown_uom(meter.uom), step="hour")


def _month_chart(
    visit: Visit, connection: Connection, meter: Meter | None, month: date
) -> charts.Chart | None:
    if meter is None:
        return None
    usage = usage_of_month(connection, meter, month, zone=visit.zone, now_us=visit.now_us)
    return charts.bars(usage, shown_uom(meter.uom), step="day")


def _curve(
    visit: Visit, connection: Connection, device: DeviceRow, day: date
) -> charts.Chart | None:
    point = "active_power" if device.medium == "electricity" else "flow_rate"
    start = midnight_us(day, visit.zone)
    end = midnight_us(day + timedelta(days=1), visit.zone)
    samples = curve(
        connection, [device.id], point, start_us=start, end_us=end, bucket_us=_BUCKET_US
    )
    if all(sample.value is None for sample in samples):
        return None
    limit, name = _limit(visit, connection, device, point)
    uom = "kW" if point == "active_power" else "m³/h"
    return charts.line(samples, uom, end_us=end, limit=limit, limit_name=name)


def _limit(
    visit: Visit, connection: Connection, device: DeviceRow, point: str
) -> tuple[Decimal | None, str]:
    rules = connection.execute(
        select(alert_rules).where(
            alert_rules.c.project_id == visit.person.project_id,
            alert_rules.c.kind == "threshold",
            alert_rules.c.point == point,
        )
    )
    for rule in rules:
        if not rule.devices or device.id in rule.devices.split():
            limit = Decimal(rule.raise_at)
            shown = limit.scaleb(-3) if point == "active_power" else limit
            return shown, visit.name(rule.name, rule.name_en)
    return None, ""


def _bills(visit: Visit, connection: Connection, device: DeviceRow) -> object:
    if visit.person.role not in BILLING or device.premise_id is None:
        return ()
    wanted = BillFilter(premise=device.premise_id)
    return bills_of(connection, visit.person.project_id, wanted, limit=_RECENT_BILLS).rows
