"""All SQL of what is charged to whom: households, services, terms, invoices, tariffs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal

import msgspec
from sqlalchemy import Connection, func, select

from cloud.billing.cycles import Cycle, Days
from cloud.billing.tables import (
    charge_terms,
    opening_uses,
    services,
    supplier_invoices,
    tariff_texts,
)
from cloud.database import insert_new
from cloud.ledger.tables import accounts
from cloud.metering.tables import meter_points
from cloud.sites.tables import premises, projects
from cloud.tariffs.usage import Premise, SupplierInvoice


@dataclass(frozen=True)
class ServiceEntry:
    """Which tariff rates a meter point, and from when on."""

    meter_point_id: str
    tariff_id: str
    cutover_on: date


@dataclass(frozen=True)
class OpeningUse:
    """What an account had used of its tier period before we began to bill."""

    account_id: str
    service: str
    as_of: date
    quantity: Decimal


@dataclass(frozen=True)
class Term:
    """A charge that recurs 周期性收费, with the facts of the premise that are its own."""

    account_id: str
    item: str
    tariff_id: str
    days: Days
    cycle: Cycle
    facts: Mapping[str, object]

    def premise(self, facts: Premise) -> Premise:
        """Return a premise as this term sees it."""
        if not self.facts:
            return facts
        return msgspec.convert({**asdict(facts), **self.facts}, Premise)


@dataclass(frozen=True)
class Household:
    """An account as its bills see it: who holds which premise, and for how long.

    `held_from` is the day of a move-in, None where nobody knows of one; `continues` is the account
    whose annual use counts on.
    """

    account_id: str
    premise_id: str
    building_id: str
    kind: str
    holder: str
    days: Days
    held_from: date | None
    continues: str | None
    facts: Premise


def lock_project(connection: Connection, project_id: str) -> None:
    """Let only one start or end of a project's bill runs go on at a time."""
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


def services_of(connection: Connection, meter_point_ids: Sequence[str]) -> dict[str, ServiceEntry]:
    """Return the service of each of these meter points that is billed by a tariff."""
    query = select(services).where(services.c.meter_point_id.in_(meter_point_ids))
    return {
        row.meter_point_id: ServiceEntry(row.meter_point_id, row.tariff_id, row.cutover_on)
        for row in connection.execute(query)
    }


def opening_uses_of(connection: Connection, names: Sequence[str]) -> list[OpeningUse]:
    """Return what accounts had used before we began to bill."""
    query = select(opening_uses).where(opening_uses.c.account_id.in_(names))
    return [
        OpeningUse(row.account_id, row.service, row.as_of, Decimal(row.quantity))
        for row in connection.execute(query)
    ]


def account_ids(connection: Connection, project_id: str, days: Days) -> list[str]:
    """Return the accounts that are open on some of these days, by id."""
    query = select(accounts.c.id).where(
        accounts.c.project_id == project_id,
        accounts.c.opened_on < days.to_on,
        accounts.c.closed_on.is_(None) | (accounts.c.closed_on > days.from_on),
    )
    return sorted(connection.scalars(query))


def households(connection: Connection, names: Sequence[str]) -> dict[str, Household]:
    """Return accounts with their premises, by id."""
    query = (
        select(accounts, premises.c.building_id, premises.c.kind, premises.c.area_m2)
        .add_columns(premises.c.people, premises.c.households)
        .join(premises, premises.c.id == accounts.c.premise_id)
        .where(accounts.c.id.in_(names))
        .order_by(accounts.c.id)
    )
    return {
        row.id: Household(
            row.id,
            row.premise_id,
            row.building_id,
            row.kind,
            row.holder,
            Days(row.opened_on, row.closed_on or date.max),
            row.held_from,
            row.continues,
            Premise(area_m2=Decimal(row.area_m2), people=row.people, households=row.households),
        )
        for row in connection.execute(query)
    }


def continued(connection: Connection, homes: Iterable[Household]) -> dict[str, tuple[str, ...]]:
    """Return the accounts before each one that continues another, the nearest first."""
    chains: dict[str, tuple[str, ...]] = {}
    for home in homes:
        name = home.continues
        chain: tuple[str, ...] = ()
        while name is not None and name not in chain:
            chain = (*chain, name)
            name = connection.scalar(select(accounts.c.continues).where(accounts.c.id == name))
        if chain:
            chains[home.account_id] = chain
    return chains


def terms_of(connection: Connection, names: Iterable[str]) -> list[Term]:
    """Return the terms of accounts, by account, item and first day."""
    query = (
        select(charge_terms)
        .where(charge_terms.c.account_id.in_(list(names)))
        .order_by(charge_terms.c.account_id, charge_terms.c.item, charge_terms.c.from_on)
    )
    return [
        Term(
            row.account_id,
            row.item,
            row.tariff_id,
            Days(row.from_on, row.to_on or date.max),
            Cycle(row.cycle_months, row.in_advance),
            json.loads(row.facts),
        )
        for row in connection.execute(query)
    ]


def invoices_of(
    connection: Connection, meter_point_ids: Sequence[str], period: str
) -> dict[str, SupplierInvoice]:
    """Return the supplier's invoices for master meters and a period."""
    query = select(supplier_invoices).where(
        supplier_invoices.c.meter_point_id.in_(meter_point_ids),
        supplier_invoices.c.period == period,
    )
    return {
        row.meter_point_id: SupplierInvoice(
            amount=Decimal(row.amount), quantity=Decimal(row.quantity)
        )
        for row in connection.execute(query)
    }


def save_tariffs(connection: Connection, texts: Mapping[str, tuple[str, str]]) -> None:
    """Keep tariffs' texts under their hashes: hash -> (tariff id, text)."""
    rows = [
        {"hash": digest, "tariff_id": tariff_id, "text": text}
        for digest, (tariff_id, text) in sorted(texts.items())
    ]
    insert_new(connection, tariff_texts, rows)
