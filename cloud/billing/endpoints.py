"""Routes of bills and bill runs."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import Row, select

from cloud.auth import Person
from cloud.billing import bundle, evidence, runs
from cloud.billing.bill_tables import bills, line_items
from cloud.billing.run_repository import Run
from cloud.billing.schemas import (
    BillOut,
    BillRunIn,
    BillRunOut,
    BillWithItems,
    LineItemOut,
    RevisionIn,
)
from cloud.errors import NotFoundError
from cloud.money import fen_to_yuan
from cloud.paging import Cursor, Limit, Page, page
from cloud.requests import Database, Reading, require
from protocols.delivery.records import instant

router = APIRouter(tags=["billing"])

Clerk = Annotated[Person, Depends(require("manager", "clerk"))]
Payer = Annotated[Person, Depends(require("manager", "clerk", "resident"))]


@router.get("/bills")
def list_bills(
    person: Payer,
    connection: Reading,
    period: Annotated[str | None, Query(pattern=r"^\d{4}-\d\d$")] = None,
    after: Cursor = "",
    limit: Limit = 100,
) -> Page[BillOut]:
    """List bills: all of your project, or your own home's if you are a resident."""
    query = select(bills).where(_mine(person), bills.c.id > after)
    if period is not None:
        query = query.where(bills.c.period == period)
    rows = connection.execute(query.order_by(bills.c.id).limit(limit + 1))
    return page([BillOut(**_fields(row)) for row in rows], limit, "id")


@router.get("/bills/{bill_id}")
def get_bill(bill_id: str, person: Payer, connection: Reading) -> BillWithItems:
    """Give a bill with its line items."""
    row = _bill(connection, bill_id, person)
    items = connection.execute(
        select(line_items).where(line_items.c.bill_id == bill_id).order_by(line_items.c.position)
    )
    return BillWithItems(
        **_fields(row),
        tariff=row.tariff_id,
        line_items=[
            LineItemOut(
                code=item.code,
                description=item.description,
                description_en=item.description_en,
                quantity=item.quantity,
                uom=item.uom,
                unit_price=item.unit_price,
                amount=fen_to_yuan(item.amount_fen),
                formula=item.formula,
            )
            for item in items
        ],
    )


@router.get("/bills/{bill_id}/evidence")
def get_evidence(bill_id: str, person: Payer, connection: Reading) -> Response:
    """Open a bill down to the register reads and the raw words of the meter."""
    _bill(connection, bill_id, person)
    opened = evidence.evidence_of(connection, bill_id)
    return Response(evidence.to_json(opened), media_type="application/json")


@router.get("/bills/{bill_id}/bundle")
def get_bundle(
    bill_id: str, person: Payer, connection: Reading, *, hours: bool = False
) -> Response:
    """Give all that a bill stands on as one file, from which anybody computes it anew.

    `hours` adds the register of every hour to a bill by time of use: megabytes.
    """
    _bill(connection, bill_id, person)
    raw = bundle.bundle_of(connection, bill_id, hours=hours)
    return Response(raw, media_type="application/json")


@router.post("/bill-runs")
def run_bills(wanted: BillRunIn, person: Clerk, engine: Database, request: Request) -> BillRunOut:
    """Bill a month of your project; a month that was billed stays as it is."""
    allow = bool(request.app.state.settings.allow_unverified_tariffs)
    own = request.app.state.settings.tariffs
    if wanted.dry_run:
        with engine.begin() as connection:
            drawn = runs.draft(
                connection,
                person.project_id,
                wanted.period,
                allow_unverified=allow,
                own_tariffs=own,
            )
        return BillRunOut(
            period=wanted.period,
            bills=drawn.bills,
            held=len(drawn.held),
            total=fen_to_yuan(drawn.total_fen),
            posted=False,
        )
    done = runs.run(
        engine,
        person.project_id,
        wanted.period,
        allow_unverified=allow,
        by=person.username,
        own_tariffs=own,
    )
    return _run_out(done)


@router.post("/bill-revisions")
def revise_bills(
    wanted: RevisionIn, person: Clerk, engine: Database, request: Request
) -> BillRunOut:
    """Bill a month and all after it again: what comes out otherwise is credited, posted anew."""
    done = runs.revise(
        engine,
        person.project_id,
        wanted.first,
        reason=wanted.reason,
        by=person.username,
        allow_unverified=bool(request.app.state.settings.allow_unverified_tariffs),
        own_tariffs=request.app.state.settings.tariffs,
    )
    return _run_out(done)


def _run_out(done: Run) -> BillRunOut:
    return BillRunOut(
        period=done.period,
        bills=done.bills,
        credits=done.credits,
        held=done.held,
        total=fen_to_yuan(done.total_fen),
        posted=True,
    )


def _bill(connection: Reading, bill_id: str, person: Person) -> Row[Any]:
    row = connection.execute(
        select(bills).where(_mine(person), bills.c.id == bill_id)
    ).one_or_none()
    if row is None:
        message = f"bill {bill_id!r} is unknown"
        raise NotFoundError(message)
    return row


def _mine(person: Person) -> Any:  # noqa: ANN401 - SQLAlchemy's own expression type
    if person.is_staff:
        return bills.c.project_id == person.project_id
    return bills.c.premise_id == person.premise_id


def _fields(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "number": row.number,
        "account": row.account_id,
        "premise": row.premise_id,
        "holder": row.holder,
        "service": row.service,
        "period": row.period,
        "revision": row.revision,
        "from_on": row.from_on,
        "to_on": row.to_on,
        "quantity": row.quantity,
        "estimated": bool(row.estimated),
        "total": fen_to_yuan(row.total_fen),
        "posted_at": instant(row.posted_us),
    }
