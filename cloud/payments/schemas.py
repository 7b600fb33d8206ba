"""What the API says of payment orders; amounts are yuan as strings with two decimals."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from cloud.ledger.schemas import Amount
from cloud.payments.states import State, Verdict


class PaymentOrderIn(BaseModel):
    """Make an order; without an amount it is of all that is owed."""

    account: str
    channel: Literal["wechat", "alipay"]
    amount: Amount | None = None


class PaymentOrderOut(BaseModel):
    """An order; `opens` is what the payer's phone opens, as a QR code."""

    number: str
    account: str
    channel: str
    amount: str
    state: State
    opens: str | None
    made_at: datetime
    expires_at: datetime
    transaction: str | None
    paid_at: datetime | None
    late: bool
    entry: int | None


class RefundIn(BaseModel):
    """Ask for a refund of a paid order."""

    amount: Amount
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class RefundRequestOut(BaseModel):
    """The request that others must grant."""

    request: int
    state: str


class NoticeOut(BaseModel):
    """What a channel said of money that is in no book."""

    id: int
    channel: str
    number: str
    transaction: str
    amount: str | None
    verdict: Verdict
    reason: str
    received_at: datetime
