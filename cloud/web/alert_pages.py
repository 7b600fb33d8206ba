"""Alerts: open ones first, acknowledged by a person, history by the page."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Response
from fastapi.responses import RedirectResponse

from cloud.alerts import repository
from cloud.auth import STAFF
from cloud.errors import NotFoundError
from cloud.requests import Reading, Writing
from cloud.web import alert_queries
from cloud.web.paging import MOST, Pager, offset_of
from cloud.web.permissions import ACKNOWLEDGE
from cloud.web.rendering import page
from cloud.web.route import PageRoute
from cloud.web.visit import OwnSite, Visit, own_path, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

StaffVisit = Annotated[Visit, Depends(visit_of(*STAFF))]
Short = Annotated[str, Query(max_length=100)]


@router.get("/alerts")
def show_alerts(
    visit: StaffVisit,
    connection: Reading,
    state: Short = "",
    kind: Short = "",
    text: Short = "",
    page_number: Annotated[int, Query(alias="page", ge=1, le=MOST)] = 1,
) -> Response:
    """Show the alerts that match."""
    found = alert_queries.alerts_of(
        connection,
        visit.person.project_id,
        state=state,
        kind=kind,
        text=text.strip(),
        offset=offset_of(page_number, alert_queries.PAGE),
    )
    open_total, _ = alert_queries.open_mark(connection, visit.person.project_id)
    filters = {"state": state, "kind": kind, "text": text}
    return page(
        visit,
        "alerts.html",
        rows=found.rows,
        open_total=open_total,
        pager=Pager("/alerts", filters, page_number, alert_queries.PAGE, found.total),
        filters=filters,
        may_acknowledge=visit.person.role in ACKNOWLEDGE,
    )


@router.post("/alerts/{alert_id}/acknowledge", dependencies=[OwnSite])
def acknowledge(
    alert_id: int,
    visit: Annotated[Visit, Depends(visit_of(*ACKNOWLEDGE))],
    connection: Writing,
    next: Annotated[str, Form(max_length=500)] = "/alerts",  # noqa: A002  # the form says next
) -> Response:
    """Note that this person has seen the alert, and go back."""
    person = visit.person
    if not repository.acknowledge(
        connection, alert_id, person.project_id, person.username, visit.now_us
    ):
        message = f"there is no alert {alert_id}"
        raise NotFoundError(message)
    return RedirectResponse(own_path(next), 303)
