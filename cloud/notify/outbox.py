"""All SQL of messages: put beside what they are about, taken to be sent, settled."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, func, or_, select, update

from cloud.ledger.tables import accounts
from cloud.notify.notifier import Outgoing
from cloud.notify.tables import messages
from cloud.sites.tables import projects


class State(StrEnum):
    """How a message stands."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"  # it is tried again
    GIVEN_UP = "given_up"


_OPEN: Final = (State.WAITING, State.FAILED)


@dataclass(frozen=True)
class Message:
    """A message and what came of it."""

    id: int
    account_id: str
    reminder_id: int | None
    via: str
    recipient: str
    text: str
    state: State
    attempts: int
    reason: str
    made_us: int
    next_us: int
    sent_us: int | None


@dataclass(frozen=True)
class Due:
    """A message that may be due, with the time zone of its project."""

    project_id: str
    account_id: str
    via: str
    attempts: int
    zone_name: str
    outgoing: Outgoing


def add(
    connection: Connection,
    project_id: str,
    account_id: str,
    *,
    reminder_id: int,
    via: str,
    recipient: str,
    text: str,
    at_us: int,
) -> None:
    """Put a message into the transaction of what it is about."""
    connection.execute(
        messages.insert().values(
            project_id=project_id,
            account_id=account_id,
            reminder_id=reminder_id,
            via=via,
            recipient=recipient,
            text=text,
            state=State.WAITING,
            attempts=0,
            reason="",
            made_us=at_us,
            next_us=at_us,
        )
    )


def made_since(connection: Connection, account_id: str, since_us: int) -> int:
    """Return how many messages of an account were made since, but for those given up."""
    query = select(func.count()).where(
        messages.c.account_id == account_id,
        messages.c.made_us >= since_us,
        messages.c.state != State.GIVEN_UP,
    )
    return connection.scalar(query) or 0


def due_ids(connection: Connection, now_us: int, *, limit: int) -> list[int]:
    """Return the messages that are due, the oldest first."""
    query = select(messages.c.id).where(messages.c.state.in_(_OPEN), messages.c.next_us <= now_us)
    return list(connection.scalars(query.order_by(messages.c.next_us, messages.c.id).limit(limit)))


def lock_due(connection: Connection, message_id: int, now_us: int) -> Due | None:
    """Return a message if it is still due; its account is locked, None if others were faster."""
    query = select(messages.c.account_id).where(messages.c.id == message_id)
    account_id = connection.scalar(query)
    mine = select(accounts.c.id).where(accounts.c.id == account_id)
    connection.execute(mine.with_for_update())
    row = connection.execute(
        select(messages, projects.c.time_zone)
        .join(projects, projects.c.id == messages.c.project_id)
        .where(
            messages.c.id == message_id,
            messages.c.state.in_(_OPEN),
            messages.c.next_us <= now_us,
        )
    ).one_or_none()
    if row is None:
        return None
    outgoing = Outgoing(row.id, row.recipient, row.text)
    return Due(row.project_id, row.account_id, row.via, row.attempts, row.time_zone, outgoing)


def attempted_since(connection: Connection, due: Due, since_us: int) -> int:
    """Return how many other messages of an account were sent since, or are on their way."""
    query = select(func.count()).where(
        messages.c.account_id == due.account_id,
        messages.c.id != due.outgoing.id,
        messages.c.attempted_us >= since_us,
        or_(messages.c.state == State.SENT, messages.c.state == State.WAITING),
    )
    return connection.scalar(query) or 0


def postpone(connection: Connection, due: Due, until_us: int) -> None:
    """Let a message wait without an attempt."""
    _change(connection, due, next_us=until_us)


def begin(connection: Connection, due: Due, *, now_us: int, next_us: int) -> None:
    """Count an attempt before it is made: who dies in it leaves the message to be sent again."""
    _change(
        connection,
        due,
        attempts=due.attempts + 1,
        attempted_us=now_us,
        next_us=next_us,
        state=State.WAITING,
    )


def settle(
    connection: Connection, due: Due, state: State, *, sent_us: int | None = None, reason: str = ""
) -> None:
    """Say what came of an attempt."""
    _change(connection, due, state=state, sent_us=sent_us, reason=reason)


def messages_of(connection: Connection, account_ids: Collection[str]) -> dict[int, Message]:
    """Return the messages of accounts by the reminder that they belong to."""
    query = select(*(messages.c[name] for name in Message.__dataclass_fields__)).where(
        messages.c.account_id.in_(account_ids), messages.c.reminder_id.is_not(None)
    )
    return {
        row["reminder_id"]: Message(**{**row, "state": State(row["state"])})
        for row in connection.execute(query).mappings()
    }


def _change(connection: Connection, due: Due, **values: object) -> None:
    mine = messages.c.id == due.outgoing.id
    connection.execute(update(messages).where(mine).values(**values))
