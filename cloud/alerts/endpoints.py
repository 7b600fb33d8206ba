"""Routes of alerts."""

import json
import time
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy import select

from cloud.alerts import repository
from cloud.alerts.schemas import AlertOut
from cloud.alerts.tables import alerts
from cloud.auth import Person
from cloud.errors import NotFoundError
from cloud.paging import Limit, Page, page
from cloud.requests import Reading, Staff, Writing, require
from protocols.delivery.records import instant

router = APIRouter(tags=["alerts"])

Acknowledger = Annotated[Person, Depends(require("manager", "maintenance", "guard", "integrator"))]


@router.get("/alerts")
def list_alerts(
    person: Staff,
    connection: Reading,
    *,
    open: bool | None = None,  # noqa: A002 - the query's name
    after: int = 0,
    limit: Limit = 100,
) -> Page[AlertOut]:
    """List the alerts of your project, newest first; `after` is an id."""
    query = select(alerts).where(alerts.c.project_id == person.project_id)
    if open is not None:
        query = query.where(alerts.c.cleared_us.is_(None) == open)
    if after:
        query = query.where(alerts.c.id < after)
    found = [
        AlertOut(
            id=row.id,
            kind=row.kind,
            severity=row.severity,
            rule=row.rule_id,
            gateway=row.gateway_id,
            device=row.device_id,
            detail=json.loads(row.detail),
            raised_at=instant(row.raised_us),
            acknowledged_at=_instant(row.acknowledged_us),
            acknowledged_by=row.acknowledged_by,
            cleared_at=_instant(row.cleared_us),
        )
        for row in connection.execute(query.order_by(alerts.c.id.desc()).limit(limit + 1))
    ]
    return page(found, limit, "id")


@router.post("/alerts/{alert_id}/acknowledge", status_code=204)
def acknowledge_alert(alert_id: int, person: Acknowledger, connection: Writing) -> None:
    """Note that you have seen an alert; who was first stays noted."""
    now_us = time.time_ns() // 1000
    if not repository.acknowledge(connection, alert_id, person.project_id, person.name, now_us):
        message = f"alert {alert_id} is unknown"
        raise NotFoundError(message)


def _instant(at_us: int | None) -> datetime | None:
    return None if at_us is None else instant(at_us)
