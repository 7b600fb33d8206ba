"""Documents that pages link to: a bill, a receipt again, a dunning letter, a public sheet."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Response

from cloud.errors import NotFoundError, RefusedError
from cloud.printing import sources
from cloud.printing.endpoints import bill_pdf, desk_of, pdf, receipt_pdf
from cloud.requests import Reading
from cloud.web import sheet_queries
from cloud.web.permissions import BILLING, SHEETS
from cloud.web.route import PageRoute
from cloud.web.visit import Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

ClerkVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
SheetVisit = Annotated[Visit, Depends(visit_of(*SHEETS))]


@router.get("/bills/{bill_id}/pdf")
def print_bill(bill_id: str, visit: SheetVisit, connection: Reading) -> Response:
    """Give a bill as PDF; another home's bill is not there."""
    return _printed(lambda: bill_pdf(bill_id, visit.person, connection, visit.request))


@router.get("/accounts/{account_id}/entries/{entry_id}/pdf")
def print_receipt(
    account_id: str, entry_id: int, visit: SheetVisit, connection: Reading
) -> Response:
    """Give a receipt once more; another home's receipt is not there."""
    return _printed(
        lambda: receipt_pdf(account_id, entry_id, visit.person, connection, visit.request)
    )


@router.get("/accounts/{account_id}/dunning-letter/pdf")
def print_dunning_letter(account_id: str, visit: ClerkVisit, connection: Reading) -> Response:
    """Give a letter of today for all that an account owes."""
    today = visit.today

    def printed() -> Response:
        desk = desk_of(visit.request, visit.person)
        letter = sources.dunning_letter(connection, desk, account_id, letter_on=today)
        return pdf(desk, letter, f"dunning-{account_id}-{today}")

    return _printed(printed)


@router.get("/bill-sheets/{period}/{pool_id}/pdf")
def print_sheet(period: str, pool_id: str, visit: SheetVisit, connection: Reading) -> Response:
    """Give a public sheet; a resident has those that the home has a share in."""
    person = visit.person
    own = person.premise_id or "-" if not person.is_staff else ""
    held = sheet_queries.statements_of(connection, person.project_id, period, premise_id=own)
    if pool_id not in {each.pool_id for each in held}:
        message = f"pool {pool_id!r} has no public sheet of {period}"
        raise NotFoundError(message)

    def printed() -> Response:
        desk = desk_of(visit.request, person)
        sheet = sources.public_sheet(connection, desk, period, pool_id)
        return pdf(desk, sheet, f"{pool_id}-{period}")

    return _printed(printed)


def _printed(print_it: Callable[[], Response]) -> Response:
    # what cannot be printed as it stands is told as a page
    try:
        return print_it()
    except RefusedError as error:
        raise HTTPException(400) from error
