"""Bill runs: begin one, look at what it would post, post it or drop it, bill months again."""

from contextlib import suppress
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Engine

from cloud.billing import run_repository, run_steps, runs
from cloud.billing.cycles import PERIOD
from cloud.billing.run_repository import RunKey
from cloud.billing.run_steps import Phase
from cloud.errors import NotFoundError, RefusedError
from cloud.requests import Database, Reading
from cloud.web import bill_queries, run_queries
from cloud.web.permissions import BILLING
from cloud.web.rendering import page
from cloud.web.route import PageRoute
from cloud.web.visit import OwnSite, Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

# a page waits so long for a run; a larger one goes on in the background
_PATIENCE_S: Final = 5.0

ClerkVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
Short = Annotated[str, Query(max_length=300)]
Period = Annotated[str, Form(pattern=f"^{PERIOD.pattern}$")]


@router.get("/bill-runs")
def show_runs(visit: ClerkVisit, connection: Reading, refused: Short = "") -> Response:
    """Show all runs, the months that are not billed yet, and the form to bill again."""
    found = run_queries.runs_of(connection, visit.person.project_id)
    today = visit.today
    due = run_queries.unbilled(connection, visit.person.project_id, found, today)
    billed = [run.period for run in found if run.number == 1 and run.phase == Phase.FINISHED]
    return page(visit, "runs.html", runs=found, due=due, billed=billed, refused=refused)


@router.post("/bill-runs", dependencies=[OwnSite])
def begin(visit: ClerkVisit, engine: Database, request: Request, period: Period) -> Response:
    """Begin to bill a month, as far as to look at it."""
    allow = bool(request.app.state.settings.allow_unverified_tariffs)
    today = visit.today
    try:
        if not run_queries.is_over(period, today):
            message = f"period {period}: allowed are months that are over"
            raise RefusedError(message)
        with engine.begin() as connection:
            begun = runs.start(
                connection,
                visit.person.project_id,
                period,
                allow_unverified=allow,
                by=visit.person.username,
            )
    except RefusedError:
        return RedirectResponse("/bill-runs?refused=1", 303)
    _advance(engine, begun.key, request)
    return _to(begun.key)


@router.post("/bill-runs/again", dependencies=[OwnSite])
def begin_again(
    visit: ClerkVisit,
    engine: Database,
    request: Request,
    first: Period,
    reason: Annotated[str, Form(max_length=500)],
) -> Response:
    """Begin to bill a month and all after it again, as far as to look at it."""
    allow = bool(request.app.state.settings.allow_unverified_tariffs)
    try:
        with engine.begin() as connection:
            begun = runs.start_again(
                connection,
                visit.person.project_id,
                first,
                reason=reason,
                by=visit.person.username,
                allow_unverified=allow,
            )
    except RefusedError:
        return RedirectResponse("/bill-runs?refused=1", 303)
    _advance(engine, begun.key, request)
    return _to(begun.key)


@router.get("/bill-runs/{period}/{number}")
def show_run(visit: ClerkVisit, connection: Reading, period: str, number: int) -> Response:
    """Show a run: how far it is, what it would post, or what it posted."""
    key = RunKey(visit.person.project_id, period, number)
    run = run_repository.required_run(connection, key)
    return page(
        visit,
        "run.html",
        run=run,
        progress=run_queries.progress(connection, run),
        drafts=run_queries.drafts_of(connection, key) if run.phase == Phase.DRAFTED else None,
        exceptions=bill_queries.exceptions_of(connection, key.project_id, period),
    )


@router.post("/bill-runs/{period}/{number}/post", dependencies=[OwnSite])
def post(
    visit: ClerkVisit, engine: Database, request: Request, period: str, number: int
) -> Response:
    """Post a run that was looked at."""
    key = RunKey(visit.person.project_id, period, number)
    try:
        with engine.begin() as connection:
            runs.post(connection, key)
    except RefusedError:
        return _to(key)
    _advance(engine, key, request)
    return _to(key)


@router.post("/bill-runs/{period}/{number}/discard", dependencies=[OwnSite])
def discard(visit: ClerkVisit, engine: Database, period: str, number: int) -> Response:
    """Drop a run that posted nothing."""
    try:
        with engine.begin() as connection:
            runs.discard(connection, RunKey(visit.person.project_id, period, number))
    except (RefusedError, NotFoundError):
        return RedirectResponse("/bill-runs?refused=1", 303)
    return RedirectResponse("/bill-runs", 303)


def _advance(engine: Engine, key: RunKey, request: Request) -> None:
    # tariffs that cannot be read are the background's to tell of, until they can
    with suppress(RefusedError):
        own = request.app.state.settings.tariffs
        run_steps.advance_alone(engine, key, within_s=_PATIENCE_S, own_tariffs=own)


def _to(key: RunKey) -> Response:
    return RedirectResponse(f"/bill-runs/{key.period}/{key.number}", 303)
