"""All SQL of bill runs, bills, pools and supplier invoices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, func, select

from cloud.billing.tables import (
    bill_runs,
    bills,
    exceptions,
    line_items,
    pool_shares,
    pool_statements,
    pools,
    services,
    supplier_invoices,
    tariff_texts,
)
from cloud.database import insert_new, upsert
from cloud.metering.tables import meter_points
from cloud.sites.tables import premises, projects
from cloud.tariffs.usage import Premise, SupplierInvoice


@dataclass(frozen=True)
class ServiceEntry:
    """Which tariff rates a meter point, and what was used before we began to bill."""

    meter_point_id: str
    tariff_id: str
    cutover_on: date
    used_before: Decimal


@dataclass(frozen=True)
class Pool:
    """Something shared 公摊; it is off while the resolution or the cap is missing."""

    id: str
    building_id: str
    name: str
    name_en: str
    kind: str
    master_id: str
    resolution: str | None
    cap_percent: Decimal | None

    @property
    def is_on(self) -> bool:
        """Say whether a resolution and a cap are on file."""
        return self.resolution is not None and self.cap_percent is not None


@dataclass(frozen=True)
class Holder:
    """A premise as its bills see it."""

    id: str
    building_id: str
    kind: str
    holder: str
    area_m2: Decimal
    facts: Premise


@dataclass(frozen=True)
class Run:
    """A finished bill run."""

    project_id: str
    period: str
    finished_us: int
    bills: int
    held: int


def time_zone(connection: Connection, project_id: str) -> str | None:
    """Return a project's time zone, None if there is no such project."""
    return connection.scalar(select(projects.c.time_zone).where(projects.c.id == project_id))


def lock_project(connection: Connection, project_id: str) -> None:
    """Let only one bill run of a project go on at a time."""
    connection.execute(select(projects.c.id).where(projects.c.id == project_id).with_for_update())


def first_cutover(connection: Connection, project_id: str) -> date | None:
    """Return the first day that a project is billed for, None if nothing is."""
    query = (
        select(func.min(services.c.cutover_on))
        .join(meter_points, meter_points.c.id == services.c.meter_point_id)
        .where(meter_points.c.project_id == project_id)
    )
    begun: date | None = connection.scalar(query)
    return begun


def run_of(connection: Connection, project_id: str, period: str) -> Run | None:
    """Return the run of a period, None if it has not been run."""
    row = (
        connection.execute(
            select(bill_runs).where(
                bill_runs.c.project_id == project_id, bill_runs.c.period == period
            )
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else Run(**row)


def save_run(connection: Connection, run: Run) -> None:
    """Remember that a period was billed; the primary key lets only one run commit."""
    connection.execute(bill_runs.insert().values(**vars(run)))


def services_of(connection: Connection) -> dict[str, ServiceEntry]:
    """Return the service of each meter point that is billed by a tariff."""
    return {
        row.meter_point_id: ServiceEntry(
            row.meter_point_id, row.tariff_id, row.cutover_on, Decimal(row.used_before)
        )
        for row in connection.execute(select(services))
    }


def holders(connection: Connection, project_id: str) -> dict[str, Holder]:
    """Return the premises of a project."""
    query = select(premises).where(premises.c.project_id == project_id)
    return {
        row.id: Holder(
            row.id,
            row.building_id,
            row.kind,
            row.holder,
            Decimal(row.area_m2),
            Premise(area_m2=Decimal(row.area_m2), people=row.people, households=row.households),
        )
        for row in connection.execute(query)
    }


def pools_of(connection: Connection, project_id: str) -> list[Pool]:
    """Return the pools of a project, by id."""
    query = select(pools).where(pools.c.project_id == project_id).order_by(pools.c.id)
    return [
        Pool(
            row.id,
            row.building_id,
            row.name,
            row.name_en,
            row.kind,
            row.master_id,
            row.resolution,
            None if row.cap_percent is None else Decimal(row.cap_percent),
        )
        for row in connection.execute(query)
    ]


def invoice_of(connection: Connection, meter_point_id: str, period: str) -> SupplierInvoice | None:
    """Return the supplier's invoice for a master meter and period."""
    row = connection.execute(
        select(supplier_invoices).where(
            supplier_invoices.c.meter_point_id == meter_point_id,
            supplier_invoices.c.period == period,
        )
    ).one_or_none()
    if row is None:
        return None
    return SupplierInvoice(amount=Decimal(row.amount), quantity=Decimal(row.quantity))


def billed_between(
    connection: Connection, premise_id: str, service: str, low: str, high: str
) -> Decimal:
    """Return the quantity on the latest revisions of periods low <= period < high."""
    query = (
        select(bills.c.period, bills.c.quantity)
        .where(
            bills.c.premise_id == premise_id,
            bills.c.service == service,
            bills.c.period >= low,
            bills.c.period < high,
        )
        .order_by(bills.c.period, bills.c.revision)
    )
    latest = {row.period: Decimal(row.quantity or 0) for row in connection.execute(query)}
    return sum(latest.values(), Decimal(0))


def save_bills(
    connection: Connection,
    rows: Sequence[dict[str, object]],
    items: Sequence[dict[str, object]],
) -> None:
    """Post bills with their line items."""
    if rows:
        connection.execute(bills.insert(), rows)
    if items:
        connection.execute(line_items.insert(), items)


def save_statements(
    connection: Connection,
    statements: Sequence[dict[str, object]],
    shares: Sequence[dict[str, object]],
) -> None:
    """Post public sheets 公示表 with every premise's share."""
    if statements:
        connection.execute(pool_statements.insert(), statements)
    if shares:
        connection.execute(pool_shares.insert(), shares)


def save_exceptions(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    """Remember what could not be billed, and why."""
    upsert(connection, exceptions, rows)


def save_tariff(connection: Connection, digest: str, tariff_id: str, text: str) -> None:
    """Keep a tariff's text under its hash."""
    row = {"hash": digest, "tariff_id": tariff_id, "text": text}
    insert_new(connection, tariff_texts, [row])
