"""What the site is doing now: buildings, gateways, devices with state and newest value."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, and_, func, select

from cloud.alerts.tables import alerts
from cloud.ingest.clock_repository import waiting_readings
from cloud.metering.tables import installs, meter_points
from cloud.sites.tables import buildings, channels, devices, gateways, premises
from cloud.telemetry.tables import latest
from cloud.web.formats import shown_uom, shown_value
from cloud.web.states import device_state, gateway_state

MAIN_POINTS: Final = ("active_power", "flow_rate")


@dataclass(frozen=True)
class Building:
    """A building in the order of the pages."""

    id: str
    name: str
    name_en: str


@dataclass(frozen=True)
class GatewayRow:
    """A gateway and how well it keeps up; `waiting` readings have no believable time yet."""

    id: str
    name: str
    state: str
    last_seen_us: int | None
    newest_us: int | None
    backlog: int
    firmware: str | None
    waiting: int

    def lag_us(self, now_us: int) -> int:
        """Return how far its readings are behind the present."""
        return 0 if self.newest_us is None else max(0, now_us - self.newest_us)


@dataclass(frozen=True)
class DeviceRow:
    """A device, its state and the newest of its main value (power or flow)."""

    id: str
    name: str
    name_en: str
    medium: str
    profile: str
    building_id: str | None
    premise_id: str | None
    premise_name: str | None
    holder: str | None
    gateway_id: str
    period_s: int
    state: str
    newest_us: int | None
    value: Decimal | None
    uom: str


@dataclass(frozen=True)
class Load:
    """Sum of the active power of the master meters in kW; None where one is missing."""

    value: Decimal | None
    read_at_us: int | None
    meters: int
    late: bool


def buildings_of(connection: Connection, project_id: str) -> list[Building]:
    """Return a project's buildings in their order."""
    query = (
        select(buildings.c.id, buildings.c.name, buildings.c.name_en)
        .where(buildings.c.project_id == project_id)
        .order_by(buildings.c.position, buildings.c.id)
    )
    return [Building(*row) for row in connection.execute(query)]


def gateways_of(connection: Connection, project_id: str, *, now_us: int) -> list[GatewayRow]:
    """Return a project's gateways with their state."""
    newest = _newest_by(connection, project_id, by_gateway=True)
    waiting = waiting_readings(connection)
    query = select(gateways).where(gateways.c.project_id == project_id).order_by(gateways.c.id)
    return [
        GatewayRow(
            row.id,
            row.name,
            gateway_state(row.last_seen_us, newest.get(row.id), backlog=row.backlog, now_us=now_us),
            row.last_seen_us,
            newest.get(row.id),
            row.backlog,
            row.firmware,
            waiting.get(row.id, 0),
        )
        for row in connection.execute(query)
    ]


def devices_of(
    connection: Connection, project_id: str, *, now_us: int, only: str | None = None
) -> list[DeviceRow]:
    """Return a project's devices (or one) with state and newest main value."""
    query = (
        select(
            devices,
            premises.c.name.label("premise_name"),
            premises.c.holder,
            buildings.c.position,
        )
        .outerjoin(premises, premises.c.id == devices.c.premise_id)
        .outerjoin(buildings, buildings.c.id == devices.c.building_id)
        .where(devices.c.project_id == project_id)
        .order_by(buildings.c.position, devices.c.id)
    )
    if only is not None:
        query = query.where(devices.c.id == only)
    newest = _newest_by(connection, project_id, by_gateway=False)
    open_alerts = _open_alerts(connection, project_id)
    main = _main_values(connection, project_id)
    rows = []
    for row in connection.execute(query):
        value, uom = main.get(row.id, (None, ""))
        state = device_state(
            frozenset(open_alerts[row.id]),
            newest.get(row.id),
            period_s=row.period_s,
            now_us=now_us,
        )
        rows.append(
            DeviceRow(
                row.id,
                row.name,
                row.name_en,
                row.medium,
                row.profile,
                row.building_id,
                row.premise_id,
                row.premise_name,
                row.holder,
                row.gateway_id,
                row.period_s,
                state,
                newest.get(row.id),
                value,
                uom,
            )
        )
    return rows


def count_states(rows: Sequence[DeviceRow]) -> Counter[str]:
    """Return how many devices are in each state."""
    return Counter(row.state for row in rows)


def master_devices(connection: Connection, project_id: str) -> list[str]:
    """Return the devices that now stand at the project's electricity master meter points."""
    query = (
        select(installs.c.device_id)
        .join(meter_points, meter_points.c.id == installs.c.meter_point_id)
        .where(
            meter_points.c.project_id == project_id,
            meter_points.c.role == "master",
            meter_points.c.service == "electricity",
            installs.c.removed_at_us.is_(None),
        )
        .order_by(installs.c.device_id)
    )
    return list(connection.scalars(query).unique())


def load_of(rows: Sequence[DeviceRow], masters: Sequence[str]) -> Load:
    """Return the present load of a site from its devices."""
    wanted = [row for row in rows if row.id in set(masters)]
    values = [row.value for row in wanted]
    known = [value for value in values if value is not None]
    oldest = min((row.newest_us for row in wanted if row.newest_us is not None), default=None)
    total = sum(known, Decimal(0)) if known and len(known) == len(values) else None
    late = any(row.state in {"offline", "stale"} for row in wanted)
    return Load(total, oldest, len(wanted), late)


def _newest_by(connection: Connection, project_id: str, *, by_gateway: bool) -> dict[str, int]:
    key = channels.c.gateway_id if by_gateway else channels.c.device_id
    query = (
        select(key, func.max(latest.c.read_at_us))
        .join(latest, latest.c.channel_id == channels.c.id)
        .join(devices, devices.c.id == channels.c.device_id)
        .where(devices.c.project_id == project_id)
        .group_by(key)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _open_alerts(connection: Connection, project_id: str) -> defaultdict[str, set[tuple[str, str]]]:
    found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    query = select(alerts.c.device_id, alerts.c.kind, alerts.c.severity).where(
        and_(
            alerts.c.project_id == project_id,
            alerts.c.cleared_us.is_(None),
            alerts.c.device_id.is_not(None),
        )
    )
    for device_id, kind, severity in connection.execute(query):
        found[device_id].add((kind, severity))
    return found


def _main_values(connection: Connection, project_id: str) -> dict[str, tuple[Decimal | None, str]]:
    query = (
        select(
            channels.c.device_id,
            latest.c.count.label("counts"),
            channels.c.exponent,
            channels.c.uom,
        )
        .join(latest, latest.c.channel_id == channels.c.id)
        .join(devices, devices.c.id == channels.c.device_id)
        .where(devices.c.project_id == project_id, channels.c.point.in_(MAIN_POINTS))
        .order_by(latest.c.read_at_us)
    )
    # a device that moved to another gateway has two channels: the newer row wins
    return {
        row.device_id: (
            shown_value(row.counts, row.exponent, row.uom),
            shown_uom(row.uom),
        )
        for row in connection.execute(query)
    }
