"""What is done to one account: a single charge, a move out, a move in."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import RedirectResponse

from cloud.billing.single_charges import SingleCharge, charge_once
from cloud.errors import CloudError, NotFoundError
from cloud.ledger import repository, tenancies
from cloud.money import yuan_to_fen
from cloud.requests import Writing
from cloud.web.permissions import BILLING
from cloud.web.route import PageRoute
from cloud.web.visit import OwnSite, Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

ClerkVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
Word = Annotated[str, Form(max_length=80)]
Text = Annotated[str, Form(max_length=200)]
# what a clerk may charge by hand
ITEMS = ("repair", "card", "renovation", "hire", "other")


@router.post("/accounts/{account_id}/charges", dependencies=[OwnSite])
def charge(
    visit: ClerkVisit,
    connection: Writing,
    account_id: str,
    item: Word,
    description: Text,
    amount: Word,
    key: Word,
) -> Response:
    """Bill a single charge at once; sending the form again changes nothing."""
    try:
        wanted = SingleCharge(item, description, yuan_to_fen(amount.strip().replace(",", "")))
        with connection.begin_nested():
            charge_once(connection, visit.teller, account_id, wanted, key=f"page:{key}")
    except NotFoundError:
        raise
    except (CloudError, ValueError):
        return RedirectResponse(f"/accounts/{account_id}?refused=1", 303)
    return RedirectResponse(f"/accounts/{account_id}", 303)


@router.post("/accounts/{account_id}/move", dependencies=[OwnSite])
def move(
    visit: ClerkVisit,
    connection: Writing,
    account_id: str,
    on: Annotated[date, Form()],
    holder: Text = "",
) -> Response:
    """Close an account, and open one for who moves in on the same day, if somebody does."""
    project = visit.person.project_id
    held = repository.account(connection, project, account_id)
    try:
        with connection.begin_nested():
            tenancies.move_out(connection, project, account_id, on=on)
            if holder.strip():
                account_id = tenancies.move_in(
                    connection, project, held.premise_id, holder=holder, on=on
                )
    except NotFoundError:
        raise
    except CloudError:
        return RedirectResponse(f"/accounts/{account_id}?refused=1", 303)
    return RedirectResponse(f"/accounts/{account_id}", 303)
