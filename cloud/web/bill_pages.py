"""Bills: the period's table, one bill opened down to the words, public sheets."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Response

from cloud.billing.cycles import PERIOD
from cloud.billing.evidence import evidence_of
from cloud.requests import Reading
from cloud.web import bill_queries as queries
from cloud.web import sheet_queries
from cloud.web.bill_csv import bills_csv
from cloud.web.bill_queries import BillFilter
from cloud.web.bill_view import open_items, tariff_face
from cloud.web.paging import MOST, Pager, offset_of
from cloud.web.permissions import BILLING, SHEETS
from cloud.web.rendering import HEADERS, page
from cloud.web.route import PageRoute
from cloud.web.site_queries import buildings_of
from cloud.web.visit import Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)


ClerkVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
SheetVisit = Annotated[Visit, Depends(visit_of(*SHEETS))]
Short = Annotated[str, Query(max_length=100)]


def wanted_bills(
    visit: SheetVisit,
    connection: Reading,
    period: Short = "",
    building: Short = "",
    service: Short = "",
    text: Short = "",
) -> BillFilter:
    """Return the filter of the address: the newest period by default, a resident's own home."""
    own = visit.person.premise_id or "-" if not visit.person.is_staff else ""
    periods = queries.periods_of(connection, visit.person.project_id, own)
    if not PERIOD.fullmatch(period):
        period = periods[0] if periods and not own else ""
    return BillFilter(period, building, service, text.strip(), own)


Wanted = Annotated[BillFilter, Depends(wanted_bills)]


@router.get("/bills")
def show_bills(
    visit: SheetVisit,
    connection: Reading,
    wanted: Wanted,
    sort: Short = "",
    page_number: Annotated[int, Query(alias="page", ge=1, le=MOST)] = 1,
) -> Response:
    """Show the bills that match, their sum, and how the period's bill run went."""
    project = visit.person.project_id
    found = queries.bills_of(
        connection, project, wanted, offset=offset_of(page_number, queries.PAGE), sort=sort
    )
    filters = {
        "period": wanted.period,
        "building": wanted.building,
        "service": wanted.service,
        "text": wanted.text,
        "sort": sort,
    }
    clerk = visit.person.role in BILLING
    return page(
        visit,
        "bills.html",
        found=found,
        filters=filters,
        clerk=clerk,
        periods=queries.periods_of(connection, project, wanted.premise),
        buildings=buildings_of(connection, project),
        run=queries.run_of(connection, project, wanted.period) if clerk else None,
        exceptions=queries.exceptions_of(connection, project, wanted.period) if clerk else (),
        pager=Pager("/bills", filters, page_number, queries.PAGE, found.total),
    )


@router.get("/bills.csv")
def export_bills(visit: ClerkVisit, connection: Reading, wanted: Wanted) -> Response:
    """Give the bills that match as a CSV file that spreadsheets open as it is."""
    found = queries.bills_of(connection, visit.person.project_id, wanted, limit=None)
    name = f"bills-{wanted.period or 'all'}.csv"
    return Response(
        bills_csv(visit, found.rows),
        headers={**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'},
        media_type="text/csv; charset=utf-8",
    )


@router.get("/bills/{bill_id}")
def show_bill(bill_id: str, visit: SheetVisit, connection: Reading) -> Response:
    """Show one bill and why it is this amount; another home's bill is not there."""
    bill = queries.bill_of(connection, visit.person.project_id, bill_id)
    if not visit.person.is_staff and bill.premise_id != visit.person.premise_id:
        raise HTTPException(404)
    evidence = evidence_of(connection, bill_id)
    items = queries.items_of(connection, bill_id)
    return page(
        visit,
        "bill.html",
        bill=bill,
        items=open_items(items, evidence),
        tariff=tariff_face(evidence.tariff_text),
        sheets={
            sheet.pool_id: sheet
            for sheet in sheet_queries.statements_of(
                connection, visit.person.project_id, bill.period, premise_id=bill.premise_id
            )
        },
    )


@router.get("/bill-sheets")
def show_newest_sheets(visit: SheetVisit, connection: Reading) -> Response:
    """Show the newest period's public sheets."""
    periods = sheet_queries.sheet_periods(connection, visit.person.project_id)
    return _sheets(visit, connection, periods[0] if periods else "", periods)


@router.get("/bill-sheets/{period}")
def show_sheets(period: str, visit: SheetVisit, connection: Reading) -> Response:
    """Show a period's public sheets; a resident sees those that the home has a share in."""
    periods = sheet_queries.sheet_periods(connection, visit.person.project_id)
    if period not in periods:
        raise HTTPException(404)
    return _sheets(visit, connection, period, periods)


def _sheets(visit: Visit, connection: Reading, period: str, periods: list[str]) -> Response:
    own = visit.person.premise_id or "-" if not visit.person.is_staff else ""
    sheets = sheet_queries.statements_of(
        connection, visit.person.project_id, period, premise_id=own
    )
    return page(visit, "sheets.html", period=period, periods=periods, sheets=sheets, own=own)
