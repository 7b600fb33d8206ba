"""Bills, line items, the state of bill runs and public sheets, as rows for pages."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, or_, select

from cloud.billing.bill_tables import bills, credit_notes, line_items
from cloud.billing.run_tables import bill_runs, exceptions
from cloud.errors import NotFoundError
from cloud.ledger.tables import accounts
from cloud.metering.tables import meter_points
from cloud.sites.tables import buildings, premises

PAGE: Final = 50
# what was taken back counts for nothing
_STANDING_FEN: Final = case((credit_notes.c.bill_id.is_(None), bills.c.total_fen), else_=0)


@dataclass(frozen=True)
class BillRow:
    """A bill in a list."""

    id: str
    premise_id: str
    premise_name: str
    building_name: str
    building_name_en: str
    holder: str
    service: str
    period: str
    revision: int
    quantity: str | None
    estimated: bool
    total_fen: int
    posted_us: int
    tariff_id: str | None
    number: str
    account_id: str
    # the credit note 冲红 that takes it back
    credit_number: str | None
    credit_reason: str | None


@dataclass(frozen=True)
class BillPage:
    """Some bills of a longer list, and the sum of the whole list."""

    rows: tuple[BillRow, ...]
    total: int
    sum_fen: int


@dataclass(frozen=True)
class BillFilter:
    """Which bills of a project are wanted; empty means all."""

    period: str = ""
    building: str = ""
    service: str = ""
    text: str = ""
    premise: str = ""


@dataclass(frozen=True)
class LineItem:
    """A printed row of a bill."""

    position: int
    code: str
    description: str
    description_en: str
    quantity: str
    uom: str
    unit_price: str
    amount_fen: int
    formula: str


@dataclass(frozen=True)
class BillException:
    """What could not be billed, and why: a meter point, a pool's master, or a charge item."""

    subject: str
    meter_point_name: str | None
    premise_name: str | None
    building_name: str | None
    reason: str


@dataclass(frozen=True)
class BillRun:
    """What a bill run did for a period."""

    phase: str
    finished_us: int | None
    bills: int
    held: int


def periods_of(connection: Connection, project_id: str, premise_id: str = "") -> list[str]:
    """Return the periods that have bills (or a bill run), newest first."""
    query = select(bills.c.period).where(bills.c.project_id == project_id).distinct()
    if premise_id:
        return sorted(
            connection.scalars(query.where(bills.c.premise_id == premise_id)), reverse=True
        )
    runs = select(bill_runs.c.period).where(bill_runs.c.project_id == project_id)
    return sorted({*connection.scalars(query), *connection.scalars(runs)}, reverse=True)


def bills_of(
    connection: Connection,
    project_id: str,
    wanted: BillFilter,
    *,
    offset: int = 0,
    limit: int | None = PAGE,
    sort: str = "",
) -> BillPage:
    """Return bills by building and premise (or by total with sort=total), with their sum."""
    matches = _matches(project_id, wanted)
    count, sum_fen = connection.execute(
        _joined(select(func.count(), func.coalesce(func.sum(_STANDING_FEN), 0))).where(*matches)
    ).one()
    by_place = (buildings.c.position, premises.c.id, bills.c.service, bills.c.revision)
    order = (bills.c.total_fen.desc(), *by_place) if sort == "total" else by_place
    query = _rows().where(*matches).order_by(bills.c.period.desc(), *order).offset(offset)
    if limit is not None:
        query = query.limit(limit)
    return BillPage(tuple(_bill(row) for row in connection.execute(query)), count, int(sum_fen))


def bill_of(connection: Connection, project_id: str, bill_id: str) -> BillRow:
    """Return a bill; NotFoundError for one that is not in this project."""
    row = connection.execute(
        _rows().where(bills.c.project_id == project_id, bills.c.id == bill_id)
    ).one_or_none()
    if row is None:
        message = f"there is no bill {bill_id}"
        raise NotFoundError(message)
    return _bill(row)


def items_of(connection: Connection, bill_id: str) -> list[LineItem]:
    """Return the line items of a bill as printed."""
    query = (
        select(*(line_items.c[name] for name in LineItem.__dataclass_fields__))
        .where(line_items.c.bill_id == bill_id)
        .order_by(line_items.c.position)
    )
    return [LineItem(*row) for row in connection.execute(query)]


def run_of(connection: Connection, project_id: str, period: str) -> BillRun | None:
    """Return what the bill run of a period did, None before it ran."""
    row = connection.execute(
        select(*(bill_runs.c[name] for name in BillRun.__dataclass_fields__)).where(
            bill_runs.c.project_id == project_id,
            bill_runs.c.period == period,
            bill_runs.c.number == 1,
        )
    ).one_or_none()
    return None if row is None else BillRun(*row)


def exceptions_of(connection: Connection, project_id: str, period: str) -> list[BillException]:
    """Return what could not be billed in a period."""
    query = (
        select(exceptions.c.subject, meter_points.c.name, premises.c.name, buildings.c.name)
        .add_columns(exceptions.c.reason)
        .select_from(exceptions)
        .outerjoin(meter_points, meter_points.c.id == exceptions.c.meter_point_id)
        .outerjoin(accounts, accounts.c.id == exceptions.c.account_id)
        .outerjoin(
            premises,
            premises.c.id == func.coalesce(meter_points.c.premise_id, accounts.c.premise_id),
        )
        .outerjoin(
            buildings,
            buildings.c.id == func.coalesce(meter_points.c.building_id, premises.c.building_id),
        )
        .where(exceptions.c.project_id == project_id, exceptions.c.period == period)
        .order_by(buildings.c.position, exceptions.c.subject)
    )
    return [BillException(*row) for row in connection.execute(query)]


def _matches(project_id: str, wanted: BillFilter) -> list[ColumnElement[bool]]:
    matches: list[ColumnElement[bool]] = [bills.c.project_id == project_id]
    for column, value in (
        (bills.c.period, wanted.period),
        (premises.c.building_id, wanted.building),
        (bills.c.service, wanted.service),
        (bills.c.premise_id, wanted.premise),
    ):
        if value:
            matches.append(column == value)
    if wanted.text:
        matches.append(
            or_(
                *(
                    column.icontains(wanted.text, autoescape=True)
                    for column in (premises.c.name, bills.c.holder, premises.c.phone, bills.c.id)
                )
            )
        )
    return matches


def _joined(query: Select[Any]) -> Select[Any]:
    return (
        query.select_from(bills)
        .join(premises, premises.c.id == bills.c.premise_id)
        .join(buildings, buildings.c.id == premises.c.building_id)
        .outerjoin(credit_notes, credit_notes.c.bill_id == bills.c.id)
    )


def _rows() -> Select[Any]:
    return _joined(
        select(
            bills,
            premises.c.name.label("premise_name"),
            buildings.c.name.label("building_name"),
            buildings.c.name_en.label("building_name_en"),
            credit_notes.c.number.label("credit_number"),
            credit_notes.c.reason.label("credit_reason"),
        )
    )


def _bill(row: Row[Any]) -> BillRow:
    return BillRow(
        row.id,
        row.premise_id,
        row.premise_name,
        row.building_name,
        row.building_name_en,
        row.holder,
        row.service,
        row.period,
        row.revision,
        row.quantity,
        bool(row.estimated),
        row.total_fen,
        row.posted_us,
        row.tariff_id,
        row.number,
        row.account_id,
        row.credit_number,
        row.credit_reason,
    )
