"""What is done with payment orders; the books are entered under one lock per account.

No call of a channel happens inside a transaction: it may take seconds.
"""

import secrets
from dataclasses import replace

import structlog
from sqlalchemy import Connection, Engine

from cloud.errors import CloudError, RefusedError
from cloud.ledger import repository as ledger_repository
from cloud.ledger import service as ledger
from cloud.ledger.service import Teller
from cloud.money import fen_to_yuan
from cloud.payments import repository
from cloud.payments.channel import Channel, ChannelRefusedError, Told, Wanted
from cloud.payments.merchants import Channels
from cloud.payments.states import MOVES, VALID_S, Move, Order, State, Verdict, judge, next_ask_us
from protocols.delivery.records import instant

ENTERED_BY = "online payment"
_SECOND_US = 1_000_000
# an order that is about to expire is no use to a payer
_LEAST_LEFT_S = 60
# Alipay refuses subjects with these, and daily bills are cut at commas
_UNFIT = str.maketrans("/=&,", "    ")

log = structlog.get_logger("payments")


def channel_of(channels: Channels, name: str) -> Channel:
    """Return a channel by name; RefusedError where it is not set up."""
    found = channels.get(name)
    if found is None:
        allowed = ", ".join(sorted(channels)) or "none: no merchant's keys are set"
        message = f"channel {name!r}: allowed are {allowed}"
        raise RefusedError(message)
    return found


def open_order(
    engine: Engine,
    channel: Channel,
    teller: Teller,
    account_id: str,
    *,
    amount_fen: int | None = None,
) -> Order:
    """Return an order of what an account owes (or a part), which its payer can open now.

    One that is open for the same amount is returned again, others of the channel are withdrawn.
    """
    with engine.begin() as connection:
        order, others = _held_or_new(connection, channel, teller, account_id, amount_fen)
    for other in others:
        try:
            withdraw(engine, channel, other, teller.now_us)
        except CloudError as error:
            # then it expires; who pays both has prepaid
            log.info("order_not_withdrawn", number=other.number, reason=str(error))
    if order.opens is not None:
        return order
    wanted = Wanted(order.number, order.amount_fen, order.subject, order.expires_us)
    try:
        opens = channel.create(wanted)
    except ChannelRefusedError:
        with engine.begin() as connection:
            close(connection, order, teller.now_us)
        raise
    with engine.begin() as connection:
        return repository.change(connection, order, opens=opens)


def withdraw(engine: Engine, channel: Channel, order: Order, now_us: int) -> Order:
    """Close an order that nobody paid, at the channel first; RefusedError if it was paid."""
    if order.state is State.CREATED:
        try:
            channel.close(order.number)
        except ChannelRefusedError:
            # most likely it was paid at this moment: the books say so right after this
            with engine.begin() as connection:
                repository.change(connection, order, ask_us=now_us)
            raise
        with engine.begin() as connection:
            order = close(connection, order, now_us)
    if order.state is not State.CLOSED:
        message = f"order {order.number} is {order.state} already"
        raise RefusedError(message)
    return order


def take(
    connection: Connection, channel: Channel, told: Told, *, source: str, now_us: int
) -> Verdict:
    """Keep what a channel said and enter what was paid, once; the caller's transaction.

    What fits no order, or another amount or merchant, is kept and not entered.
    """
    order = repository.order_of(connection, told.number)
    if order is not None:
        ledger_repository.account(connection, order.project_id, order.account_id, lock=True)
        # somebody may have entered it while we waited for the account
        order = repository.order_of(connection, told.number)
    verdict, reason = judge(
        order,
        told,
        channel=channel.name,
        app_id=channel.app_id,
        merchant_id=channel.merchant_id,
    )
    if order is not None and verdict in {Verdict.ENTERED, Verdict.LATE}:
        other = repository.order_of_transaction(connection, channel.name, told.transaction_id)
        if other is not None:
            verdict = Verdict.DIFFERS
            reason = f"transaction {told.transaction_id} has paid order {other.number}"
        else:
            _enter(connection, order, told, is_late=verdict is Verdict.LATE, now_us=now_us)
    repository.add_notice(
        connection,
        channel.name,
        told,
        source=source,
        verdict=verdict,
        reason=reason,
        now_us=now_us,
    )
    if verdict in {Verdict.DIFFERS, Verdict.UNKNOWN, Verdict.LATE}:
        log.warning(
            "payment_to_look_at",
            channel=channel.name,
            number=told.number,
            transaction=told.transaction_id,
            verdict=verdict.value,
            reason=reason,
        )
    return verdict


def close(connection: Connection, order: Order, now_us: int) -> Order:
    """Close an order here; one that was paid meanwhile stays paid."""
    ledger_repository.account(connection, order.project_id, order.account_id, lock=True)
    held = repository.order_of(connection, order.number) or order
    after = MOVES.get((held.state, Move.CLOSE))
    if after is None:
        return held
    ask_us = next_ask_us(replace(held, state=after), now_us)
    return repository.change(connection, held, state=after, ask_us=ask_us)


def _held_or_new(
    connection: Connection,
    channel: Channel,
    teller: Teller,
    account_id: str,
    amount_fen: int | None,
) -> tuple[Order, list[Order]]:
    ledger_repository.account(connection, teller.project_id, account_id, lock=True)
    standing = ledger.standing_of(connection, teller.project_id, account_id)
    open_fen = max(0, standing.owed_fen)
    amount_fen = open_fen if amount_fen is None else amount_fen
    if not 0 < amount_fen <= open_fen:
        message = (
            f"amount {fen_to_yuan(amount_fen)}:"
            f" allowed is up to {fen_to_yuan(open_fen)}, what is owed"
        )
        raise RefusedError(message)
    held = [
        order
        for order in repository.orders_of_account(connection, account_id, states=(State.CREATED,))
        if order.channel == channel.name
    ]
    usable_us = teller.now_us + _LEAST_LEFT_S * _SECOND_US
    for order in held:
        if order.amount_fen == amount_fen and order.expires_us > usable_us:
            return order, [other for other in held if other is not order]
    made_at = instant(teller.now_us)
    order = Order(
        number=f"H{made_at:%Y%m%d%H%M%S}{secrets.token_hex(6).upper()}",
        project_id=teller.project_id,
        account_id=account_id,
        channel=channel.name,
        amount_fen=amount_fen,
        subject=repository.subject_of(connection, account_id).translate(_UNFIT)[:40],
        state=State.CREATED,
        made_by=teller.by,
        made_us=teller.now_us,
        expires_us=teller.now_us + VALID_S * _SECOND_US,
        opens=None,
        transaction_id=None,
        paid_us=None,
        is_late=False,
        entry_id=None,
        ask_us=None,
    )
    order = replace(order, ask_us=next_ask_us(order, teller.now_us))
    repository.add_order(connection, order)
    return order, held


def _enter(connection: Connection, order: Order, told: Told, *, is_late: bool, now_us: int) -> None:
    entered = ledger.pay(
        connection,
        Teller(order.project_id, ENTERED_BY, now_us),
        order.account_id,
        amount_fen=order.amount_fen,
        channel=order.channel,
        key=f"{order.channel}:{told.transaction_id}",
        # what nobody waited for any more settles nothing by itself
        items=() if is_late else None,
    )
    repository.change(
        connection,
        order,
        state=MOVES[order.state, Move.PAY],
        transaction_id=told.transaction_id,
        paid_us=told.paid_us or now_us,
        is_late=is_late,
        entry_id=entered.id,
        ask_us=None,
    )
