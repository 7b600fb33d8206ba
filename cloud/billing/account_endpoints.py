"""Routes of what happens to an account: single charges, moves, reminders."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from cloud.auth import Person
from cloud.billing.single_charges import SingleCharge, charge_once
from cloud.ledger import arrears, tenancies
from cloud.ledger.schemas import Amount, Key
from cloud.money import fen_to_yuan
from cloud.notify import outbox, reminding
from cloud.requests import Reading, Writing, require, teller_of

router = APIRouter(tags=["accounts"])

Clerk = Annotated[Person, Depends(require("manager", "clerk"))]
Short = Annotated[str, Field(min_length=1, max_length=200)]


class SingleChargeIn(BaseModel):
    """A single charge 临时收费; the same key gives the same bill again."""

    item: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    description: Short
    amount: Amount
    key: Key


class SingleChargeOut(BaseModel):
    """The bill that it became."""

    bill: str


class MoveOutIn(BaseModel):
    """The first day that is no longer theirs."""

    on: date


class MoveInIn(BaseModel):
    """Who holds a premise from a day on; `continues` names the account they had before."""

    holder: Short
    on: date
    continues: str | None = None


class AccountIdOut(BaseModel):
    """The account that was opened."""

    account: str


class ReminderIn(BaseModel):
    """How a payer was reminded, and why the debt stands."""

    channel: str
    cause: str = "unknown"
    note: Annotated[str, Field(max_length=500)] = ""


class ReminderOut(BaseModel):
    """A reminder on record."""

    reminded_on: date
    channel: str
    cause: str
    note: str
    owed: str
    by: str
    # waiting, sent, failed (it is tried again) or given_up; null where the service sends nothing
    message: str | None


@router.post("/accounts/{account_id}/charges", status_code=201)
def charge_account(
    account_id: str, wanted: SingleChargeIn, person: Clerk, connection: Writing
) -> SingleChargeOut:
    """Bill a single charge at once."""
    charge = SingleCharge(wanted.item, wanted.description, wanted.amount)
    return SingleChargeOut(
        bill=charge_once(connection, teller_of(person), account_id, charge, key=wanted.key)
    )


@router.post("/accounts/{account_id}/move-out", status_code=204)
def move_out(account_id: str, wanted: MoveOutIn, person: Clerk, connection: Writing) -> None:
    """Close an account on a day."""
    tenancies.move_out(connection, person.project_id, account_id, on=wanted.on)


@router.post("/premises/{premise_id}/accounts", status_code=201)
def move_in(premise_id: str, wanted: MoveInIn, person: Clerk, connection: Writing) -> AccountIdOut:
    """Open an account for who holds a premise from a day on."""
    account = tenancies.move_in(
        connection,
        person.project_id,
        premise_id,
        holder=wanted.holder,
        on=wanted.on,
        continues=wanted.continues,
    )
    return AccountIdOut(account=account)


@router.get("/accounts/{account_id}/reminders")
def list_reminders(
    account_id: str,
    person: Clerk,
    connection: Reading,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[ReminderOut]:
    """List an account's reminders, the newest first."""
    held = arrears.reminders_of(connection, person.project_id, account_id)
    sent = outbox.messages_of(connection, [account_id])
    return [
        ReminderOut(
            reminded_on=each.reminded_on,
            channel=each.channel,
            cause=each.cause,
            note=each.note,
            owed=fen_to_yuan(each.owed_fen),
            by=each.reminded_by,
            message=sent[each.id].state if each.id in sent else None,
        )
        for each in held[:limit]
    ]


@router.post("/accounts/{account_id}/reminders", status_code=201)
def remind(
    account_id: str, wanted: ReminderIn, person: Clerk, connection: Writing, request: Request
) -> list[ReminderOut]:
    """Put a reminder on record, by message or mail send it, too; return all of the account."""
    reminding.remind(
        connection,
        teller_of(person),
        account_id,
        settings=request.app.state.settings,
        channel=wanted.channel,
        cause=wanted.cause,
        note=wanted.note,
    )
    return list_reminders(account_id, person, connection)
