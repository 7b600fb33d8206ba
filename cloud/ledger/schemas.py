"""What the API says of money; amounts are yuan as strings with two decimals."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

from cloud.ledger.approvals import Ask, State
from cloud.money import yuan_to_fen


def _fen(value: object) -> int:
    if isinstance(value, str):
        return yuan_to_fen(value)
    msg = "allowed is an amount in yuan as a string, such as '72.45'"
    raise ValueError(msg)


Amount = Annotated[int, BeforeValidator(_fen), Field(gt=0)]
Key = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\w.:-]+$")]
Item = Annotated[str, Field(min_length=1, max_length=40)]
Channel = Literal["cash", "bank", "pos", "wechat", "alipay", "online"]


class PaymentIn(BaseModel):
    """Take a payment; `key` is the payer's own: the same one pays once."""

    account: str
    amount: Amount
    channel: Channel
    key: Key
    items: Annotated[list[Item], Field(min_length=1, max_length=40)] | None = None


class DepositIn(BaseModel):
    """Take a deposit."""

    account: str
    amount: Amount
    channel: Channel
    key: Key


class OffsetIn(BaseModel):
    """Settle charges from what is prepaid or deposited."""

    account: str
    book: Literal["prepaid", "deposit"] = "prepaid"
    key: Key
    items: Annotated[list[Item], Field(min_length=1, max_length=40)] | None = None


class SettledOut(BaseModel):
    """What an entry does to one charge: below zero it is settled by so much."""

    period: str
    item: str
    late: bool
    amount: str


class EntryOut(BaseModel):
    """An entry in the books; `cash`, `prepaid` and `deposit` are what it adds to each."""

    id: int
    kind: str
    number: str | None
    account: str
    entered_on: date
    entered_at: datetime
    entered_by: str
    reverses: int | None
    cash: str
    prepaid: str
    deposit: str
    charges: list[SettledOut]


class ChargeOut(BaseModel):
    """One charge: charged = received + relieved + offset + owed."""

    period: str
    item: str
    late: bool
    charged: str
    received: str
    relieved: str
    offset: str
    owed: str


class AccountOut(BaseModel):
    """An account as it stands."""

    id: str
    premise: str
    holder: str
    owed: str
    prepaid: str
    deposit: str
    charges: list[ChargeOut]


class ApprovalIn(BaseModel):
    """Ask for a relief of a charge, a void of an entry, or a refund."""

    account: str
    kind: Literal[Ask.RELIEF, Ask.VOID, Ask.REFUND]
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    amount: Amount | None = None
    period: Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")] | None = None
    item: Item | None = None
    late: bool = False
    entry: int | None = None
    book: Literal["prepaid", "deposit"] | None = None
    channel: Channel | None = None


class DecisionIn(BaseModel):
    """Grant or refuse one step."""

    grant: bool
    note: Annotated[str, Field(max_length=500)] = ""


class DecisionOut(BaseModel):
    """What one person said."""

    step: int
    by: str
    at: datetime
    granted: bool
    note: str


class ApprovalOut(BaseModel):
    """A request and how it stands."""

    id: int
    account: str | None
    kind: Ask
    state: State
    subject: dict[str, str | int | bool]
    amount: str
    reason: str
    steps: int
    made_by: str
    made_at: datetime
    decisions: list[DecisionOut]


class CollectionOut(BaseModel):
    """One row of the collection report; `name` has what it is grouped by."""

    name: list[str]
    charged: str
    received: str
    relieved: str
    offset: str
    owed: str
