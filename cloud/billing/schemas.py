"""What the API says of bills; amounts are yuan as strings with two decimals."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

Period = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


class BillOut(BaseModel):
    """A posted bill."""

    id: str
    premise: str
    holder: str
    service: str
    period: str
    revision: int
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


class BillRunOut(BaseModel):
    """What a run posted, or would post."""

    period: str
    bills: int
    held: int
    total: str | None = None
    posted: bool
