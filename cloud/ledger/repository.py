"""All SQL of the ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, func, select

from cloud.bulk import insert_rows, take_ids
from cloud.database import insert_new
from cloud.errors import NotFoundError
from cloud.ledger.entries import Book, Charge, Entry, Kind, Line
from cloud.ledger.tables import accounts, entries, lines, numbers
from cloud.sites.tables import premises


@dataclass(frozen=True)
class Account:
    """Who is charged for a premise."""

    id: str
    project_id: str
    premise_id: str
    holder: str


@dataclass(frozen=True)
class Entered:
    """An entry in the books; `counts_as` is its kind, or that of the entry which it undoes."""

    id: int
    account_id: str
    entry: Entry
    counts_as: Kind
    key: str
    request: str
    number: str | None
    reverses: int | None
    entered_on: date
    entered_us: int
    entered_by: str
    note: str


@dataclass(frozen=True)
class Fresh:
    """An entry that is about to be made."""

    account_id: str
    entry: Entry
    key: str
    request: str
    counts_as: Kind
    number: str | None = None
    reverses: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Stamp:
    """Whose books, and who enters something when."""

    project_id: str
    entered_on: date
    entered_us: int
    entered_by: str


def open_accounts(connection: Connection, project_id: str, opened_on: date) -> int:
    """Open an account for every premise that has none; return how many."""
    held = select(accounts.c.premise_id)
    query = select(premises.c.id, premises.c.holder).where(
        premises.c.project_id == project_id, premises.c.id.not_in(held)
    )
    rows = [
        {
            "id": row.id,
            "project_id": project_id,
            "premise_id": row.id,
            "holder": row.holder,
            "opened_on": opened_on,
        }
        for row in connection.execute(query)
    ]
    insert_new(connection, accounts, rows)
    return len(rows)


def open_accounts_of(connection: Connection, project_id: str) -> dict[str, str]:
    """Return the open account of each premise of a project."""
    query = select(accounts.c.premise_id, accounts.c.id).where(
        accounts.c.project_id == project_id, accounts.c.closed_on.is_(None)
    )
    return {row.premise_id: row.id for row in connection.execute(query)}


def account(
    connection: Connection, project_id: str, account_id: str, *, lock: bool = False
) -> Account:
    """Return an account, locked against every other payment if asked; NotFoundError."""
    query = select(accounts).where(accounts.c.id == account_id, accounts.c.project_id == project_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        message = f"account {account_id!r} is unknown"
        raise NotFoundError(message)
    return Account(row.id, row.project_id, row.premise_id, row.holder)


def add_entries(connection: Connection, stamp: Stamp, fresh: Sequence[Fresh]) -> list[int]:
    """Enter balanced entries; return their ids, in order."""
    if not fresh:
        return []
    ids = take_ids(connection, entries, len(fresh))
    stamped = (stamp.project_id, stamp.entered_on, stamp.entered_us, stamp.entered_by)
    insert_rows(
        connection,
        entries,
        (
            *("id", "project_id", "entered_on", "entered_us", "entered_by", "account_id"),
            *("kind", "counts_as", "key", "request", "number", "reverses", "note"),
        ),
        [
            (
                *(identity, *stamped, each.account_id, each.entry.kind.value),
                *(each.counts_as.value, each.key, each.request),
                *(each.number, each.reverses, each.note),
            )
            for identity, each in zip(ids, fresh, strict=True)
        ],
    )
    insert_rows(
        connection,
        lines,
        ("entry_id", "position", "book", "amount_fen", "channel", "period", "item", "late"),
        [
            (identity, place, line.book.value, line.amount_fen, line.channel, *_owed(line.charge))
            for identity, each in zip(ids, fresh, strict=True)
            for place, line in enumerate(each.entry.lines)
        ],
    )
    return list(ids)


def next_numbers(connection: Connection, project_id: str, kind: str, *, count: int = 1) -> int:
    """Take the next numbers of a kind of document: none is left out; return the first of them."""
    insert_new(connection, numbers, [{"project_id": project_id, "kind": kind, "last": 0}])
    mine = (numbers.c.project_id == project_id) & (numbers.c.kind == kind)
    taken = connection.execute(
        numbers.update().where(mine).values(last=numbers.c.last + count).returning(numbers.c.last)
    )
    return int(taken.scalar_one()) - count + 1


def entry_of_key(connection: Connection, project_id: str, key: str) -> Entered | None:
    """Return what was entered under a key, None if nothing was."""
    query = select(entries).where(entries.c.project_id == project_id, entries.c.key == key)
    return next(iter(_entered(connection, connection.execute(query).all())), None)


def keys_held(connection: Connection, project_id: str, keys: Sequence[str]) -> set[str]:
    """Return those of some keys under which something was entered."""
    query = select(entries.c.key).where(entries.c.project_id == project_id, entries.c.key.in_(keys))
    return set(connection.scalars(query))


def entry(connection: Connection, project_id: str, entry_id: int) -> Entered:
    """Return one entry; NotFoundError."""
    query = select(entries).where(entries.c.project_id == project_id, entries.c.id == entry_id)
    found = _entered(connection, connection.execute(query).all())
    if not found:
        message = f"entry {entry_id} is unknown"
        raise NotFoundError(message)
    return found[0]


def reversal_of(connection: Connection, entry_id: int) -> int | None:
    """Return the entry that undoes one, None if none does."""
    return connection.scalar(select(entries.c.id).where(entries.c.reverses == entry_id))


def entries_of(connection: Connection, account_id: str) -> list[Entered]:
    """Return all entries of an account, in the order they were made."""
    query = select(entries).where(entries.c.account_id == account_id).order_by(entries.c.id)
    return _entered(connection, connection.execute(query).all())


def entries_by_account(
    connection: Connection, account_ids: Sequence[str]
) -> dict[str, list[Entered]]:
    """Return all entries of accounts, in the order they were made."""
    query = select(entries).where(entries.c.account_id.in_(account_ids)).order_by(entries.c.id)
    found: dict[str, list[Entered]] = {name: [] for name in account_ids}
    for entered in _entered(connection, connection.execute(query).all()):
        found[entered.account_id].append(entered)
    return found


def imbalance(connection: Connection) -> list[int]:
    """Return the entries whose lines do not add up to zero: none, ever."""
    query = (
        select(lines.c.entry_id)
        .group_by(lines.c.entry_id)
        .having(func.sum(lines.c.amount_fen) != 0)
    )
    return list(connection.scalars(query))


def _owed(charge: Charge | None) -> tuple[str | None, str | None, bool]:
    return (None, None, False) if charge is None else (charge.period, charge.item, charge.late)


def _entered(connection: Connection, rows: Iterable[Row[Any]]) -> list[Entered]:
    rows = list(rows)
    if not rows:
        return []
    found: dict[int, list[Line]] = {}
    query = (
        select(lines)
        .where(lines.c.entry_id.in_([row.id for row in rows]))
        .order_by(lines.c.entry_id, lines.c.position)
    )
    for line in connection.execute(query):
        charge = None if line.period is None else Charge(line.period, line.item, line.late)
        made = Line(Book(line.book), line.amount_fen, charge, line.channel)
        found.setdefault(line.entry_id, []).append(made)
    return [
        Entered(
            row.id,
            row.account_id,
            Entry(Kind(row.kind), tuple(found[row.id])),
            Kind(row.counts_as),
            row.key,
            row.request,
            row.number,
            row.reverses,
            row.entered_on,
            row.entered_us,
            row.entered_by,
            row.note,
        )
        for row in rows
    ]
