"""How a payment order moves, and what is to be made of what a channel says of it (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cloud.payments.channel import Status, Told

VALID_S: Final = 900
_SECOND_US: Final = 1_000_000
_SOONEST_S: Final = 5
# after a close a payment may still be on its way
_GRACE_S: Final = 600


class State(StrEnum):
    """How an order stands with us."""

    CREATED = "created"
    PAID = "paid"
    CLOSED = "closed"
    REFUNDED = "refunded"


class Move(StrEnum):
    """What moves an order."""

    PAY = "pay"
    CLOSE = "close"
    REFUND = "refund"


# what is not here moves nothing: a paid order is never closed, whatever comes late
MOVES: Final[Mapping[tuple[State, Move], State]] = {
    (State.CREATED, Move.PAY): State.PAID,
    (State.CREATED, Move.CLOSE): State.CLOSED,
    (State.CLOSED, Move.PAY): State.PAID,
    (State.PAID, Move.REFUND): State.REFUNDED,
}


class Verdict(StrEnum):
    """What became of something that a channel said."""

    ENTERED = "entered"  # a payment
    LATE = "late"  # a payment of a closed order: prepaid, to be looked at
    REPEATED = "repeated"
    DIFFERS = "differs"  # not what was ordered: kept, not entered
    UNKNOWN = "unknown"  # no order of ours: kept, not entered
    NOTED = "noted"  # no money moved


@dataclass(frozen=True)
class Order:
    """A payment order as it is on file."""

    number: str
    project_id: str
    account_id: str
    channel: str
    amount_fen: int
    subject: str
    state: State
    made_by: str
    made_us: int
    expires_us: int
    opens: str | None
    transaction_id: str | None
    paid_us: int | None
    is_late: bool
    entry_id: int | None
    ask_us: int | None


def judge(
    order: Order | None, told: Told, *, channel: str, app_id: str, merchant_id: str
) -> tuple[Verdict, str]:
    """Say what to make of a channel's word, and why where it is refused."""
    if told.status is not Status.PAID:
        return Verdict.NOTED, ""
    if order is None:
        return Verdict.UNKNOWN, f"order {told.number!r} is not on file"
    faults = [
        f"{key}: {found!r}: allowed is {allowed!r}"
        for key, found, allowed in (
            ("channel", channel, order.channel),
            ("amount_fen", told.amount_fen, order.amount_fen),
            ("currency", told.currency, "CNY"),
            ("app_id", app_id if told.app_id is None else told.app_id, app_id),
            (
                "merchant_id",
                merchant_id if told.merchant_id is None else told.merchant_id,
                merchant_id,
            ),
            ("transaction_id", told.transaction_id, order.transaction_id or told.transaction_id),
        )
        if found != allowed
    ]
    if not told.transaction_id:
        faults.append("transaction_id: missing")
    if faults:
        return Verdict.DIFFERS, f"order {order.number}: {'; '.join(faults)}"
    if order.transaction_id is not None:
        return Verdict.REPEATED, ""
    return (Verdict.LATE if order.state is State.CLOSED else Verdict.ENTERED), ""


def next_ask_us(order: Order, now_us: int) -> int | None:
    """Return when to ask the channel again: soon at first, less often later; None for never."""
    match order.state:
        case State.CREATED:
            after_us = now_us + max(_SOONEST_S * _SECOND_US, (now_us - order.made_us) // 4)
            # at the end exactly, to close it; where that fails, less and less often
            return after_us if now_us >= order.expires_us else min(after_us, order.expires_us)
        case State.CLOSED:
            last_us = order.expires_us + _GRACE_S * _SECOND_US
            return last_us if now_us < last_us else None
        case _:
            return None
