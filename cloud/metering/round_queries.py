"""What rounds 抄表 show: how far each is by building, and what its meters read last."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, case, func, select

from cloud.metering import repository
from cloud.metering.manual_repository import Round
from cloud.metering.reading_tables import manual_reads, read_imports, read_rounds, round_points
from cloud.metering.tables import installs, meter_points
from cloud.sites.tables import buildings, premises
from cloud.telemetry.tables import latest

_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class RouteCount:
    """How many meter points of a route are read, estimated and listed."""

    route: str
    read: int
    estimated: int
    listed: int


@dataclass(frozen=True)
class RoundRow:
    """A round with its routes."""

    round: Round
    routes: tuple[RouteCount, ...]

    @property
    def read(self) -> int:
        """Give how many meter points were read."""
        return sum(route.read for route in self.routes)

    @property
    def estimated(self) -> int:
        """Give how many meter points were estimated when it closed."""
        return sum(route.estimated for route in self.routes)

    @property
    def listed(self) -> int:
        """Give how many meter points it lists."""
        return sum(route.listed for route in self.routes)


@dataclass(frozen=True)
class Standing:
    """The meter that stands somewhere now, and its last register: its opening at the least."""

    id: str
    exponent: int
    by_gateway: bool
    count: int
    read_at_us: int

    @property
    def register(self) -> Decimal:
        """Give the last register in its uom."""
        return Decimal(self.count).scaleb(self.exponent)


@dataclass(frozen=True)
class Place:
    """A meter point as somebody finds it; meter is None where none stands now."""

    id: str
    name: str
    service: str
    uom: str
    building_id: str
    building: str
    building_en: str
    building_position: int
    premise: str
    meter: Standing | None

    @property
    def way(self) -> tuple[object, ...]:
        """Give where it stands on a walk: by building, premise as people count, service."""
        return (
            self.building_position,
            self.building,
            not self.premise,
            as_counted(self.premise),
            self.service,
            as_counted(self.name),
            self.id,
        )


@dataclass(frozen=True)
class ImportRow:
    """An import of reads: how many it stored, and whether it was undone."""

    id: int
    name: str
    imported_by: str
    imported_us: int
    undone_by: str | None
    undone_us: int | None
    reads: int


def rounds_of(connection: Connection, project_id: str, *, limit: int = 100) -> list[RoundRow]:
    """Return the rounds of a project, open ones first, then the newest."""
    query = (
        select(read_rounds)
        .where(read_rounds.c.project_id == project_id)
        .order_by(read_rounds.c.closed_us.is_not(None), read_rounds.c.id.desc())
        .limit(limit)
    )
    found = [
        Round(r.id, r.project_id, r.name, r.read_on, r.opened_by, r.opened_us, r.closed_us)
        for r in connection.execute(query)
    ]
    counts = _route_counts(connection, [item.id for item in found])
    return [RoundRow(item, tuple(counts.get(item.id, ()))) for item in found]


def places_of(
    connection: Connection, project_id: str, meter_point_ids: Sequence[str] | None = None
) -> list[Place]:
    """Return meter points of a project in walking order, all of them by default."""
    query = (
        select(
            meter_points.c.id,
            meter_points.c.name,
            meter_points.c.service,
            meter_points.c.uom,
            meter_points.c.building_id,
            buildings.c.name.label("building"),
            buildings.c.name_en.label("building_en"),
            buildings.c.position.label("building_position"),
            func.coalesce(premises.c.name, "").label("premise"),
        )
        .join(buildings, buildings.c.id == meter_points.c.building_id)
        .join(premises, premises.c.id == meter_points.c.premise_id, isouter=True)
        .where(meter_points.c.project_id == project_id)
    )
    if meter_point_ids is not None:
        query = query.where(meter_points.c.id.in_(meter_point_ids))
    rows = connection.execute(query).mappings().all()
    last = _last_reads(connection, [row["id"] for row in rows])
    places = [
        Place(
            id=row["id"],
            name=row["name"],
            service=row["service"],
            uom=row["uom"],
            building_id=row["building_id"],
            building=row["building"],
            building_en=row["building_en"],
            building_position=row["building_position"],
            premise=row["premise"],
            meter=last.get(row["id"]),
        )
        for row in rows
    ]
    return sorted(places, key=lambda place: place.way)


def imports_of(connection: Connection, project_id: str, *, limit: int = 50) -> list[ImportRow]:
    """Return the newest imports of a project."""
    return _imports(connection, project_id, None, limit)


def import_row(connection: Connection, project_id: str, import_id: int) -> ImportRow | None:
    """Return one import of a project, None for another's."""
    found = _imports(connection, project_id, import_id, 1)
    return found[0] if found else None


def unread_by_gateways(connection: Connection, project_id: str) -> set[str]:
    """Return the meter points of a project where a meter stands that no gateway reads."""
    query = (
        select(installs.c.meter_point_id)
        .join(meter_points, meter_points.c.id == installs.c.meter_point_id)
        .where(
            meter_points.c.project_id == project_id,
            installs.c.removed_at_us.is_(None),
            installs.c.device_id.is_(None),
        )
    )
    return set(connection.scalars(query))


def as_counted(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts 1-2 before 1-10, as people count."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _NUMBERS.split(text)
    )


def _imports(
    connection: Connection, project_id: str, import_id: int | None, limit: int
) -> list[ImportRow]:
    query = (
        select(read_imports, func.count(manual_reads.c.id).label("reads"))
        .join(manual_reads, manual_reads.c.import_id == read_imports.c.id, isouter=True)
        .where(read_imports.c.project_id == project_id)
        .group_by(read_imports.c.id)
        .order_by(read_imports.c.id.desc())
        .limit(limit)
    )
    if import_id is not None:
        query = query.where(read_imports.c.id == import_id)
    return [
        ImportRow(
            r.id, r.name, r.imported_by, r.imported_us, r.undone_by, r.undone_us, int(r.reads)
        )
        for r in connection.execute(query)
    ]


def _route_counts(connection: Connection, round_ids: Sequence[int]) -> dict[int, list[RouteCount]]:
    stands = (
        (manual_reads.c.round_id == round_points.c.round_id)
        & (manual_reads.c.meter_point_id == round_points.c.meter_point_id)
        & manual_reads.c.withdrawn_us.is_(None)
    )
    query = (
        select(
            round_points.c.round_id,
            round_points.c.route,
            func.sum(case((manual_reads.c.rule == "", 1), else_=0)).label("read"),
            func.sum(case((manual_reads.c.rule != "", 1), else_=0)).label("estimated"),
            func.count(round_points.c.meter_point_id.distinct()).label("listed"),
        )
        .join(manual_reads, stands, isouter=True)
        .where(round_points.c.round_id.in_(round_ids))
        .group_by(round_points.c.round_id, round_points.c.route)
    )
    found: dict[int, list[RouteCount]] = {}
    for row in connection.execute(query):
        count = RouteCount(row.route, int(row.read), int(row.estimated), int(row.listed))
        found.setdefault(row.round_id, []).append(count)
    return {
        round_id: sorted(routes, key=lambda item: as_counted(item.route))
        for round_id, routes in found.items()
    }


def _last_reads(connection: Connection, names: Sequence[str]) -> dict[str, Standing]:
    # the meter that stands there now, and the newest of: its opening, a person's read, a gateway's
    newest = (
        select(
            manual_reads.c.meter_point_id,
            func.max(manual_reads.c.read_at_us).label("read_at_us"),
        )
        .where(
            manual_reads.c.meter_point_id.in_(names),
            manual_reads.c.withdrawn_us.is_(None),
            manual_reads.c.rule == "",
        )
        .group_by(manual_reads.c.meter_point_id)
        .subquery()
    )
    same = (newest.c.meter_point_id == manual_reads.c.meter_point_id) & (
        newest.c.read_at_us == manual_reads.c.read_at_us
    )
    query = (
        select(manual_reads.c.meter_point_id, manual_reads.c.read_at_us, manual_reads.c.count)
        .join(newest, same)
        .where(manual_reads.c.withdrawn_us.is_(None), manual_reads.c.rule == "")
        .order_by(manual_reads.c.id)
    )
    by_people = {name: (at_us, count) for name, at_us, count in connection.execute(query)}
    mounted = repository.mounted_at(connection, names)
    channels = [
        channel for held in mounted.values() for item in held[-1:] for channel in item.channel_ids
    ]
    held_last = select(latest.c.channel_id, latest.c.read_at_us, latest.c.count).where(
        latest.c.channel_id.in_(channels), latest.c.count.is_not(None)
    )
    by_gateway = {
        channel: (int(at_us), int(count)) for channel, at_us, count in connection.execute(held_last)
    }
    found: dict[str, Standing] = {}
    for name, held in mounted.items():
        if not held or held[-1].install.removed_at_us is not None:
            continue
        install = held[-1].install
        reads = [by_gateway[one] for one in held[-1].channel_ids if one in by_gateway]
        reads += [by_people[name]] if name in by_people else []
        reads = [read for read in reads if read[0] >= install.installed_at_us]
        at_us, count = max(reads, default=(install.installed_at_us, install.start_count))
        found[name] = Standing(
            install.meter_id, install.exponent, held[-1].device_id is not None, count, at_us
        )
    return found
