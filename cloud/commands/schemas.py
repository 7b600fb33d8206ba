"""What the API says of commands and of cutting off; amounts are yuan as strings."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from cloud.commands.states import State
from cloud.ledger.schemas import Key
from protocols.commands import MOST_PULSE_MS, Action

Text = Annotated[str, Field(min_length=1, max_length=500)]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Service = Annotated[str, Field(min_length=1, max_length=20)]


class CommandIn(BaseModel):
    """Ask for something; `key` is the asker's own: the same one asks once."""

    action: Action
    why: Text
    key: Key
    device: str = Field(default="", max_length=64)
    gateway: str = Field(default="", max_length=64)
    pulse_ms: int = Field(default=0, ge=0, le=MOST_PULSE_MS)
    dry_run: bool = False


class ConfirmationIn(BaseModel):
    """Confirm somebody else's command, or turn it down."""

    grant: bool
    note: str = Field(default="", max_length=500)


class StepOut(BaseModel):
    """One line of a trail."""

    state: str
    by: str
    said: str
    at: datetime


class CommandOut(BaseModel):
    """A command as it stands."""

    id: str
    gateway: str
    device: str
    action: Action
    pulse_ms: int
    dry_run: bool
    state: State
    said: str
    asked_by: str
    why: str
    asked_at: datetime
    confirmed_by: str | None
    changed_at: datetime


class CommandTrail(CommandOut):
    """A command with all that happened to it."""

    trail: list[StepOut]


class CutOffTermsIn(BaseModel):
    """What a project may cut off for one service."""

    licensed_by: Literal["supplier", "contract"]
    licence: Text
    grace: Annotated[str, Field(pattern=r"^\d{1,7}(\.\d{1,2})?$")]
    notice_days: int = Field(ge=1, le=29)
    begins: Clock = "09:00"
    ends: Clock = "17:00"
    holidays: dict[int, list[date]]


class PrepaymentIn(BaseModel):
    """An account's holder has agreed to prepay a service."""

    service: Service
    source: Text


class NoticeIn(BaseModel):
    """A holder was told that a supply will be cut off."""

    account: str
    service: Service
    channel: Literal["phone", "visit", "letter", "message", "mail"]
    note: str = Field(default="", max_length=500)


class NoticeOut(BaseModel):
    """A notice as it is on file."""

    account: str
    service: str
    noticed_on: date
    balance: str
