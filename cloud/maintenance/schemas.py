"""What the API says of work orders."""

from datetime import datetime

from pydantic import BaseModel, Field


class OrderOut(BaseModel):
    """A work order 工单 as it stands."""

    id: int
    kind: str
    title: str
    title_en: str
    meter_point: str | None
    pool: str | None
    state: str
    assignee: str
    note: str
    opened_by: str
    opened_at: datetime


class StepOut(BaseModel):
    """A move that was made."""

    before: str
    after: str
    assignee: str
    note: str
    moved_by: str
    moved_at: datetime


class OrderWithSteps(OrderOut):
    """A work order with all its steps."""

    steps: list[StepOut]


class MoveIn(BaseModel):
    """Where a work order is to go, who is to have it, and what was found or done."""

    state: str = Field(max_length=20)
    assignee: str = Field(default="", max_length=64)
    note: str = Field(default="", max_length=1000)
