"""What the API says of bills; amounts are yuan as strings with two decimals."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, Field

Period = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


class BillOut(BaseModel):
    """A posted bill."""

    id: str
    number: str
    account: str
    premise: str
    holder: str
    service: str
    period: str
    revision: int
    from_on: date
    to_on: date
    quantity: str | None
    estimated: bool
    total: str
    posted_at: datetime


class LineItemOut(BaseModel):
    """A printed row of a bill."""

    code: str
    description: str
    description_en: str
    quantity: str
    uom: str
    unit_price: str
    amount: str
    formula: str


class BillWithItems(BillOut):
    """A posted bill with its line items."""

    tariff: str | None
    line_items: list[LineItemOut]


class BillRunIn(BaseModel):
    """Ask for a bill run."""

    period: Period
    dry_run: bool = False


class RevisionIn(BaseModel):
    """Ask for a month, and all after it, to be billed again."""

    first: Period
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class BillRunOut(BaseModel):
    """What a run posted, or would post."""

    period: str
    bills: int
    credits: int = 0
    held: int
    total: str | None = None
    posted: bool
