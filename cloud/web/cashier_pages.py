"""The cashier's desk: find an account, take a payment, ask for a relief, see what came in."""

import secrets
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from cloud.billing.cycles import PERIOD
from cloud.discounts.repository import assignments_of, plans_of
from cloud.errors import CloudError, NotFoundError
from cloud.ledger import approvals, reports, repository, service
from cloud.ledger.approvals import Ask
from cloud.ledger.entries import Book
from cloud.ledger.reports import By
from cloud.ledger.service import CHANNELS
from cloud.money import fen_to_yuan, yuan_to_fen
from cloud.payments.endpoints import SetUp
from cloud.payments.repository import notices_unentered, orders_of_account
from cloud.requests import Reading, Writing
from cloud.web import cashier_queries as queries
from cloud.web.paging import MOST, Pager, offset_of
from cloud.web.permissions import BILLING
from cloud.web.rendering import page
from cloud.web.reports import NAMES
from cloud.web.route import PageRoute
from cloud.web.visit import OwnSite, Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_ORDERS: Final = 10
# reports are grouped by these
_GROUPS: Final[dict[str, tuple[By, ...]]] = {
    "item": ("period", "item"),
    "building": ("building", "item"),
    "account": ("account",),
}

CashierVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
Short = Annotated[str, Query(max_length=100)]
Amount = Annotated[str, Form(max_length=20)]
Word = Annotated[str, Form(max_length=80)]


@router.get("/cashier")
def show_desk(
    visit: CashierVisit,
    connection: Reading,
    text: Short = "",
    page_number: Annotated[int, Query(alias="page", ge=1, le=MOST)] = 1,
) -> Response:
    """Show the accounts that match, who owes most first, and what came in today."""
    project = visit.person.project_id
    offset = offset_of(page_number, queries.PAGE)
    found = queries.accounts_like(connection, project, text.strip(), offset=offset)
    today = visit.today
    return page(
        visit,
        "cashier.html",
        found=found,
        text=text,
        taken=queries.taken_on(connection, project, today),
        waiting=queries.waiting(connection, project),
        unentered=len(notices_unentered(connection, project)),
        pager=Pager("/cashier", {"text": text}, page_number, queries.PAGE, found.total),
    )


@router.get("/accounts/{account_id}")
def show_account(
    visit: CashierVisit,
    connection: Reading,
    channels: SetUp,
    account_id: str,
    refused: Short = "",
    done: Short = "",
) -> Response:
    """Show what an account owes by charge, a form to pay, and all its entries."""
    project = visit.person.project_id
    row = queries.account_row(connection, project, account_id)
    if row is None:
        raise HTTPException(404)
    held = service.standing_of(connection, project, account_id)
    return page(
        visit,
        "account.html",
        account=row,
        held=held,
        entries=list(reversed(repository.entries_of(connection, account_id))),
        voids=queries.voids_asked(connection, project, account_id),
        channels=CHANNELS,
        online=sorted(channels, reverse=True),
        orders=orders_of_account(connection, account_id)[:_ORDERS],
        owed=fen_to_yuan(max(0, held.owed_fen)),
        key=secrets.token_hex(8),
        refused=refused,
        done=done,
        books=Book,
        plans=plans_of(connection, project),
        discounts=assignments_of(connection, project, [account_id]),
        open_end=date.max,
    )


@router.post("/accounts/{account_id}/payments", dependencies=[OwnSite])
def pay(
    visit: CashierVisit,
    connection: Writing,
    account_id: str,
    amount: Amount,
    channel: Word,
    key: Word,
) -> Response:
    """Take a payment; sending the form again changes nothing."""
    return _act(
        connection,
        account_id,
        lambda: (
            service.pay(
                connection,
                visit.teller,
                account_id,
                amount_fen=_fen(amount),
                channel=channel,
                key=f"page:{key}",
            ).number
        ),
    )


@router.post("/accounts/{account_id}/offsets", dependencies=[OwnSite])
def offset(visit: CashierVisit, connection: Writing, account_id: str, key: Word) -> Response:
    """Settle what is owed from what is prepaid."""
    return _act(
        connection,
        account_id,
        lambda: (
            service.offset(
                connection, visit.teller, account_id, book=Book.PREPAID, key=f"page:{key}"
            ).number
        ),
    )


@router.post("/accounts/{account_id}/reliefs", dependencies=[OwnSite])
def ask_relief(
    visit: CashierVisit,
    connection: Writing,
    account_id: str,
    charge: Word,
    amount: Amount,
    reason: Annotated[str, Form(max_length=500)],
) -> Response:
    """Ask for a relief of one charge: `charge` is period:item:late."""
    period, _, rest = charge.partition(":")
    item, _, late = rest.rpartition(":")
    named = {"period": period, "item": item, "late": late == "1"}
    return _ask(
        visit,
        connection,
        account_id,
        kind=Ask.RELIEF,
        subject=lambda: named | {"amount_fen": _fen(amount)},
        reason=reason,
    )


@router.post("/accounts/{account_id}/refunds", dependencies=[OwnSite])
def ask_refund(
    visit: CashierVisit,
    connection: Writing,
    account_id: str,
    amount: Amount,
    channel: Word,
    reason: Annotated[str, Form(max_length=500)],
) -> Response:
    """Ask for a refund of what is prepaid."""
    named = {"book": Book.PREPAID.value, "channel": channel}
    return _ask(
        visit,
        connection,
        account_id,
        kind=Ask.REFUND,
        subject=lambda: named | {"amount_fen": _fen(amount)},
        reason=reason,
    )


@router.post("/accounts/{account_id}/voids", dependencies=[OwnSite])
def ask_void(
    visit: CashierVisit,
    connection: Writing,
    account_id: str,
    entry: Annotated[int, Form()],
    reason: Annotated[str, Form(max_length=500)],
) -> Response:
    """Ask for the void of one entry."""
    return _ask(
        visit,
        connection,
        account_id,
        kind=Ask.VOID,
        subject=lambda: {"entry_id": entry},
        reason=reason,
    )


@router.get("/approvals")
def show_approvals(visit: CashierVisit, connection: Reading, refused: Short = "") -> Response:
    """Show what waits for approval, then what was decided."""
    project = visit.person.project_id
    found = approvals.requests_of(connection, project)
    ordered = sorted(found, key=lambda item: item.state is not approvals.State.WAITING)[:100]
    wanted = {item.account_id for item in ordered if item.account_id is not None}
    names = queries.accounts_of(connection, project, wanted)
    return page(visit, "approvals.html", rows=ordered, names=names, refused=refused)


@router.post("/approvals/{request_id}", dependencies=[OwnSite])
def decide(
    visit: CashierVisit,
    connection: Writing,
    request_id: int,
    grant: Annotated[bool, Form()],
    note: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Grant or refuse one step of a request."""
    _, is_done = _tried(
        connection,
        lambda: approvals.decide(connection, visit.teller, request_id, grant=grant, note=note),
    )
    return RedirectResponse("/approvals" if is_done else "/approvals?refused=1", 303)


@router.get("/collection")
def show_collection(
    visit: CashierVisit,
    connection: Reading,
    first: Short = "",
    last: Short = "",
    by: Short = "item",
) -> Response:
    """Show what was charged, received, relieved, offset and is owed."""
    today = visit.today
    first = first if PERIOD.fullmatch(first) else f"{today:%Y}-01"
    last = last if PERIOD.fullmatch(last) else f"{today:%Y-%m}"
    groups = _GROUPS.get(by, _GROUPS["item"])
    project = visit.person.project_id
    rows = reports.collection(connection, project, first=first, last=last, by=groups)
    return page(
        visit,
        "collection.html",
        rows=rows,
        first=first,
        last=last,
        by=by,
        groups=groups,
        reports=NAMES,
    )


def _ask(
    visit: Visit,
    connection: Connection,
    account_id: str,
    *,
    kind: Ask,
    subject: Callable[[], Mapping[str, object]],
    reason: str,
) -> Response:
    def ask() -> None:
        approvals.ask(
            connection, visit.teller, account_id, kind=kind, subject=subject(), reason=reason
        )

    return _act(connection, account_id, ask)


def _act(connection: Connection, account_id: str, act: Callable[[], str | None]) -> Response:
    number, is_done = _tried(connection, act)
    if not is_done:
        return RedirectResponse(f"/accounts/{account_id}?refused=1", 303)
    return RedirectResponse(f"/accounts/{account_id}?done={number or 'asked'}", 303)


def _tried(connection: Connection, act: Callable[[], object]) -> tuple[object, bool]:
    # what is refused leaves nothing behind, and the page says so
    try:
        with connection.begin_nested():
            return act(), True
    except NotFoundError:
        raise
    except CloudError:
        return None, False


def _fen(amount: str) -> int:
    try:
        return yuan_to_fen(amount.strip().replace(",", ""))
    except ValueError as error:
        raise CloudError(str(error)) from error
