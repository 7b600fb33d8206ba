"""Reliefs, voids, refunds and discounts: asked for by one person, granted by others, then done."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select

from cloud.discounts import effects
from cloud.discounts import repository as discounts
from cloud.errors import NotFoundError, RefusedError
from cloud.ledger import repository, service
from cloud.ledger.entries import Book, Charge
from cloud.ledger.service import Teller
from cloud.ledger.tables import approval_rules, decisions, requests
from cloud.sites.tables import projects
from cloud.sites.zones import local_day


class Ask(StrEnum):
    """What somebody else must approve."""

    RELIEF = "relief"  # 减免
    VOID = "void"  # 作废
    REFUND = "refund"  # 退款
    PLAN = "discount_plan"  # 优惠方案
    DISCOUNT = "discount"  # 给予优惠
    DISCOUNT_END = "discount_end"  # 终止优惠


# they move no money by themselves
DISCOUNTS: Final = frozenset({Ask.PLAN, Ask.DISCOUNT, Ask.DISCOUNT_END})


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
    account_id: str | None
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
    account_id: str | None,
    *,
    kind: Ask,
    subject: Mapping[str, object],
    reason: str,
) -> Request:
    """Ask for something others must grant; nothing is done yet. RefusedError for nonsense.

    The subject of a relief is {period, item, late, amount_fen}, of a void {entry_id}, of a refund
    {book, channel, amount_fen}; of a plan that of `subject_of`, of a discount {code, from_on,
    to_on}, of its end {code, discount_id, ends_on}. A plan is of no account.
    """
    if account_id is not None:
        repository.account(connection, teller.project_id, account_id)
    elif kind not in {Ask.PLAN, Ask.DISCOUNT_END}:
        message = f"account: missing: a {kind} is of an account"
        raise RefusedError(message)
    if not reason.strip():
        message = "reason: allowed is a text that says why"
        raise RefusedError(message)
    amount_fen = 0
    if kind in DISCOUNTS:
        _check_discount(connection, teller, kind, account_id, subject)
    else:
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
            subject=json.dumps(subject, ensure_ascii=False, sort_keys=True),
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
    """Grant or refuse one step of a request; the last grant lets it take effect.

    RefusedError for who asked, who decided before, and where it is settled or no longer possible.
    """
    found = request_of(connection, teller.project_id, request_id)
    _lock(connection, teller, found)
    found = request_of(connection, teller.project_id, request_id)
    if found.state is not State.WAITING:
        message = f"request {request_id} is {found.state} already"
        raise RefusedError(message)
    if teller.by in {found.made_by, *(decision.decided_by for decision in found.decisions)}:
        message = f"request {request_id}: allowed is somebody who did not make or decide it"
        raise RefusedError(message)
    step = len(found.decisions) + 1
    is_last = grant and step >= found.steps
    entry_id = None
    if is_last and found.kind in DISCOUNTS:
        _take_effect(connection, teller, found)
    elif is_last:
        entry_id = _enter(connection, teller, found, str(found.account_id))
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


def _lock(connection: Connection, teller: Teller, found: Request) -> None:
    # a plan is of the whole project: two of its requests are not decided at once
    if found.account_id is None or found.kind in DISCOUNTS:
        mine = projects.c.id == teller.project_id
        connection.execute(select(projects.c.id).where(mine).with_for_update())
    else:
        repository.account(connection, teller.project_id, found.account_id, lock=True)


def _check_discount(
    connection: Connection,
    teller: Teller,
    kind: Ask,
    account_id: str | None,
    subject: Mapping[str, object],
) -> None:
    project = teller.project_id
    if kind is Ask.PLAN:
        effects.check_plan(connection, project, subject)
    elif kind is Ask.DISCOUNT:
        effects.check_assignment(connection, project, str(account_id), subject)
    else:
        today = local_day(connection, project, teller.now_us)
        effects.check_end(connection, project, subject, today=today)


def _take_effect(connection: Connection, teller: Teller, found: Request) -> None:
    # what held when it was asked for may no longer do so
    project, subject = teller.project_id, found.subject
    if found.kind is Ask.PLAN:
        plan = effects.check_plan(connection, project, subject)
        discounts.add_plan(connection, project, plan, found.id)
    elif found.kind is Ask.DISCOUNT:
        account_id = str(found.account_id)
        held, days = effects.check_assignment(connection, project, account_id, subject)
        discounts.add_assignment(
            connection,
            project,
            account_id,
            code=held.plan.code,
            days=days,
            request_id=found.id,
        )
    else:
        today = local_day(connection, project, teller.now_us)
        held, only, ends_on = effects.check_end(connection, project, subject, today=today)
        discounts.add_end(
            connection,
            project,
            code=held.plan.code,
            discount_id=None if only is None else only.id,
            ends_on=ends_on,
            request_id=found.id,
        )


def _enter(connection: Connection, teller: Teller, found: Request, account_id: str) -> int:
    key, subject = f"request:{found.id}", found.subject
    match found.kind:
        case Ask.RELIEF:
            charge = Charge(
                str(subject["period"]), str(subject["item"]), bool(subject.get("late", False))
            )
            entered = service.relieve(
                connection,
                teller,
                account_id,
                charge=charge,
                amount_fen=found.amount_fen,
                key=key,
            )
        case Ask.VOID:
            entered = service.void(
                connection,
                teller,
                account_id,
                entry_id=_whole(subject, "entry_id"),
                key=key,
            )
        case Ask.REFUND:
            entered = service.refund(
                connection,
                teller,
                account_id,
                book=Book(str(subject["book"])),
                amount_fen=found.amount_fen,
                channel=str(subject["channel"]),
                key=key,
            )
        case _:
            message = f"{found.kind}: moves no money"
            raise RefusedError(message)
    return entered.id


def _whole(subject: Mapping[str, object], name: str) -> int:
    value = subject.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    message = f"{name}: {value!r}: allowed is a whole number"
    raise RefusedError(message)
