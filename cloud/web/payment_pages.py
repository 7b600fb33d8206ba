"""The cashier shows a code, the payer pays by phone, the page says when it is in the books."""

from typing import Annotated, Final

import segno
from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy import Connection

from cloud.errors import CloudError, NotFoundError
from cloud.money import fen_to_yuan, yuan_to_fen
from cloud.payments import refunds, repository, service
from cloud.payments.endpoints import SetUp
from cloud.payments.states import Order, State
from cloud.requests import Database, Reading, Writing
from cloud.web import cashier_queries as queries
from cloud.web.permissions import BILLING
from cloud.web.rendering import page
from cloud.web.route import PageRoute
from cloud.web.visit import OwnSite, Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

# a payer's phone is held a hand's breadth from the screen
_SCALE: Final = 6

ClerkVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
Word = Annotated[str, Form(max_length=80)]


@router.post("/accounts/{account_id}/payment-orders", dependencies=[OwnSite])
def open_order(
    visit: ClerkVisit, engine: Database, channels: SetUp, account_id: str, channel: Word
) -> Response:
    """Make an order of what the account owes and show its code."""
    try:
        chosen = service.channel_of(channels, channel)
        order = service.open_order(engine, chosen, visit.teller, account_id)
    except NotFoundError:
        raise
    except CloudError as error:
        service.log.warning("order_not_made", account=account_id, reason=str(error))
        return RedirectResponse(f"/accounts/{account_id}?refused=channel", 303)
    return RedirectResponse(f"/payment-orders/{order.number}", 303)


@router.get("/payment-orders/{number}")
def show_order(visit: ClerkVisit, connection: Reading, number: str) -> Response:
    """Show the code of an order that waits, or what became of it."""
    order = _order(connection, visit, number)
    account = queries.account_row(connection, visit.person.project_id, order.account_id)
    given = repository.refunds_of(connection, [number])
    rest_fen = order.amount_fen - repository.refunded_fen(connection, number)
    code = None
    if order.state is State.CREATED and order.opens:
        # a camera needs light around dark modules, whatever the page's colours are
        made = segno.make(order.opens, error="m", micro=False)
        code = made.svg_data_uri(scale=_SCALE, border=4, light="#fff", dark="#000")
    return page(
        visit,
        "payment_order.html",
        order=order,
        account=account,
        code=code,
        refunds=given,
        rest=fen_to_yuan(rest_fen),
        rest_fen=rest_fen,
        is_over=visit.now_us >= order.expires_us,
    )


@router.get("/payment-orders/{number}/state")
def tell_state(visit: ClerkVisit, connection: Reading, number: str) -> Response:
    """Say how an order stands, for the page that waits."""
    order = _order(connection, visit, number)
    is_over = visit.now_us >= order.expires_us
    return JSONResponse(
        {"state": order.state, "over": is_over}, headers={"Cache-Control": "no-store"}
    )


@router.get("/payment-notices")
def show_notices(visit: ClerkVisit, connection: Reading) -> Response:
    """Show what was paid at a channel and is in no book."""
    found = repository.notices_unentered(connection, visit.person.project_id)
    return page(visit, "payment_notices.html", rows=found)


@router.post("/payment-orders/{number}/close", dependencies=[OwnSite])
def withdraw(visit: ClerkVisit, engine: Database, channels: SetUp, number: str) -> Response:
    """Withdraw an order that nobody paid."""
    with engine.connect() as connection:
        order = _order(connection.execution_options(readonly=True), visit, number)
    try:
        chosen = service.channel_of(channels, order.channel)
        service.withdraw(engine, chosen, order, visit.now_us)
    except CloudError as error:
        service.log.info("order_not_withdrawn", number=number, reason=str(error))
    return RedirectResponse(f"/payment-orders/{number}", 303)


@router.post("/payment-orders/{number}/refunds", dependencies=[OwnSite])
def ask_refund(
    visit: ClerkVisit,
    connection: Writing,
    number: str,
    amount: Annotated[str, Form(max_length=20)],
    reason: Annotated[str, Form(max_length=500)],
) -> Response:
    """Ask for a refund of a paid order; others grant it."""
    order = _order(connection, visit, number)
    try:
        fen = yuan_to_fen(amount.strip().replace(",", ""))
        with connection.begin_nested():
            refunds.ask_refund(connection, visit.teller, order, amount_fen=fen, reason=reason)
    except (CloudError, ValueError):
        return RedirectResponse(f"/accounts/{order.account_id}?refused=1", 303)
    return RedirectResponse(f"/accounts/{order.account_id}?done=asked", 303)


def _order(connection: Connection, visit: Visit, number: str) -> Order:
    return repository.order_in(connection, visit.person.project_id, number)
