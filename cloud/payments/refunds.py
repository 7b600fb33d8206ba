"""Refunds at a channel: only what was asked for and granted, each under its own number."""

import secrets
from collections.abc import Set as AbstractSet
from typing import Final

import structlog
from sqlalchemy import Connection, Engine

from cloud.errors import RefusedError
from cloud.ledger import approvals
from cloud.ledger import repository as ledger
from cloud.ledger.approvals import Ask, Request
from cloud.ledger.entries import Book
from cloud.ledger.service import Teller
from cloud.money import fen_to_yuan
from cloud.payments import repository
from cloud.payments.channel import (
    Channel,
    ChannelRefusedError,
    ChannelUnreachableError,
    RefundStatus,
    RefundTold,
    RefundWanted,
)
from cloud.payments.merchants import Channels
from cloud.payments.repository import Granted, Refund
from cloud.payments.states import MOVES, Move, Order, State

_SECOND_US: Final = 1_000_000
_SOONEST_S: Final = 10
_NUMBER_BYTES: Final = 12

log = structlog.get_logger("payments")


def ask_refund(
    connection: Connection, teller: Teller, order: Order, *, amount_fen: int, reason: str
) -> Request:
    """Ask for a refund of a paid order out of what is prepaid; others grant it."""
    why = _unfit(connection, order, amount_fen)
    if why:
        raise RefusedError(why)
    subject = {
        "book": Book.PREPAID.value,
        "channel": order.channel,
        "amount_fen": amount_fen,
        "order": order.number,
    }
    return approvals.ask(
        connection, teller, order.account_id, kind=Ask.REFUND, subject=subject, reason=reason
    )


def step(
    engine: Engine, channels: Channels, now_us: int, *, most: int, silent: AbstractSet[str]
) -> int:
    """Take up what was granted, then send and ask after what is due; return how many."""
    with engine.connect() as connection:
        granted = repository.granted_refunds(connection.execution_options(readonly=True))
    for each in granted:
        with engine.begin() as connection:
            _take_up(connection, each, now_us)
    with engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        names = tuple(name for name in channels if name not in silent)
        due = repository.refunds_to_ask(reader, now_us, channels=names, most=most)
    for refund in due:
        _ask(engine, channels[refund.order.channel], refund, now_us)
    return len(due)


def _take_up(connection: Connection, granted: Granted, now_us: int) -> None:
    ledger.account(connection, granted.project_id, granted.account_id, lock=True)
    order = repository.order_of(connection, granted.order_number)
    if order is None or order.account_id != granted.account_id:
        # somebody asked by hand for an order that is not this account's
        log.warning("refund_of_no_order", request=granted.request_id)
        return
    why = _unfit(connection, order, granted.amount_fen)
    number = f"T{secrets.token_hex(_NUMBER_BYTES).upper()}"
    repository.add_refund(connection, granted, number=number, now_us=now_us, why=why)
    if why:
        log.warning("refund_failed", number=number, reason=why)


def _ask(engine: Engine, channel: Channel, refund: Refund, now_us: int) -> None:
    order = refund.order
    wanted = RefundWanted(
        refund.number,
        order.number,
        order.transaction_id or "",
        refund.amount_fen,
        order.amount_fen,
        refund.reason,
    )
    try:
        # what was sent before a crash is not sent again
        told = channel.query_refund(wanted)
        if told.status is RefundStatus.UNKNOWN:
            told = channel.refund(wanted)
    except (ChannelRefusedError, ChannelUnreachableError) as error:
        # such as too little money in the merchant's account: it may be there tomorrow
        log.warning("refund_waits", number=refund.number, reason=str(error))
        told = RefundTold(refund.number, RefundStatus.WAITING, why=str(error)[:500])
    with engine.begin() as connection:
        _keep(connection, refund, told, now_us)


def _keep(connection: Connection, refund: Refund, told: RefundTold, now_us: int) -> None:
    order = refund.order
    ledger.account(connection, order.project_id, order.account_id, lock=True)
    status, why = told.status, told.why
    if status is RefundStatus.CONFIRMED and told.amount_fen != refund.amount_fen:
        status = RefundStatus.FAILED
        why = f"amount_fen: {told.amount_fen}: allowed is {refund.amount_fen}"
    if status is RefundStatus.UNKNOWN:
        status = RefundStatus.WAITING
    is_open = status is RefundStatus.WAITING
    wait_us = max(_SOONEST_S * _SECOND_US, (now_us - refund.made_us) // 4)
    repository.change_refund(
        connection,
        refund.number,
        state=status,
        refund_id=told.refund_id,
        why=why,
        changed_us=now_us,
        ask_us=now_us + wait_us if is_open else None,
    )
    if status is RefundStatus.FAILED:
        log.warning("refund_failed", number=refund.number, reason=why)
    confirmed = (RefundStatus.CONFIRMED,)
    if repository.refunded_fen(connection, order.number, states=confirmed) == order.amount_fen:
        held = repository.order_of(connection, order.number) or order
        after = MOVES.get((held.state, Move.REFUND))
        if after is not None:
            repository.change(connection, held, state=after)


def _unfit(connection: Connection, order: Order, amount_fen: int) -> str:
    # why an amount of an order cannot be given back; empty where it can
    if order.state is not State.PAID:
        return f"order {order.number} is {order.state}: allowed is one that was paid"
    rest_fen = order.amount_fen - repository.refunded_fen(connection, order.number)
    if not 0 < amount_fen <= rest_fen:
        return (
            f"amount {fen_to_yuan(amount_fen)}: allowed is up to {fen_to_yuan(rest_fen)},"
            f" what is left of order {order.number}"
        )
    return ""
