"""What was bought and sold by master meter, and what was changed in the books and by whom."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, func, select

from cloud.billing.bill_repository import is_standing
from cloud.billing.bill_tables import bills, pool_statements
from cloud.billing.tables import pools, supplier_invoices
from cloud.ledger.entries import CHARGING, Book, Kind
from cloud.ledger.tables import accounts, entries, lines
from cloud.metering.repository import MeterPoint, meter_points_of
from cloud.metering.tables import meter_points
from cloud.money import EXACT, round_to_fen
from cloud.sites.tables import buildings, premises

CHANGING: Final = (Kind.VOID, Kind.RELIEF, Kind.REFUND, Kind.CREDIT_NOTE, Kind.TRANSFER)


@dataclass(frozen=True)
class Spread:
    """What the supplier charged for a master meter, and what its sub-meters were charged."""

    period: str
    building: str
    master: str
    invoice: str
    uom: str
    bought: Decimal
    bought_fen: int
    sold: Decimal
    sold_fen: int
    shared_fen: int

    @property
    def lost(self) -> Decimal:
        """Give what was bought and not sold."""
        return EXACT.subtract(self.bought, self.sold)

    @property
    def gained_fen(self) -> int:
        """Give what was charged beyond what was paid; below 0 where less was."""
        return self.sold_fen + self.shared_fen - self.bought_fen


@dataclass(frozen=True)
class Change:
    """An entry that undid, forgave or gave back something."""

    entered_us: int
    kind: str
    number: str
    account: str
    building: str
    premise: str
    holder: str
    of_number: str
    amount_fen: int
    entered_by: str
    note: str


@dataclass(frozen=True)
class Behind:
    """What hangs behind a master and behind no other one that is bought by an invoice of its own.

    `masters` are it and those right behind one another; of a home whose meters hang behind several
    of them the first by meter point id counts.
    """

    homes: frozenset[str]
    masters: frozenset[str]


def behind_each(points: Sequence[MeterPoint], bought: Collection[str]) -> dict[str, Behind]:
    """Return what each master that is bought by an invoice sells; nothing is sold twice."""
    parents = {point.id: point.parent_id for point in points}
    homes: dict[tuple[str, str], str] = {}
    masters: dict[str, set[str]] = {name: {name} for name in bought}
    for point in sorted(points, key=lambda point: point.id):
        master: str | None = point.id if point.id in bought else point.parent_id
        seen = {point.id}
        while master is not None and master not in bought and master not in seen:
            seen.add(master)
            master = parents.get(master)
        if master is None or master not in bought:
            continue
        if point.premise_id is not None:
            homes.setdefault((point.premise_id, point.service), master)
        else:
            masters[master].add(point.id)
    return {
        name: Behind(
            frozenset(premise for (premise, _), of in homes.items() if of == name),
            frozenset(masters[name]),
        )
        for name in bought
    }


def spreads(connection: Connection, project_id: str, *, first: str, last: str) -> list[Spread]:
    """Return each supplier's invoice of periods first .. last beside what was sold behind it."""
    query = (
        select(
            supplier_invoices,
            meter_points.c.id,
            meter_points.c.name.label("master"),
            meter_points.c.uom,
            meter_points.c.service,
            buildings.c.name.label("building"),
        )
        .join(meter_points, meter_points.c.id == supplier_invoices.c.meter_point_id)
        .join(buildings, buildings.c.id == meter_points.c.building_id)
        .where(
            meter_points.c.project_id == project_id,
            supplier_invoices.c.period.between(first, last),
        )
        .order_by(supplier_invoices.c.period, buildings.c.position, meter_points.c.id)
    )
    found: list[Spread] = []
    rows = connection.execute(query).all()
    points = meter_points_of(connection, project_id)
    bought: dict[str, set[str]] = {}
    for row in rows:
        bought.setdefault(row.period, set()).add(row.id)
    behind = {period: behind_each(points, masters) for period, masters in bought.items()}
    for row in rows:
        mine = behind[row.period][row.id]
        sold, sold_fen = _sold(connection, mine.homes, row.service, row.period)
        found.append(
            Spread(
                row.period,
                row.building,
                row.master,
                row.number,
                row.uom,
                Decimal(row.quantity),
                round_to_fen(Decimal(row.amount)),
                sold,
                sold_fen,
                _shared_fen(connection, mine.masters, row.period),
            )
        )
    return found


def changes(connection: Connection, project_id: str, *, from_on: date, to_on: date) -> list[Change]:
    """Return the voids, reliefs, refunds, credit notes and transfers of the days from .. to."""
    undone = entries.alias()
    money = (
        select(
            lines.c.entry_id,
            func.sum(lines.c.amount_fen).filter(lines.c.amount_fen > 0).label("fen"),
        )
        .group_by(lines.c.entry_id)
        .subquery()
    )
    query = (
        select(
            entries.c.entered_us,
            entries.c.kind,
            func.coalesce(entries.c.number, ""),
            accounts.c.id,
            buildings.c.name,
            premises.c.name,
            accounts.c.holder,
            func.coalesce(undone.c.number, ""),
            func.coalesce(money.c.fen, 0),
            entries.c.entered_by,
            entries.c.note,
        )
        .select_from(entries)
        .join(accounts, accounts.c.id == entries.c.account_id)
        .join(premises, premises.c.id == accounts.c.premise_id)
        .join(buildings, buildings.c.id == premises.c.building_id)
        .join(money, money.c.entry_id == entries.c.id)
        .outerjoin(undone, undone.c.id == entries.c.reverses)
        .where(
            entries.c.project_id == project_id,
            entries.c.kind.in_(CHANGING),
            entries.c.entered_on.between(from_on, to_on),
        )
        .order_by(entries.c.id)
    )
    # PostgreSQL adds integers up to a decimal
    found: list[Change] = []
    for row in connection.execute(query):
        made = Change(*row)
        found.append(replace(made, amount_fen=int(made.amount_fen)))
    return found


def _sold(
    connection: Connection, homes: Collection[str], service: str, period: str
) -> tuple[Decimal, int]:
    query = select(bills.c.quantity).where(
        bills.c.premise_id.in_(homes),
        bills.c.service == service,
        bills.c.period == period,
        is_standing(),
    )
    quantity = Decimal(0)
    for text in connection.scalars(query):
        quantity = EXACT.add(quantity, Decimal(text or 0))
    charged_fen = connection.scalar(
        select(func.coalesce(func.sum(lines.c.amount_fen), 0))
        .join_from(lines, entries, entries.c.id == lines.c.entry_id)
        .join(accounts, accounts.c.id == entries.c.account_id)
        .where(
            accounts.c.premise_id.in_(homes),
            lines.c.book == Book.RECEIVABLE,
            lines.c.item == service,
            lines.c.period == period,
            lines.c.late.is_(False),
            entries.c.counts_as.in_(CHARGING),
        )
    )
    return quantity, int(charged_fen or 0)


def _shared_fen(connection: Connection, masters: Collection[str], period: str) -> int:
    total_fen = connection.scalar(
        select(
            func.coalesce(func.sum(pool_statements.c.total_fen - pool_statements.c.company_fen), 0)
        )
        .join(pools, pools.c.id == pool_statements.c.pool_id)
        .where(pools.c.master_id.in_(masters), pool_statements.c.period == period)
    )
    return int(total_fen or 0)
