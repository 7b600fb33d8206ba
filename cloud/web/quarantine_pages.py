"""Quarantine: what was delivered and not stored, for those who can judge it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Response
from fastapi.responses import RedirectResponse

from cloud.errors import RefusedError
from cloud.ingest import quarantine
from cloud.ingest.service import DEADLY
from cloud.requests import Reading, Writing
from cloud.web.paging import MOST, Pager, offset_of
from cloud.web.permissions import QUARANTINE
from cloud.web.rendering import page
from cloud.web.route import PageRoute
from cloud.web.visit import OwnSite, Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE = 50
SHOWN = 200

Judge = Annotated[Visit, Depends(visit_of(*QUARANTINE))]


@router.get("/quarantine")
def show_quarantine(
    visit: Judge,
    connection: Reading,
    page_number: Annotated[int, Query(alias="page", ge=1, le=MOST)] = 1,
) -> Response:
    """Show what waits for a decision, then what was decided."""
    found, total = quarantine.items(
        connection,
        project_id=visit.person.project_id,
        offset=offset_of(page_number, PAGE),
        limit=PAGE,
    )
    pager = Pager("/quarantine", {}, page_number, PAGE, total)
    return page(visit, "quarantine.html", rows=found, pager=pager)


@router.get("/quarantine/{number}")
def show_item(visit: Judge, connection: Reading, number: int, refused: str = "") -> Response:
    """Show one thing: why it is here, what it holds, what can be done."""
    item = quarantine.item(connection, number, visit.person.project_id)
    inside = quarantine.contents(connection, number)
    return page(
        visit,
        "quarantine_item.html",
        item=item,
        readings=inside.readings[:SHOWN],
        total=len(inside.readings),
        events=len(inside.events),
        problem=inside.problem,
        deadly=inside.problem == DEADLY,
        clock_quality=inside.clock_quality,
        replaces=inside.replaces,
        head=inside.body[:64].hex(" "),
        refused=refused[:300],
    )


@router.post("/quarantine/{number}/replay", dependencies=[OwnSite])
def replay(visit: Judge, connection: Writing, number: int) -> Response:
    """Store what can be read now and was not stored before."""
    quarantine.item(connection, number, visit.person.project_id)
    try:
        quarantine.replay(connection, number, by=visit.person.username, now_us=visit.now_us)
    except RefusedError:
        return RedirectResponse(f"/quarantine/{number}?refused=1", 303)
    return RedirectResponse(f"/quarantine/{number}", 303)


@router.post("/quarantine/{number}/discard", dependencies=[OwnSite])
def discard(
    visit: Judge,
    connection: Writing,
    number: int,
    note: Annotated[str, Form(min_length=1, max_length=500)],
) -> Response:
    """Note that it is of no use, and why."""
    quarantine.item(connection, number, visit.person.project_id)
    try:
        quarantine.discard(
            connection, number, by=visit.person.username, note=note, now_us=visit.now_us
        )
    except RefusedError:
        return RedirectResponse(f"/quarantine/{number}?refused=1", 303)
    return RedirectResponse(f"/quarantine/{number}", 303)
