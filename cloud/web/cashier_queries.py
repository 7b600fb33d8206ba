"""Accounts as the cashier looks for them, and what a list of them owes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, case, func, or_, select

from cloud.ledger.approvals import Ask, State, requests_of
from cloud.ledger.entries import Book
from cloud.ledger.reports import takings
from cloud.ledger.tables import accounts, entries, lines
from cloud.sites.tables import buildings, premises

PAGE: Final = 50


@dataclass(frozen=True)
class AccountRow:
    """An account with what it owes and has prepaid, in fen."""

    id: str
    holder: str
    phone: str
    premise_name: str
    building_name: str
    building_name_en: str
    closed_on: date | None
    owed_fen: int
    prepaid_fen: int


@dataclass(frozen=True)
class Found:
    """One page of accounts and how many there are in all."""

    rows: Sequence[AccountRow]
    total: int


def accounts_like(connection: Connection, project_id: str, text: str, *, offset: int) -> Found:
    """Return the accounts whose premise, holder or phone has the text, who owes most first."""
    owed = _sum(Book.RECEIVABLE)
    sums = (
        select(
            entries.c.account_id,
            owed.label("owed"),
            (-_sum(Book.PREPAID)).label("prepaid"),
        )
        .join_from(entries, lines, lines.c.entry_id == entries.c.id)
        .where(entries.c.project_id == project_id)
        .group_by(entries.c.account_id)
        .subquery()
    )
    query = (
        _named(project_id)
        .add_columns(
            func.coalesce(sums.c.owed, 0).label("owed_fen"),
            func.coalesce(sums.c.prepaid, 0).label("prepaid_fen"),
        )
        .outerjoin(sums, sums.c.account_id == accounts.c.id)
    )
    if text:
        like = f"%{text.replace('%', '').replace('_', '')}%"
        place = buildings.c.name + premises.c.name
        query = query.where(
            or_(
                accounts.c.holder.like(like),
                premises.c.name.like(like),
                premises.c.phone.like(like),
                place.like(like.replace(" ", "")),
            )
        )
    total = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(func.coalesce(sums.c.owed, 0).desc(), accounts.c.id)
    found = connection.execute(ordered.offset(offset).limit(PAGE))
    rows = [
        AccountRow(
            **{**row, "owed_fen": int(row["owed_fen"]), "prepaid_fen": int(row["prepaid_fen"])}
        )
        for row in found.mappings()
    ]
    return Found(rows, total)


def account_row(connection: Connection, project_id: str, account_id: str) -> AccountRow | None:
    """Return who an account is, without its sums; None if it is unknown."""
    return accounts_of(connection, project_id, {account_id}).get(account_id)


def accounts_of(
    connection: Connection, project_id: str, account_ids: Collection[str]
) -> dict[str, AccountRow]:
    """Return who accounts are, without their sums, by id."""
    query = _named(project_id).where(accounts.c.id.in_(account_ids))
    return {
        row["id"]: AccountRow(**row, owed_fen=0, prepaid_fen=0)
        for row in connection.execute(query).mappings()
    }


def taken_on(connection: Connection, project_id: str, day: date) -> dict[str, int]:
    """Return what a day has brought by channel, less what was given back, in fen."""
    rows = takings(connection, project_id, first=day, last=day)
    return {row.channel: row.taken_fen - row.given_fen for row in rows}


def waiting(connection: Connection, project_id: str) -> int:
    """Return how many requests wait for somebody's approval."""
    return sum(item.state is State.WAITING for item in requests_of(connection, project_id))


def voids_asked(connection: Connection, project_id: str, account_id: str) -> set[int]:
    """Return the entries of an account whose void waits for approval."""
    return {
        int(str(item.subject["entry_id"]))
        for item in requests_of(connection, project_id, account_id=account_id)
        if item.kind is Ask.VOID and item.state is State.WAITING
    }


def _named(project_id: str) -> Select[Any]:
    return (
        select(
            accounts.c.id,
            accounts.c.holder,
            premises.c.phone,
            premises.c.name.label("premise_name"),
            buildings.c.name.label("building_name"),
            buildings.c.name_en.label("building_name_en"),
            accounts.c.closed_on,
        )
        .join(premises, premises.c.id == accounts.c.premise_id)
        .join(buildings, buildings.c.id == premises.c.building_id)
        .where(accounts.c.project_id == project_id)
    )


def _sum(book: Book) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((lines.c.book == book, lines.c.amount_fen), else_=0)), 0)
