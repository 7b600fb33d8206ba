"""Reliefs, voids and refunds: asked for by one person, granted by others, then entered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, select

from cloud.errors import NotFoundError, RefusedError
from cloud.ledger import repository, service
from cloud.ledger.entries import Book, Charge
from cloud.ledger.service import Teller
from cloud.ledger.tables import approval_rules, decisions, requests


class Ask(StrEnum):
    """What somebody else must approve."""

    RELIEF = "relief"  # 减免
    VOID = "void"  # 作废
    REFUND = "refund"  # 退款


class State(StrEnum):
    """How a request stands."""

    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"


@dataclass(frozen=True)
class Decision:
    """What one person said at one step."""

    step: int
    decided_by: str
    decided_us: int
    granted: bool
    note: str
    entry_id: int | None


@dataclass(frozen=True)
class Request:
    """A request with everything that was said of it."""

    id: int
    account_id: str
    kind: Ask
    subject: Mapping[str, object]
    amount_fen: int
    reason: str
    steps: int
    made_by: str
    made_us: int
    decisions: tuple[Decision, ...]

    @property
    def state(self) -> State:
        """Say whether it waits, was granted at every step, or refused at one."""
        if any(not decision.granted for decision in self.decisions):
            return State.REFUSED
        return State.GRANTED if len(self.decisions) >= self.steps else State.WAITING


def ask(
    connection: Connection,
    teller: Teller,
    account_id: str,
    *,
    kind: Ask,
    subject: Mapping[str, object],
    reason: str,
) -> Request:
    """Ask for a relief, a void or a refund; nothing is entered yet. RefusedError for nonsense.

    The subject of a relief is {period, item, late, amount_fen}, of a void {entry_id}, of a refund
    {book, channel, amount_fen}.
    """
    repository.account(connection, teller.project_id, account_id)
    if not reason.strip():
        message = "reason: allowed is a text that says why"
        raise RefusedError(message)
    amount_fen = _amount(connection, teller, kind, subject)
    steps = connection.scalar(
        select(approval_rules.c.steps).where(
            approval_rules.c.project_id == teller.project_id, approval_rules.c.kind == kind
        )
    )
    made = connection.execute(
        requests.insert()
        .values(
            project_id=teller.project_id,
            account_id=account_id,
            kind=kind,
            subject=json.dumps(subject, sort_keys=True),
            amount_fen=amount_fen,
            reason=reason.strip(),
            steps=steps or 1,
            made_by=teller.by,
            made_us=teller.now_us,
        )
        .returning(requests.c.id)
    )
    return request_of(connection, teller.project_id, int(made.scalar_one()))


def decide(
    connection: Connection, teller: Teller, request_id: int, *, grant: bool, note: str = ""
) -> Request:
    """Grant or refuse one step of a request; the last grant enters it into the books.

    RefusedError for who asked, who decided before, and where it is settled or no longer possible.
    """
    found = request_of(connection, teller.project_id, request_id)
    repository.account(connection, teller.project_id, found.account_id, lock=True)
    found = request_of(connection, teller.project_id, request_id)
    if found.state is not State.WAITING:
        message = f"request {request_id} is {found.state} already"
        raise RefusedError(message)
    if teller.by in {found.made_by, *(decision.decided_by for decision in found.decisions)}:
        message = f"request {request_id}: allowed is somebody who did not make or decide it"
        raise RefusedError(message)
    step = len(found.decisions) + 1
    entry_id = _enter(connection, teller, found) if grant and step >= found.steps else None
    connection.execute(
        decisions.insert().values(
            request_id=request_id,
            step=step,
            decided_by=teller.by,
            decided_us=teller.now_us,
            granted=grant,
            note=note.strip(),
            entry_id=entry_id,
        )
    )
    return request_of(connection, teller.project_id, request_id)


def request_of(connection: Connection, project_id: str, request_id: int) -> Request:
    """Return a request; NotFoundError."""
    found = requests_of(connection, project_id, only=request_id)
    if not found:
        message = f"request {request_id} is unknown"
        raise NotFoundError(message)
    return found[0]


def requests_of(
    connection: Connection,
    project_id: str,
    *,
    only: int | None = None,
    account_id: str | None = None,
) -> list[Request]:
    """Return the requests of a project or of one account, the newest first."""
    query = select(requests).where(requests.c.project_id == project_id)
    if account_id is not None:
        query = query.where(requests.c.account_id == account_id)
    if only is not None:
        query = query.where(requests.c.id == only)
    rows = connection.execute(query.order_by(requests.c.id.desc())).all()
    said: dict[int, list[Decision]] = {}
    told = select(decisions).where(decisions.c.request_id.in_([row.id for row in rows]))
    for row in connection.execute(told.order_by(decisions.c.step)):
        said.setdefault(row.request_id, []).append(
            Decision(row.step, row.decided_by, row.decided_us, row.granted, row.note, row.entry_id)
        )
    return [
        Request(
            row.id,
            row.account_id,
            Ask(row.kind),
            json.loads(row.subject),
            row.amount_fen,
            row.reason,
            row.steps,
            row.made_by,
            row.made_us,
            tuple(said.get(row.id, ())),
        )
        for row in rows
    ]


def set_steps(connection: Connection, project_id: str, kind: Ask, steps: int) -> None:
    """Say how many people must grant a kind of request: 1 to 5."""
    if not 1 <= steps <= 5:  # noqa: PLR2004 - more never come to an end
        message = f"steps: {steps}: allowed are 1 to 5"
        raise RefusedError(message)
    mine = (approval_rules.c.project_id == project_id) & (approval_rules.c.kind == kind)
    changed = connection.execute(approval_rules.update().where(mine).values(steps=steps))
    if not changed.rowcount:
        connection.execute(
            approval_rules.insert().values(project_id=project_id, kind=kind, steps=steps)
        )


def _amount(
    connection: Connection, teller: Teller, kind: Ask, subject: Mapping[str, object]
) -> int:
    if kind is Ask.VOID:
        undone = repository.entry(connection, teller.project_id, _whole(subject, "entry_id"))
        return max(abs(line.amount_fen) for line in undone.entry.lines)
    amount_fen = _whole(subject, "amount_fen")
    if amount_fen <= 0:
        message = f"amount_fen: {amount_fen}: allowed is an amount above 0"
        raise RefusedError(message)
    return amount_fen


def _enter(connection: Connection, teller: Teller, found: Request) -> int:
    key, subject = f"request:{found.id}", found.subject
    match found.kind:
        case Ask.RELIEF:
            charge = Charge(
                str(subject["period"]), str(subject["item"]), bool(subject.get("late", False))
            )
            entered = service.relieve(
                connection,
                teller,
                found.account_id,
                charge=charge,
                amount_fen=found.amount_fen,
                key=key,
            )
        case Ask.VOID:
            entered = service.void(
                connection,
                teller,
                found.account_id,
                entry_id=_whole(subject, "entry_id"),
                key=key,
            )
        case Ask.REFUND:
            entered = service.refund(
                connection,
                teller,
                found.account_id,
                book=Book(str(subject["book"])),
                amount_fen=found.amount_fen,
                channel=str(subject["channel"]),
                key=key,
            )
    return entered.id


def _whole(subject: Mapping[str, object], name: str) -> int:
    value = subject.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    message = f"{name}: {value!r}: allowed is a whole number"
    raise RefusedError(message)
