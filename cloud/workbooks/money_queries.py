"""Sums of the ledger for reports: what became of charges, and how old what is owed is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, select

from cloud.errors import CloudError
from cloud.ledger.accounts import Sums
from cloud.ledger.entries import COLUMNS, Book
from cloud.ledger.tables import accounts, entries, lines
from cloud.sites.tables import buildings, premises


class UnbalancedReportError(CloudError):
    """A row whose charges are not what was received, relieved, offset and is owed."""


@dataclass(frozen=True)
class Became(Sums):
    """What became of the charges of a group, with the receivable as the books have it."""

    name: tuple[str, ...]
    receivable_fen: int


@dataclass(frozen=True)
class OldArrears:
    """What became, in a span of days, of charges for periods before it."""

    name: tuple[str, ...]
    owed_before_fen: int
    charged_fen: int
    received_fen: int
    relieved_fen: int
    offset_fen: int
    owed_after_fen: int


@dataclass(frozen=True)
class AccountDebt:
    """What an account owes for one period."""

    account: str
    building: str
    premise: str
    holder: str
    period: str
    owed_fen: int


def became(
    connection: Connection, project_id: str, *, first: str, last: str, by: Sequence[str]
) -> list[Became]:
    """Return the charges of periods first .. last as they stand now, by item, period or building.

    UnbalancedReportError where the receivable is not what the columns leave of it.
    """
    groups = [_groups()[name] for name in by]
    query = (
        select(*groups, *_columns(), func.coalesce(func.sum(lines.c.amount_fen), 0))
        .select_from(_receivables())
        .where(_of(project_id), lines.c.period.between(first, last))
        .group_by(*groups, *_order(by))
        .order_by(*_order(by))
    )
    found: list[Became] = []
    for row in connection.execute(query):
        charged, received, relieved, offset, receivable_fen = map(int, row[len(groups) :])
        name = tuple(map(str, row[: len(groups)]))
        made = Became(charged, received, relieved, offset, name, receivable_fen)
        if made.owed_fen != receivable_fen:
            msg = (
                f"{' '.join(name)}: charged less received, relieved and offset leaves"
                f" {made.owed_fen} fen; the books have {receivable_fen}"
            )
            raise UnbalancedReportError(msg)
        found.append(made)
    return found


def old_arrears(
    connection: Connection, project_id: str, *, before: str, from_on: date, to_on: date
) -> list[OldArrears]:
    """Return what became of charges for periods before `before` on the days from_on .. to_on.

    UnbalancedReportError where the movements do not lead from what was owed to what is owed.
    """
    building, *order = _order(["building"])
    amount = lines.c.amount_fen
    is_within = entries.c.entered_on.between(from_on, to_on)
    is_before = entries.c.entered_on < from_on
    query = (
        select(
            buildings.c.name,
            _sum(case((is_before, amount), else_=0)),
            *_columns(is_within),
            _sum(case((entries.c.entered_on <= to_on, amount), else_=0)),
        )
        .select_from(_receivables())
        .where(_of(project_id), lines.c.period < before)
        .group_by(buildings.c.name, building, *order)
        .order_by(building, *order)
    )
    found: list[OldArrears] = []
    for name, *sums in connection.execute(query):
        made = OldArrears((str(name),), *map(int, sums))
        moved = made.charged_fen - made.received_fen - made.relieved_fen - made.offset_fen
        if made.owed_before_fen + moved != made.owed_after_fen:
            msg = (
                f"{name}: {made.owed_before_fen} fen were owed, {moved} were added, and"
                f" {made.owed_after_fen} are owed"
            )
            raise UnbalancedReportError(msg)
        found.append(made)
    return found


def debts(connection: Connection, project_id: str, *, last: str) -> list[AccountDebt]:
    """Return what each account owes for each period up to `last`, as it stands now."""
    by_place = (buildings.c.position, premises.c.id, accounts.c.id, lines.c.period)
    named = (
        accounts.c.id,
        buildings.c.name.label("building"),
        premises.c.name.label("premise"),
        accounts.c.holder,
        lines.c.period,
    )
    query = (
        select(*named, _sum(lines.c.amount_fen))
        .select_from(_receivables())
        .where(_of(project_id), lines.c.period <= last)
        .group_by(*named, buildings.c.position, premises.c.id)
        .having(func.sum(lines.c.amount_fen) != 0)
        .order_by(*by_place)
    )
    return [
        AccountDebt(account, building, premise, holder, period, int(owed_fen))
        for account, building, premise, holder, period, owed_fen in connection.execute(query)
    ]


def _receivables() -> Any:  # noqa: ANN401 - SQLAlchemy's own join
    return (
        lines.join(entries, entries.c.id == lines.c.entry_id)
        .join(accounts, accounts.c.id == entries.c.account_id)
        .join(premises, premises.c.id == accounts.c.premise_id)
        .join(buildings, buildings.c.id == premises.c.building_id)
    )


def _of(project_id: str) -> ColumnElement[bool]:
    return (entries.c.project_id == project_id) & (lines.c.book == Book.RECEIVABLE)


def _groups() -> dict[str, ColumnElement[Any]]:
    return {"item": lines.c.item, "period": lines.c.period, "building": buildings.c.name}


def _order(by: Sequence[str]) -> list[ColumnElement[Any]]:
    # two buildings may have one name
    order: dict[str, list[ColumnElement[Any]]] = {
        "item": [lines.c.item],
        "period": [lines.c.period],
        "building": [buildings.c.position, buildings.c.id],
    }
    return [column for name in by for column in order[name]]


def _columns(within: ColumnElement[bool] | None = None) -> list[ColumnElement[int]]:
    # 应收, 实收, 减免, 冲抵: each the kinds that count as it, with their sign
    return [
        _sum(
            case(
                (
                    entries.c.counts_as.in_(kinds)
                    if within is None
                    else entries.c.counts_as.in_(kinds) & within,
                    sign * lines.c.amount_fen,
                ),
                else_=0,
            )
        )
        for kinds, sign in COLUMNS
    ]


def _sum(amount: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(amount), 0)
