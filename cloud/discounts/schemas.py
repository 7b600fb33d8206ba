"""What the API says of discounts; amounts are yuan as strings, `to_on` is not included."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, Field

from cloud.discounts.plans import By
from cloud.ledger.schemas import Amount, Item

Reason = Annotated[str, Field(min_length=1, max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=80)]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class PlanIn(BaseModel):
    """Ask for a plan: `value` is percent, yuan a month, or months free of `at_least_months`."""

    code: Code
    name: Name
    name_en: Name
    items: Annotated[list[Item], Field(min_length=1, max_length=20)]
    by: By
    value: Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,4})?$")]
    at_least_months: Annotated[int, Field(ge=0, le=12)] = 0
    cap: Amount | None = None
    from_on: date
    to_on: date | None = None
    reason: Reason


class PlanOut(BaseModel):
    """A plan in effect; `request` is its approval."""

    code: str
    name: str
    name_en: str
    items: list[str]
    by: By
    value: str
    at_least_months: int
    cap: str | None
    from_on: date
    to_on: date | None
    reason: str
    request: int


class DiscountIn(BaseModel):
    """Ask that an account has a plan."""

    code: Code
    from_on: date
    to_on: date | None = None
    reason: Reason


class DiscountOut(BaseModel):
    """A plan that an account has."""

    id: int
    code: str
    account: str
    from_on: date
    to_on: date | None
    request: int


class EndIn(BaseModel):
    """Ask for the end of a plan, or of one account's: `discount` is its id."""

    ends_on: date
    account: str | None = None
    discount: int | None = None
    reason: Reason
