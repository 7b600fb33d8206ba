"""The first screen of the staff: what is wrong, how much flows, and every device in brief."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response
from sqlalchemy import Connection

from cloud.auth import ROLES, STAFF
from cloud.requests import Reading
from cloud.web import charts, home_pages
from cloud.web.alert_queries import AlertRow, alerts_of, open_mark
from cloud.web.permissions import ACKNOWLEDGE, LOAD, sees_values
from cloud.web.rendering import page
from cloud.web.route import PageRoute
from cloud.web.site_queries import (
    Building,
    DeviceRow,
    buildings_of,
    count_states,
    devices_of,
    gateways_of,
    load_of,
    master_devices,
)
from cloud.web.states import rank
from cloud.web.usage_queries import curve
from cloud.web.visit import Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

# the coarsest reads in use: a finer bucket would show gaps between them
_BUCKET_US: Final = 15 * 60_000_000
_DAY_US: Final = 24 * 3_600_000_000
_SHOWN_ALERTS: Final = 8

AnyVisit = Annotated[Visit, Depends(visit_of(*ROLES))]
StaffVisit = Annotated[Visit, Depends(visit_of(*STAFF))]


@dataclass(frozen=True)
class Group:
    """A building with its devices, the abnormal first."""

    building: Building
    rows: tuple[DeviceRow, ...]

    @property
    def is_normal(self) -> bool:
        """Say whether nothing needs attention here."""
        return all(row.state == "normal" for row in self.rows)


@dataclass(frozen=True)
class OpenAlerts:
    """The newest open alerts, and a mark that changes with the list."""

    rows: tuple[AlertRow, ...]
    total: int
    mark: str
    may_acknowledge: bool


@router.get("/")
def show_first_screen(visit: AnyVisit, connection: Reading) -> Response:
    """Show residents their home and staff the site."""
    if not visit.person.is_staff:
        return home_pages.show_home(visit, connection)
    rows = devices_of(connection, visit.person.project_id, now_us=visit.now_us)
    masters = master_devices(connection, visit.person.project_id)
    return page(
        visit,
        "overview.html",
        groups=_groups(buildings_of(connection, visit.person.project_id), rows),
        counts=count_states(rows),
        gateways=gateways_of(connection, visit.person.project_id, now_us=visit.now_us),
        load=load_of(rows, masters),
        chart=_load_chart(connection, masters, visit.now_us) if visit.person.role in LOAD else None,
        sees=lambda row: sees_values(visit.person, row.premise_id),
        open_alerts=_open_alerts(visit, connection),
    )


@router.get("/overview/alerts")
def show_open_alerts(visit: StaffVisit, connection: Reading) -> Response:
    """Give the list of open alerts alone, for the page to put in place."""
    return page(visit, "open_alerts.html", open_alerts=_open_alerts(visit, connection))


def _open_alerts(visit: Visit, connection: Connection) -> OpenAlerts:
    project = visit.person.project_id
    found = alerts_of(connection, project, state="open", limit=_SHOWN_ALERTS)
    _, mark = open_mark(connection, project)
    return OpenAlerts(found.rows, found.total, mark, visit.person.role in ACKNOWLEDGE)


def _groups(buildings: list[Building], rows: list[DeviceRow]) -> list[Group]:
    known = {building.id for building in buildings}
    places = [*buildings, Building("", "", "")]
    groups = []
    for place in places:
        mine = [
            row
            for row in rows
            if row.building_id == place.id or (place.id == "" and row.building_id not in known)
        ]
        if mine:
            mine.sort(key=lambda row: (rank(row.state), row.id))
            groups.append(Group(place, tuple(mine)))
    return groups


def _load_chart(connection: Connection, masters: list[str], now_us: int) -> charts.Chart | None:
    if not masters:
        return None
    end = now_us // _BUCKET_US * _BUCKET_US
    samples = curve(
        connection,
        masters,
        "active_power",
        start_us=end - _DAY_US,
        end_us=end,
        bucket_us=_BUCKET_US,
    )
    return charts.line(samples, "kW", end_us=end)
