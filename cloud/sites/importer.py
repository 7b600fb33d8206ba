"""A project file into the database: what is there already is left as it is."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table, select

from cloud import auth
from cloud.alerts.tables import alert_rules
from cloud.billing.cycles import CYCLES
from cloud.billing.tables import charge_terms, opening_uses, pools, services, supplier_invoices
from cloud.database import insert_new
from cloud.documents import DocumentError, parse_model, parse_yaml, read_text
from cloud.ledger.repository import open_accounts, open_accounts_of
from cloud.metering import recording
from cloud.metering.events import EventKind, MeterEvent, MeterParts
from cloud.metering.tables import installs, meter_points
from cloud.sites.project_file import MeterEntry, PoolEntry, ProjectFile
from cloud.sites.tables import (
    buildings,
    devices,
    gateways,
    premise_states,
    premises,
    projects,
    users,
)
from protocols.delivery.records import microseconds

Row = dict[str, object]


def load_project_file(path: Path) -> ProjectFile:
    """Return a checked project file; DocumentError has one line per fault."""
    name = str(path)
    document = parse_model(ProjectFile, parse_yaml(read_text(path), name=name), name=name)
    if faults := document.dangling():
        raise DocumentError(*(f"{name}: {fault}" for fault in faults))
    return document


def import_project(connection: Connection, file: ProjectFile, *, cutover_on: date) -> int:
    """Import a site, billed from `cutover_on`; return how many rows were new."""
    before = _size(connection)
    project = file.project.id
    _add(connection, projects, [file.project.model_dump()])
    _add(
        connection,
        gateways,
        [{**item.model_dump(), "project_id": project} for item in file.gateways],
    )
    _add(
        connection,
        buildings,
        [
            {**item.model_dump(), "project_id": project, "position": position}
            for position, item in enumerate(file.buildings)
        ],
    )
    _add(
        connection,
        premises,
        [
            {
                **item.model_dump(exclude={"building", "states"}),
                "project_id": project,
                "building_id": item.building,
            }
            for item in file.premises
        ],
    )
    _add(
        connection,
        premise_states,
        [
            {**state.model_dump(), "premise_id": item.id}
            for item in file.premises
            for state in item.states
        ],
    )
    _import_meters(connection, file, cutover_on)
    open_accounts(connection, file.project.id, cutover_on)
    accounts = open_accounts_of(connection, file.project.id)
    _import_charges(connection, file, accounts)
    _import_openings(connection, file, accounts, cutover_on)
    masters = {item.id: item.building for item in file.meters}
    _add(connection, pools, [_pool(project, item, masters) for item in file.pools])
    _add(
        connection,
        supplier_invoices,
        [
            {
                **item.model_dump(exclude={"master"}),
                "meter_point_id": item.master,
                "period": f"{cutover_on:%Y-%m}",
            }
            for item in file.invoices
        ],
    )
    _add(
        connection,
        alert_rules,
        [
            {
                **item.model_dump(exclude={"devices"}),
                "devices": " ".join(item.devices),
                "project_id": project,
            }
            for item in file.rules
        ],
    )
    return _size(connection) - before


def add_users(
    connection: Connection, file: ProjectFile, *, renew: bool = False
) -> list[tuple[str, str, str]]:
    """Add the file's users with drawn passwords; return role, user name, password of new ones.

    `renew` draws new passwords for those who are there already, whose old ones were lost.
    """
    made: list[tuple[str, str, str]] = []
    for entry in file.users:
        held = connection.scalar(select(users.c.id).where(users.c.username == entry.username))
        if held is not None and not renew:
            continue
        password = auth.generate_password()
        row = {"name": entry.name, "role": entry.role, "premise_id": entry.premise}
        row |= {"password_hash": auth.hash_password(password)}
        if held is None:
            row |= {"project_id": file.project.id, "username": entry.username}
            connection.execute(users.insert().values(**row))
        else:
            connection.execute(users.update().where(users.c.id == held).values(**row))
        made.append((entry.role, entry.username, password))
    return made


def _import_meters(connection: Connection, file: ProjectFile, cutover_on: date) -> None:
    project = file.project.id
    zone = ZoneInfo(file.project.time_zone)
    held = set(connection.scalars(select(installs.c.meter_point_id)))
    read = [_device(project, item) for item in file.meters if item.device is not None]
    _add(connection, devices, read)
    ordered = sorted(file.meters, key=lambda item: item.parent is not None)
    _add(connection, meter_points, [_meter_point(project, item) for item in ordered])
    for item in file.meters:
        if item.id not in held:
            recording.record(connection, item.id, _install(item, zone))
    _add(
        connection,
        services,
        [
            {
                "meter_point_id": item.id,
                "tariff_id": item.tariff,
                "cutover_on": cutover_on,
            }
            for item in file.meters
            if item.tariff is not None
        ],
    )


def _import_charges(connection: Connection, file: ProjectFile, accounts: Mapping[str, str]) -> None:
    rows: list[Row] = [
        {
            "project_id": file.project.id,
            "account_id": accounts[item.premise],
            "item": item.item,
            "tariff_id": item.tariff,
            "from_on": item.from_on,
            "to_on": item.to_on,
            "cycle_months": CYCLES[item.cycle],
            "in_advance": item.in_advance,
            "facts": item.model_dump_json(
                include={"area_m2", "floor", "vehicles"}, exclude_none=True
            ),
        }
        for item in file.charges
        if item.premise in accounts
    ]
    _add(connection, charge_terms, rows)


def _import_openings(
    connection: Connection, file: ProjectFile, accounts: Mapping[str, str], cutover_on: date
) -> None:
    used: dict[tuple[str, str], Decimal] = {}
    for item in file.meters:
        if item.premise is not None and item.premise in accounts and item.tariff is not None:
            key = accounts[item.premise], item.service
            used[key] = used.get(key, Decimal(0)) + Decimal(item.used_before)
    rows: list[Row] = [
        {
            "account_id": account,
            "service": service,
            "as_of": cutover_on,
            "quantity": f"{quantity:f}",
        }
        for (account, service), quantity in used.items()
        if quantity
    ]
    _add(connection, opening_uses, rows)


def _device(project: str, item: MeterEntry) -> Row:
    return {
        "id": item.device,
        "project_id": project,
        "gateway_id": item.gateway,
        "building_id": item.building,
        "premise_id": item.premise,
        "name": item.name,
        "name_en": item.name_en,
        "medium": item.service,
        "profile": item.profile,
        "period_s": item.period_s,
    }


def _meter_point(project: str, item: MeterEntry) -> Row:
    return {
        "id": item.id,
        "project_id": project,
        "building_id": item.building,
        "premise_id": item.premise,
        "parent_id": item.parent,
        "name": item.name,
        "service": item.service,
        "uom": "kWh" if item.service == "electricity" else "m3",
        "role": item.role,
        "supply": item.supply,
    }


def _pool(project: str, item: PoolEntry, buildings_of: Mapping[str, str]) -> Row:
    exemptions = [{"who": each.who, "borne_by": each.bearer} for each in item.exemptions]
    aside = {"building", "master", "by", "kinds", "exemptions", "meters", "fallback"}
    return {
        **item.model_dump(exclude=aside),
        "project_id": project,
        "building_id": item.building or buildings_of[item.master],
        "master_id": item.master,
        "weight": item.by,
        "fallback": item.fallback or "",
        "kinds": " ".join(item.kinds),
        "exemptions": json.dumps(exemptions),
        "meters": " ".join(item.meters),
    }


def _install(item: MeterEntry, zone: ZoneInfo) -> MeterEvent:
    midnight = datetime.combine(item.installed_on, datetime.min.time(), zone)
    return MeterEvent(
        kind=EventKind.INSTALL,
        at_us=microseconds(midnight.astimezone(UTC)),
        after_count=item.start_count,
        parts=MeterParts(
            meter_id=item.meter_no,
            exponent=item.exponent,
            multiplier=Decimal(item.multiplier),
            capacity=item.capacity,
            max_per_hour=item.max_per_hour,
            device_id=item.device,
            point=item.point,
        ),
        by="import",
        why="project file",
    )


def _add(connection: Connection, table: Table, rows: list[Row]) -> None:
    insert_new(connection, table, rows)


def _size(connection: Connection) -> int:
    total = 0
    for table in (projects, gateways, buildings, premises, devices, meter_points, pools):
        total += len(connection.execute(select(table.c.id)).all())
    return total
