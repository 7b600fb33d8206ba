"""Routes of accounts, payments, approvals and the collection report."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from cloud.auth import Person
from cloud.errors import NotFoundError, RefusedError
from cloud.ledger import approvals, reports, repository, service
from cloud.ledger.approvals import Ask, Request, State
from cloud.ledger.entries import Book
from cloud.ledger.reports import By
from cloud.ledger.repository import Entered
from cloud.ledger.schemas import (
    AccountOut,
    ApprovalIn,
    ApprovalOut,
    ChargeOut,
    CollectionOut,
    DecisionIn,
    DecisionOut,
    DepositIn,
    EntryOut,
    OffsetIn,
    PaymentIn,
    SettledOut,
)
from cloud.money import fen_to_yuan
from cloud.requests import Reading, Writing, require, teller_of
from protocols.delivery.records import instant

router = APIRouter(tags=["ledger"])

Clerk = Annotated[Person, Depends(require("manager", "clerk"))]
Payer = Annotated[Person, Depends(require("manager", "clerk", "resident"))]
Month = Annotated[str, Query(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


@router.get("/accounts/{account_id}")
def get_account(account_id: str, person: Payer, connection: Reading) -> AccountOut:
    """Give an account as it stands: your own if you are a resident."""
    held = repository.account(connection, person.project_id, account_id)
    if not person.is_staff and held.premise_id != person.premise_id:
        message = f"account {account_id!r} is unknown"
        raise NotFoundError(message)
    found = service.standing_of(connection, person.project_id, account_id)
    return AccountOut(
        id=held.id,
        premise=held.premise_id,
        holder=held.holder,
        owed=fen_to_yuan(found.owed_fen),
        prepaid=fen_to_yuan(found.prepaid_fen),
        deposit=fen_to_yuan(found.deposit_fen),
        charges=[
            ChargeOut(
                period=each.charge.period,
                item=each.charge.item,
                late=each.charge.late,
                charged=fen_to_yuan(each.charged_fen),
                received=fen_to_yuan(each.received_fen),
                relieved=fen_to_yuan(each.relieved_fen),
                offset=fen_to_yuan(each.offset_fen),
                owed=fen_to_yuan(each.owed_fen),
            )
            for each in found.statements
        ],
    )


@router.get("/accounts/{account_id}/entries")
def list_entries(account_id: str, person: Clerk, connection: Reading) -> list[EntryOut]:
    """List every movement of an account's money, in the order it was entered."""
    repository.account(connection, person.project_id, account_id)
    return [_entry(item) for item in repository.entries_of(connection, account_id)]


@router.post("/payments", status_code=201)
def take_payment(wanted: PaymentIn, person: Clerk, connection: Writing) -> EntryOut:
    """Take a payment; the same key and request give the same receipt again."""
    return _entry(
        service.pay(
            connection,
            teller_of(person),
            wanted.account,
            amount_fen=wanted.amount,
            channel=wanted.channel,
            key=f"payment:{wanted.key}",
            items=wanted.items,
        )
    )


@router.post("/deposits", status_code=201)
def take_deposit(wanted: DepositIn, person: Clerk, connection: Writing) -> EntryOut:
    """Take a deposit."""
    return _entry(
        service.take_deposit(
            connection,
            teller_of(person),
            wanted.account,
            amount_fen=wanted.amount,
            channel=wanted.channel,
            key=f"deposit:{wanted.key}",
        )
    )


@router.post("/offsets", status_code=201)
def offset_charges(wanted: OffsetIn, person: Clerk, connection: Writing) -> EntryOut:
    """Settle charges from what is prepaid or deposited."""
    return _entry(
        service.offset(
            connection,
            teller_of(person),
            wanted.account,
            book=Book(wanted.book),
            key=f"offset:{wanted.key}",
            items=wanted.items,
        )
    )


@router.post("/approvals", status_code=201)
def ask_approval(wanted: ApprovalIn, person: Clerk, connection: Writing) -> ApprovalOut:
    """Ask for a relief, a void or a refund: nothing is entered before others grant it."""
    made = approvals.ask(
        connection,
        teller_of(person),
        wanted.account,
        kind=wanted.kind,
        subject=_subject(wanted),
        reason=wanted.reason,
    )
    return approval_out(made)


@router.get("/approvals")
def list_approvals(
    person: Clerk, connection: Reading, state: State | None = None
) -> list[ApprovalOut]:
    """List requests, the newest first."""
    found = approvals.requests_of(connection, person.project_id)
    return [approval_out(item) for item in found if state is None or item.state is state]


@router.post("/approvals/{request_id}/decisions", status_code=201)
def decide(request_id: int, wanted: DecisionIn, person: Clerk, connection: Writing) -> ApprovalOut:
    """Grant or refuse one step; who asked or decided before may not."""
    return approval_out(
        approvals.decide(
            connection, teller_of(person), request_id, grant=wanted.grant, note=wanted.note
        )
    )


@router.get("/collection")
def report_collection(
    person: Clerk,
    connection: Reading,
    first: Month,
    last: Month,
    by: Annotated[list[By], Query()] = ["period", "item"],  # noqa: B006 - FastAPI copies it
) -> list[CollectionOut]:
    """Report what was charged, received, relieved, offset and is owed."""
    rows = reports.collection(connection, person.project_id, first=first, last=last, by=by)
    return [
        CollectionOut(
            name=list(row.name),
            charged=fen_to_yuan(row.charged_fen),
            received=fen_to_yuan(row.received_fen),
            relieved=fen_to_yuan(row.relieved_fen),
            offset=fen_to_yuan(row.offset_fen),
            owed=fen_to_yuan(row.owed_fen),
        )
        for row in rows
    ]


def approval_out(found: Request) -> ApprovalOut:
    """Give a request as the API has it."""
    return ApprovalOut(
        id=found.id,
        account=found.account_id,
        kind=found.kind,
        state=found.state,
        subject={
            name: ", ".join(map(str, value)) if isinstance(value, list) else value
            for name, value in found.subject.items()
            if isinstance(value, str | int | bool | list)
        },
        amount=fen_to_yuan(found.amount_fen),
        reason=found.reason,
        steps=found.steps,
        made_by=found.made_by,
        made_at=instant(found.made_us),
        decisions=[
            DecisionOut(
                step=each.step,
                by=each.decided_by,
                at=instant(each.decided_us),
                granted=each.granted,
                note=each.note,
            )
            for each in found.decisions
        ],
    )


def _subject(wanted: ApprovalIn) -> dict[str, object]:
    needed: dict[Ask, dict[str, object]] = {
        Ask.RELIEF: {"amount": wanted.amount, "period": wanted.period, "item": wanted.item},
        Ask.VOID: {"entry": wanted.entry},
        Ask.REFUND: {"amount": wanted.amount, "book": wanted.book, "channel": wanted.channel},
    }
    given = needed[wanted.kind]
    if missing := [name for name, value in given.items() if value is None]:
        message = f"{', '.join(missing)}: missing: a {wanted.kind} needs {', '.join(given)}"
        raise RefusedError(message)
    names = {"amount": "amount_fen", "entry": "entry_id"}
    subject = {names.get(name, name): value for name, value in given.items()}
    return subject | ({"late": wanted.late} if wanted.kind is Ask.RELIEF else {})


def _entry(found: Entered) -> EntryOut:
    entry = found.entry
    return EntryOut(
        id=found.id,
        kind=entry.kind,
        number=found.number,
        account=found.account_id,
        entered_on=found.entered_on,
        entered_at=instant(found.entered_us),
        entered_by=found.entered_by,
        reverses=found.reverses,
        cash=fen_to_yuan(entry.of(Book.CASH)),
        prepaid=fen_to_yuan(-entry.of(Book.PREPAID)),
        deposit=fen_to_yuan(-entry.of(Book.DEPOSIT)),
        charges=[
            SettledOut(
                period=line.charge.period,
                item=line.charge.item,
                late=line.charge.late,
                amount=fen_to_yuan(line.amount_fen),
            )
            for line in entry.lines
            if line.book is Book.RECEIVABLE and line.charge is not None
        ],
    )
