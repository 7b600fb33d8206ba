"""All SQL of payment orders, notices and refunds."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from cloud.database import insert_new
from cloud.errors import NotFoundError
from cloud.ledger.approvals import Ask
from cloud.ledger.tables import accounts, decisions, requests
from cloud.payments.channel import RefundStatus, Told
from cloud.payments.states import Order, State, Verdict
from cloud.payments.tables import notices, orders, refunds
from cloud.sites.tables import buildings, premises, projects

# what was signed, brought money and is in no book of ours
UNENTERED: Final = (Verdict.UNKNOWN, Verdict.DIFFERS)
# databases bound how many values one statement may name
_PART: Final = 500


@dataclass(frozen=True)
class Refund:
    """A refund at a channel, with what the channel must know of its order."""

    number: str
    request_id: int
    order: Order
    amount_fen: int
    reason: str
    state: RefundStatus
    refund_id: str
    why: str
    made_us: int


@dataclass(frozen=True)
class Granted:
    """A granted request for a refund of an order, which nobody has taken up."""

    request_id: int
    project_id: str
    account_id: str
    order_number: str
    amount_fen: int


@dataclass(frozen=True)
class Notice:
    """What a channel said, as far as people read it."""

    id: int
    channel: str
    number: str
    transaction_id: str
    amount_fen: int | None
    verdict: Verdict
    reason: str
    received_us: int


def add_order(connection: Connection, order: Order) -> None:
    """Put an order on file."""
    connection.execute(orders.insert().values(**vars(order)))


def order_of(connection: Connection, number: str) -> Order | None:
    """Return an order by our number, None if there is none."""
    row = connection.execute(select(orders).where(orders.c.number == number)).one_or_none()
    return None if row is None else _order(row)


def order_in(connection: Connection, project_id: str, number: str) -> Order:
    """Return an order of a project; NotFoundError."""
    found = order_of(connection, number)
    if found is None or found.project_id != project_id:
        message = f"order {number!r} is unknown"
        raise NotFoundError(message)
    return found


def order_of_transaction(connection: Connection, channel: str, transaction_id: str) -> Order | None:
    """Return the order that a channel's transaction paid, None if it paid none."""
    mine = (orders.c.channel == channel) & (orders.c.transaction_id == transaction_id)
    row = connection.execute(select(orders).where(mine)).one_or_none()
    return None if row is None else _order(row)


def orders_of_account(
    connection: Connection, account_id: str, *, states: Collection[State] = tuple(State)
) -> list[Order]:
    """Return the orders of an account in some states, the newest first."""
    mine = (orders.c.account_id == account_id) & orders.c.state.in_(states)
    query = select(orders).where(mine).order_by(orders.c.made_us.desc(), orders.c.number)
    return [_order(row) for row in connection.execute(query)]


def orders_paid(connection: Connection, channel: str, *, from_us: int, to_us: int) -> list[Order]:
    """Return the orders that were paid in [from, to) by the channel's clock."""
    mine = (orders.c.channel == channel) & (orders.c.paid_us >= from_us)
    query = select(orders).where(mine & (orders.c.paid_us < to_us)).order_by(orders.c.number)
    return [_order(row) for row in connection.execute(query)]


def orders_by_number(connection: Connection, channel: str, numbers: Collection[str]) -> list[Order]:
    """Return those of some orders that are on file at a channel."""
    found: list[Order] = []
    for part in _parts(numbers):
        mine = (orders.c.channel == channel) & orders.c.number.in_(part)
        found += [_order(row) for row in connection.execute(select(orders).where(mine))]
    return found


def change(connection: Connection, order: Order, **values: object) -> Order:
    """Change an order and return it as it is then."""
    row = connection.execute(
        orders.update().where(orders.c.number == order.number).values(**values).returning(orders)
    ).one()
    return _order(row)


def to_ask(
    connection: Connection, now_us: int, *, channels: Collection[str], most: int
) -> list[Order]:
    """Return orders of some channels that are to be asked after, who waits longest first."""
    mine = (orders.c.ask_us <= now_us) & orders.c.channel.in_(channels)
    query = select(orders).where(mine).order_by(orders.c.ask_us)
    return [_order(row) for row in connection.execute(query.limit(most))]


def subject_of(connection: Connection, account_id: str) -> str:
    """Return what an order of an account is for: estate, building and premise."""
    row = connection.execute(
        select(
            projects.c.name, buildings.c.name.label("building"), premises.c.name.label("premise")
        )
        .join_from(accounts, projects, projects.c.id == accounts.c.project_id)
        .join(premises, premises.c.id == accounts.c.premise_id)
        .join(buildings, buildings.c.id == premises.c.building_id)
        .where(accounts.c.id == account_id)
    ).one()
    return f"{row.name} {row.building} {row.premise}"


def add_notice(
    connection: Connection,
    channel: str,
    told: Told,
    *,
    source: str,
    verdict: Verdict,
    reason: str,
    now_us: int,
) -> None:
    """Keep what a channel said, the same bytes once."""
    evidence = told.evidence
    row = {
        "channel": channel,
        # the same body is signed anew each time it is sent
        "digest": hashlib.sha256(evidence.body).digest(),
        "source": source,
        "number": told.number,
        "transaction_id": told.transaction_id,
        "amount_fen": told.amount_fen,
        "verdict": verdict,
        "reason": reason,
        "body": evidence.body,
        "signature": evidence.signature,
        "plain": evidence.plain,
        "received_us": now_us,
    }
    insert_new(connection, notices, [row])


def notices_unentered(connection: Connection, project_id: str | None = None) -> list[Notice]:
    """Return what was paid at a channel and is in no book, the newest first.

    Of one project it is what names an order of it, or an order that is nobody's.
    """
    entered = orders.alias()
    is_entered = (
        select(entered.c.number)
        .where(
            entered.c.channel == notices.c.channel,
            entered.c.transaction_id == notices.c.transaction_id,
        )
        .exists()
    )
    query = (
        select(notices)
        .outerjoin(orders, orders.c.number == notices.c.number)
        # a word that did not fit may be followed by one that does
        .where(notices.c.verdict.in_(UNENTERED), ~is_entered)
    )
    if project_id is not None:
        is_mine = orders.c.project_id == project_id
        query = query.where(orders.c.number.is_(None) | is_mine)
    return [
        Notice(
            row.id,
            row.channel,
            row.number,
            row.transaction_id,
            row.amount_fen,
            Verdict(row.verdict),
            row.reason,
            row.received_us,
        )
        for row in connection.execute(query.order_by(notices.c.id.desc()))
    ]


def granted_refunds(connection: Connection) -> list[Granted]:
    """Return refunds that were granted for an order and that nobody has taken up."""
    subject = requests.c.subject
    query = (
        select(requests)
        .join(decisions, decisions.c.request_id == requests.c.id)
        .where(
            requests.c.kind == Ask.REFUND,
            decisions.c.entry_id.is_not(None),
            subject.like('%"order"%'),
            requests.c.id.not_in(select(refunds.c.request_id)),
        )
        .order_by(requests.c.id)
    )
    return [
        Granted(
            row.id,
            row.project_id,
            row.account_id,
            str(json.loads(row.subject)["order"]),
            row.amount_fen,
        )
        for row in connection.execute(query)
    ]


def add_refund(
    connection: Connection, granted: Granted, *, number: str, now_us: int, why: str = ""
) -> None:
    """Take a granted refund up, once; failed at once where `why` says something."""
    row = {
        "number": number,
        "request_id": granted.request_id,
        "order_number": granted.order_number,
        "amount_fen": granted.amount_fen,
        "state": RefundStatus.FAILED if why else RefundStatus.WAITING,
        "refund_id": "",
        "why": why,
        "made_us": now_us,
        "changed_us": now_us,
        "ask_us": None if why else now_us,
    }
    insert_new(connection, refunds, [row])


def refunds_to_ask(
    connection: Connection, now_us: int, *, channels: Collection[str], most: int
) -> list[Refund]:
    """Return refunds that some channels have not confirmed and that are to be asked after."""
    due = (
        select(refunds.c.number)
        .join(orders, orders.c.number == refunds.c.order_number)
        .where(refunds.c.ask_us <= now_us, orders.c.channel.in_(channels))
        .order_by(refunds.c.ask_us)
    )
    return _refunds(connection, list(connection.scalars(due.limit(most))))


def refunds_of(connection: Connection, order_numbers: Collection[str]) -> list[Refund]:
    """Return the refunds of orders."""
    mine = select(refunds.c.number).where(refunds.c.order_number.in_(order_numbers))
    return _refunds(connection, list(connection.scalars(mine)))


def refunds_by_number(
    connection: Connection, channel: str, numbers: Collection[str]
) -> list[Refund]:
    """Return those of some refunds that are on file at a channel."""
    found = [each for part in _parts(numbers) for each in _refunds(connection, part)]
    return [each for each in found if each.order.channel == channel]


def refunded_fen(
    connection: Connection,
    order_number: str,
    *,
    states: Collection[RefundStatus] = (RefundStatus.WAITING, RefundStatus.CONFIRMED),
) -> int:
    """Return what of an order is given back, or about to be."""
    mine = (refunds.c.order_number == order_number) & refunds.c.state.in_(states)
    query = select(func.coalesce(func.sum(refunds.c.amount_fen), 0)).where(mine)
    return int(connection.scalar(query) or 0)


def change_refund(connection: Connection, number: str, **values: object) -> None:
    """Change a refund that the channel has not settled yet."""
    mine = (refunds.c.number == number) & (refunds.c.state == RefundStatus.WAITING)
    connection.execute(refunds.update().where(mine).values(**values))


def _parts(numbers: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(numbers)
    for begin in range(0, len(ordered), _PART):
        yield ordered[begin : begin + _PART]


def _refunds(connection: Connection, numbers: Collection[str]) -> list[Refund]:
    query = (
        select(refunds, requests.c.reason)
        .join(requests, requests.c.id == refunds.c.request_id)
        .where(refunds.c.number.in_(numbers))
        .order_by(refunds.c.made_us, refunds.c.number)
    )
    rows = connection.execute(query).all()
    named = {row.order_number for row in rows}
    held: Mapping[str, Order] = {
        row.number: _order(row)
        for row in connection.execute(select(orders).where(orders.c.number.in_(named)))
    }
    return [
        Refund(
            row.number,
            row.request_id,
            held[row.order_number],
            row.amount_fen,
            row.reason,
            RefundStatus(row.state),
            row.refund_id,
            row.why,
            row.made_us,
        )
        for row in rows
    ]


def _order(row: Row[Any]) -> Order:
    return Order(**{**row._mapping, "state": State(row.state)})  # noqa: SLF001  # its public name
