"""What was charged, received, relieved, offset and is owed: by item and period, or building."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from sqlalchemy import Connection, case, func, select

from cloud.ledger.accounts import Sums
from cloud.ledger.entries import COLUMNS, Book
from cloud.ledger.tables import accounts, entries, lines
from cloud.sites.tables import premises

By = Literal["item", "period", "building", "account"]


@dataclass(frozen=True)
class CollectionRow(Sums):
    """One row of the report; `name` has what it is grouped by."""

    name: tuple[str, ...]


def collection(
    connection: Connection,
    project_id: str,
    *,
    first: str,
    last: str,
    by: Sequence[By] = ("period", "item"),
) -> list[CollectionRow]:
    """Return the charges of periods first .. last as they stand now, grouped."""
    columns = {
        "item": lines.c.item,
        "period": lines.c.period,
        "building": premises.c.building_id,
        "account": entries.c.account_id,
    }
    groups = [columns[name] for name in by]
    amount = lines.c.amount_fen
    sums = [
        func.coalesce(func.sum(case((entries.c.counts_as.in_(kinds), sign * amount), else_=0)), 0)
        for kinds, sign in COLUMNS
    ]
    query = (
        select(*groups, *sums)
        .join_from(lines, entries, entries.c.id == lines.c.entry_id)
        .join(accounts, accounts.c.id == entries.c.account_id)
        .join(premises, premises.c.id == accounts.c.premise_id)
        .where(
            entries.c.project_id == project_id,
            lines.c.book == Book.RECEIVABLE,
            lines.c.period.between(first, last),
        )
        .group_by(*groups)
        .order_by(*groups)
    )
    rows = []
    for row in connection.execute(query):
        charged, received, relieved, offset = map(int, row[len(by) :])
        name = tuple(map(str, row[: len(by)]))
        rows.append(CollectionRow(charged, received, relieved, offset, name))
    return rows


@dataclass(frozen=True)
class TakingsRow:
    """What came in and went out by one channel on one day, in fen."""

    day: date
    channel: str
    taken_fen: int
    given_fen: int


def takings(
    connection: Connection, project_id: str, *, first: date, last: date
) -> list[TakingsRow]:
    """Return the takings by channel of the days first .. last, voids included."""
    amount = lines.c.amount_fen
    query = (
        select(
            entries.c.entered_on,
            lines.c.channel,
            func.sum(case((amount > 0, amount), else_=0)),
            func.sum(case((amount < 0, -amount), else_=0)),
        )
        .join_from(lines, entries, entries.c.id == lines.c.entry_id)
        .where(
            entries.c.project_id == project_id,
            lines.c.book == Book.CASH,
            entries.c.entered_on.between(first, last),
        )
        .group_by(entries.c.entered_on, lines.c.channel)
        .order_by(entries.c.entered_on, lines.c.channel)
    )
    return [
        TakingsRow(row[0], row[1], int(row[2]), int(row[3])) for row in connection.execute(query)
    ]
