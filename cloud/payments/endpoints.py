"""Routes of payment orders for programs."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from cloud.auth import Person
from cloud.errors import NotFoundError
from cloud.ledger import repository as ledger
from cloud.ledger.endpoints import Clerk, Payer
from cloud.money import fen_to_yuan
from cloud.payments import refunds, repository, service
from cloud.payments.merchants import Channels
from cloud.payments.schemas import (
    NoticeOut,
    PaymentOrderIn,
    PaymentOrderOut,
    RefundIn,
    RefundRequestOut,
)
from cloud.payments.states import Order
from cloud.requests import Database, Reading, Writing, teller_of
from protocols.delivery.records import instant

router = APIRouter(tags=["payments"])


def channels_in(request: Request) -> Channels:
    """Return the channels that are set up; none in an application without any."""
    found: Channels = getattr(request.app.state, "channels", {})
    return found


SetUp = Annotated[Channels, Depends(channels_in)]


@router.post("/payment-orders", status_code=201)
def open_order(
    wanted: PaymentOrderIn, person: Payer, engine: Database, channels: SetUp
) -> PaymentOrderOut:
    """Make an order of what an account owes: your own if you are a resident."""
    channel = service.channel_of(channels, wanted.channel)
    with engine.connect() as connection:
        _check_own(ledger.account(connection, person.project_id, wanted.account), person)
    teller = teller_of(person)
    return _out(
        service.open_order(engine, channel, teller, wanted.account, amount_fen=wanted.amount)
    )


@router.get("/payment-orders/{number}")
def get_order(number: str, person: Payer, connection: Reading) -> PaymentOrderOut:
    """Say how an order stands."""
    order = repository.order_in(connection, person.project_id, number)
    _check_own(ledger.account(connection, person.project_id, order.account_id), person)
    return _out(order)


@router.post("/payment-orders/{number}/close")
def close_order(number: str, person: Clerk, engine: Database, channels: SetUp) -> PaymentOrderOut:
    """Withdraw an order that nobody paid."""
    with engine.connect() as connection:
        order = repository.order_in(connection, person.project_id, number)
    channel = service.channel_of(channels, order.channel)
    teller = teller_of(person)
    return _out(service.withdraw(engine, channel, order, teller.now_us))


@router.post("/payment-orders/{number}/refunds", status_code=201)
def ask_refund(
    number: str, wanted: RefundIn, person: Clerk, connection: Writing
) -> RefundRequestOut:
    """Ask for a refund of a paid order; it goes to the channel when others have granted it."""
    order = repository.order_in(connection, person.project_id, number)
    teller = teller_of(person)
    made = refunds.ask_refund(
        connection, teller, order, amount_fen=wanted.amount, reason=wanted.reason
    )
    return RefundRequestOut(request=made.id, state=made.state)


@router.get("/payment-notices")
def list_notices(person: Clerk, connection: Reading) -> list[NoticeOut]:
    """List what the channels said of money that is in no book, the newest first."""
    return [
        NoticeOut(
            id=each.id,
            channel=each.channel,
            number=each.number,
            transaction=each.transaction_id,
            amount=None if each.amount_fen is None else fen_to_yuan(each.amount_fen),
            verdict=each.verdict,
            reason=each.reason,
            received_at=instant(each.received_us),
        )
        for each in repository.notices_unentered(connection, person.project_id)
    ]


def _check_own(account: ledger.Account, person: Person) -> None:
    if not person.is_staff and account.premise_id != person.premise_id:
        message = f"account {account.id!r} is unknown"
        raise NotFoundError(message)


def _out(order: Order) -> PaymentOrderOut:
    return PaymentOrderOut(
        number=order.number,
        account=order.account_id,
        channel=order.channel,
        amount=fen_to_yuan(order.amount_fen),
        state=order.state,
        opens=order.opens,
        made_at=instant(order.made_us),
        expires_at=instant(order.expires_us),
        transaction=order.transaction_id,
        paid_at=None if order.paid_us is None else instant(order.paid_us),
        late=order.is_late,
        entry=order.entry_id,
    )
