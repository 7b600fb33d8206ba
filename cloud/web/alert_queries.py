"""Alerts with the names of what they are about."""

from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from cloud.alerts.tables import alert_rules, alerts
from cloud.sites.tables import buildings, devices, gateways, users

PAGE: Final = 50

# open ones first, of those the critical, then the newest
_ORDER: Final = (
    alerts.c.cleared_us.is_not(None),
    case((and_(alerts.c.cleared_us.is_(None), alerts.c.severity == "critical"), 0), else_=1),
    alerts.c.raised_us.desc(),
    alerts.c.id.desc(),
)


class Detail(msgspec.Struct, frozen=True):
    """The numbers of an alert's message; which are there depends on its kind."""

    value: str | int | float | None = None
    limit: str | int | float | None = None
    flow: str | int | float | None = None
    night: str | None = None
    uom: str = ""
    point: str = ""
    since_us: int | None = None
    before: str | None = None
    after: str | None = None
    bus: str = ""
    count: int | None = None
    reason: str | None = None
    step: str | None = None


@dataclass(frozen=True)
class AlertRow:
    """An alert, what it is about and what became of it."""

    id: int
    kind: str
    severity: str
    rule_name: str | None
    rule_name_en: str | None
    device_id: str | None
    device_name: str | None
    device_name_en: str | None
    building_name: str | None
    building_name_en: str | None
    gateway_name: str | None
    detail: Detail
    raised_us: int
    acknowledged_us: int | None
    acknowledged_by: str | None
    cleared_us: int | None


@dataclass(frozen=True)
class AlertPage:
    """Some alerts of a longer list."""

    rows: tuple[AlertRow, ...]
    total: int


def alerts_of(
    connection: Connection,
    project_id: str,
    *,
    state: str = "",
    kind: str = "",
    text: str = "",
    device_id: str = "",
    offset: int = 0,
    limit: int = PAGE,
) -> AlertPage:
    """Return alerts in the order of pages; state is open, closed or both."""
    wanted: list[ColumnElement[bool]] = [alerts.c.project_id == project_id]
    if state == "open":
        wanted.append(alerts.c.cleared_us.is_(None))
    elif state == "closed":
        wanted.append(alerts.c.cleared_us.is_not(None))
    if kind:
        wanted.append(alerts.c.kind == kind)
    if device_id:
        wanted.append(alerts.c.device_id == device_id)
    if text:
        wanted.append(
            or_(
                *(
                    column.icontains(text, autoescape=True)
                    for column in (devices.c.name, devices.c.name_en, gateways.c.name)
                )
            )
        )
    joined = (
        alerts.outerjoin(alert_rules, alert_rules.c.id == alerts.c.rule_id)
        .outerjoin(devices, devices.c.id == alerts.c.device_id)
        .outerjoin(buildings, buildings.c.id == devices.c.building_id)
        .outerjoin(gateways, gateways.c.id == alerts.c.gateway_id)
        .outerjoin(users, users.c.username == alerts.c.acknowledged_by)
    )
    total = connection.scalar(select(func.count()).select_from(joined).where(*wanted)) or 0
    query = (
        select(
            alerts,
            alert_rules.c.name.label("rule_name"),
            alert_rules.c.name_en.label("rule_name_en"),
            devices.c.name.label("device_name"),
            devices.c.name_en.label("device_name_en"),
            buildings.c.name.label("building_name"),
            buildings.c.name_en.label("building_name_en"),
            gateways.c.name.label("gateway_name"),
            users.c.name.label("person_name"),
        )
        .select_from(joined)
        .where(*wanted)
        .order_by(*_ORDER)
        .offset(offset)
        .limit(limit)
    )
    rows = tuple(
        AlertRow(
            row.id,
            row.kind,
            row.severity,
            row.rule_name,
            row.rule_name_en,
            row.device_id,
            row.device_name,
            row.device_name_en,
            row.building_name,
            row.building_name_en,
            row.gateway_name,
            _detail(row.detail),
            row.raised_us,
            row.acknowledged_us,
            row.person_name or row.acknowledged_by,
            row.cleared_us,
        )
        for row in connection.execute(query)
    )
    return AlertPage(rows, total)


def open_mark(connection: Connection, project_id: str) -> tuple[int, str]:
    """Return how many alerts are open, and a mark that changes whenever that list does."""
    row = connection.execute(
        select(
            func.count(),
            func.max(alerts.c.id),
            func.count(alerts.c.acknowledged_us),
        ).where(alerts.c.project_id == project_id, alerts.c.cleared_us.is_(None))
    ).one()
    return row[0], f"{row[0]}-{row[1] or 0}-{row[2]}"


def _detail(text: str) -> Detail:
    try:
        return msgspec.json.decode(text, type=Detail)
    except msgspec.MsgspecError:
        return Detail()
