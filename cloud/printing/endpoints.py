"""Routes of documents as PDF."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import Connection

from cloud.auth import Person
from cloud.errors import NotFoundError
from cloud.ledger import repository
from cloud.printing import sources
from cloud.printing.documents import Document
from cloud.printing.printer import printer_of
from cloud.printing.sources import Desk
from cloud.requests import Reading, require
from cloud.web import bill_queries

router = APIRouter(tags=["documents"])

Clerk = Annotated[Person, Depends(require("manager", "clerk"))]
Payer = Annotated[Person, Depends(require("manager", "clerk", "resident"))]
PDF: dict[int | str, dict[str, Any]] = {  # FastAPI's own type
    200: {"content": {"application/pdf": {}}, "description": "The document"}
}


@router.get("/bills/{bill_id}/pdf", response_class=Response, responses=PDF)
def get_bill_pdf(bill_id: str, person: Payer, connection: Reading, request: Request) -> Response:
    """Give a bill as PDF: your own home's if you are a resident."""
    return bill_pdf(bill_id, person, connection, request)


@router.get("/accounts/{account_id}/entries/{entry_id}/pdf", response_class=Response, responses=PDF)
def get_receipt_pdf(
    account_id: str, entry_id: int, person: Payer, connection: Reading, request: Request
) -> Response:
    """Give the receipt of an entry as PDF."""
    return receipt_pdf(account_id, entry_id, person, connection, request)


@router.get("/accounts/{account_id}/dunning-letter/pdf", response_class=Response, responses=PDF)
def get_dunning_pdf(
    account_id: str, on: date, person: Clerk, connection: Reading, request: Request
) -> Response:
    """Give a dunning letter of a day for all that an account owes now."""
    desk = desk_of(request, person)
    letter = sources.dunning_letter(connection, desk, account_id, letter_on=on)
    return pdf(desk, letter, f"dunning-{account_id}-{on}")


@router.get("/public-sheets/{period}/{pool_id}/pdf", response_class=Response, responses=PDF)
def get_sheet_pdf(
    period: str, pool_id: str, person: Clerk, connection: Reading, request: Request
) -> Response:
    """Give the public sheet of a pool and period as PDF."""
    desk = desk_of(request, person)
    return pdf(desk, sources.public_sheet(connection, desk, period, pool_id), f"{pool_id}-{period}")


def bill_pdf(bill_id: str, person: Person, connection: Connection, request: Request) -> Response:
    """Print a bill for who may see it; NotFoundError for another home's."""
    desk = desk_of(request, person)
    row = bill_queries.bill_of(connection, person.project_id, bill_id)
    if not person.is_staff and row.premise_id != person.premise_id:
        message = f"there is no bill {bill_id}"
        raise NotFoundError(message)
    return pdf(desk, sources.bill(connection, desk, bill_id), bill_id)


def receipt_pdf(
    account_id: str, entry_id: int, person: Person, connection: Connection, request: Request
) -> Response:
    """Print a receipt for who may see it; NotFoundError for another home's."""
    desk = desk_of(request, person)
    account = repository.account(connection, person.project_id, account_id)
    if not person.is_staff and account.premise_id != person.premise_id:
        message = f"account {account_id!r} is unknown"
        raise NotFoundError(message)
    found = sources.receipt(connection, desk, account_id, entry_id)
    return pdf(desk, found, found.number)


def desk_of(request: Request, person: Person) -> Desk:
    """Return where a person's documents come from."""
    return Desk(person.project_id, request.app.state.settings)


def pdf(desk: Desk, document: Document, name: str) -> Response:
    """Print a document; its name is made of letters that every system takes."""
    printer = printer_of(desk.settings.fonts, desk.settings.templates)
    plain = "".join(each if each.isascii() and each.isalnum() else "-" for each in name)
    return Response(
        printer.pdf(document),
        media_type="application/pdf",
        headers={
            "Content-Disposition": f'inline; filename="{plain}.pdf"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )
