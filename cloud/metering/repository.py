"""All SQL of meter points, their installs and their owners, and of what was billed of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, func, select

from cloud.bulk import insert_rows
from cloud.errors import NotFoundError
from cloud.metering.accounts import AccountShare
from cloud.metering.installs import Install
from cloud.metering.tables import account_meters, closings, installs, meter_points
from cloud.metering.true_up import Closing
from cloud.sites.tables import channels, projects
from cloud.telemetry.tables import latest

# the channel that an installed meter is read through
_READ_THROUGH = (
    (channels.c.device_id == installs.c.device_id)
    & (channels.c.point == installs.c.point)
    & (channels.c.exponent == installs.c.exponent)
)


@dataclass(frozen=True)
class MeterPoint:
    """The place 计量点 where something is measured, and for whom."""

    id: str
    project_id: str
    building_id: str
    premise_id: str | None
    parent_id: str | None
    name: str
    service: str
    uom: str
    role: str
    supply: str


@dataclass(frozen=True)
class Mounted:
    """An install with the device and channels it is read through.

    None without a gateway; several where its device moved from one gateway to another.
    """

    install: Install
    device_id: str | None
    point: str | None
    channel_ids: tuple[int, ...]


def meter_points_of(connection: Connection, project_id: str) -> list[MeterPoint]:
    """Return the meter points of a project, by id."""
    query = (
        select(meter_points)
        .where(meter_points.c.project_id == project_id)
        .order_by(meter_points.c.id)
    )
    return [MeterPoint(**row) for row in connection.execute(query).mappings()]


def meter_point_of(connection: Connection, meter_point_id: str) -> MeterPoint:
    """Return a meter point; NotFoundError."""
    query = select(meter_points).where(meter_points.c.id == meter_point_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        message = f"meter point {meter_point_id!r} is unknown"
        raise NotFoundError(message)
    return MeterPoint(**row)


def lock_meter_points(connection: Connection, meter_point_ids: Sequence[str]) -> None:
    """Let only one transaction at a time screen or change these meter points."""
    connection.execute(
        select(meter_points.c.id)
        .where(meter_points.c.id.in_(meter_point_ids))
        .order_by(meter_points.c.id)
        .with_for_update(key_share=True)
    )


def time_zones_of(connection: Connection, meter_point_ids: Sequence[str]) -> dict[str, str]:
    """Return the time zone of each meter point's project; NotFoundError."""
    query = (
        select(meter_points.c.id, projects.c.time_zone)
        .join(projects, meter_points.c.project_id == projects.c.id)
        .where(meter_points.c.id.in_(meter_point_ids))
    )
    found = {name: str(zone) for name, zone in connection.execute(query)}
    if unknown := sorted(set(meter_point_ids) - found.keys()):
        message = f"meter point {', '.join(unknown)} is unknown"
        raise NotFoundError(message)
    return found


def mounted_at(connection: Connection, meter_point_ids: Sequence[str]) -> dict[str, list[Mounted]]:
    """Return the meters that were ever installed at each meter point, oldest first."""
    query = (
        select(installs, channels.c.id.label("channel_id"))
        .join(channels, _READ_THROUGH, isouter=True)
        .where(installs.c.meter_point_id.in_(meter_point_ids))
        .order_by(installs.c.installed_at_us, installs.c.id, channels.c.id)
    )
    found: dict[int, Mounted] = {}
    places: dict[int, str] = {}
    for row in connection.execute(query):
        if row.id in found:
            held = found[row.id]
            ids = (*held.channel_ids, row.channel_id)
            found[row.id] = Mounted(held.install, held.device_id, held.point, ids)
            continue
        install = Install(
            meter_id=row.meter_id,
            exponent=row.exponent,
            multiplier=Decimal(row.multiplier),
            capacity=row.capacity,
            max_per_hour=row.max_per_hour,
            installed_at_us=row.installed_at_us,
            removed_at_us=row.removed_at_us,
            start_count=row.start_count,
            end_count=row.end_count,
            end_rolls_over=bool(row.end_rolls_over),
            idle_from_us=row.idle_from_us,
        )
        ids = () if row.channel_id is None else (row.channel_id,)
        found[row.id] = Mounted(install, row.device_id, row.point, ids)
        places[row.id] = row.meter_point_id
    by_point: dict[str, list[Mounted]] = {name: [] for name in meter_point_ids}
    for name, mounted in found.items():
        by_point[places[name]].append(mounted)
    return by_point


def newest_reads_us(connection: Connection, project_id: str) -> list[int]:
    """Return when each meter that a gateway reads in a project was last read, 0 for never."""
    query = (
        select(func.max(func.coalesce(latest.c.read_at_us, 0)))
        .select_from(meter_points)
        .join(installs, installs.c.meter_point_id == meter_points.c.id)
        .join(channels, _READ_THROUGH, isouter=True)
        .join(latest, latest.c.channel_id == channels.c.id, isouter=True)
        .where(
            meter_points.c.project_id == project_id,
            installs.c.removed_at_us.is_(None),
            installs.c.device_id.is_not(None),
        )
        .group_by(installs.c.id)
    )
    return list(connection.scalars(query))


def closings_of(
    connection: Connection, meter_point_ids: Sequence[str]
) -> dict[str, dict[int, Closing]]:
    """Return the last revision of each span billed of meter points, by its end."""
    query = (
        select(closings)
        .where(closings.c.meter_point_id.in_(meter_point_ids))
        .order_by(closings.c.revision)
    )
    found: dict[str, dict[int, Closing]] = {name: {} for name in meter_point_ids}
    for row in connection.execute(query):
        found[row.meter_point_id][row.end_us] = Closing(
            row.start_us, row.end_us, row.revision, Decimal(row.quantity), bool(row.is_open)
        )
    return found


def save_closings(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    """Remember what was billed of meter points, each as the next revision of its span."""
    names = sorted({str(row["meter_point_id"]) for row in rows})
    ends = sorted({int(str(row["end_us"])) for row in rows})
    query = (
        select(closings.c.meter_point_id, closings.c.end_us, func.max(closings.c.revision))
        .where(closings.c.meter_point_id.in_(names), closings.c.end_us.in_(ends))
        .group_by(closings.c.meter_point_id, closings.c.end_us)
    )
    last = {(name, end_us): revision for name, end_us, revision in connection.execute(query)}
    numbered = [
        (*row.values(), 1 + last.get((row["meter_point_id"], row["end_us"]), 0)) for row in rows
    ]
    if numbered:
        insert_rows(connection, closings, (*rows[0], "revision"), numbered)


def owners_of(
    connection: Connection, account_ids: Sequence[str], premise_ids: Sequence[str], at_us: int
) -> tuple[list[MeterPoint], dict[str, list[AccountShare]]]:
    """Return the sub meter points of premises and accounts, and who shares them if somebody does.

    A meter point that was given to accounts is theirs alone, wherever it hangs.
    """
    open_at = (account_meters.c.from_us <= at_us) & (
        account_meters.c.to_us.is_(None) | (account_meters.c.to_us > at_us)
    )
    given = select(account_meters.c.meter_point_id).where(
        open_at, account_meters.c.account_id.in_(account_ids)
    )
    query = (
        select(meter_points)
        .where(
            meter_points.c.role == "sub",
            meter_points.c.premise_id.in_(premise_ids) | meter_points.c.id.in_(given),
        )
        .order_by(meter_points.c.id)
    )
    points = [MeterPoint(**row) for row in connection.execute(query).mappings()]
    shares: dict[str, list[AccountShare]] = {}
    names = [point.id for point in points]
    held = select(account_meters).where(open_at, account_meters.c.meter_point_id.in_(names))
    for row in connection.execute(held.order_by(account_meters.c.account_id)):
        share = AccountShare(row.account_id, row.meter_point_id, Decimal(row.weight))
        shares.setdefault(row.meter_point_id, []).append(share)
    return points, shares


def account_shares(connection: Connection, project_id: str, at_us: int) -> list[AccountShare]:
    """Return whose the meter points of a project are at an instant, where somebody said so."""
    query = (
        select(account_meters)
        .join(meter_points, meter_points.c.id == account_meters.c.meter_point_id)
        .where(
            meter_points.c.project_id == project_id,
            account_meters.c.from_us <= at_us,
            account_meters.c.to_us.is_(None) | (account_meters.c.to_us > at_us),
        )
        .order_by(account_meters.c.meter_point_id, account_meters.c.account_id)
    )
    return [
        AccountShare(row.account_id, row.meter_point_id, Decimal(row.weight))
        for row in connection.execute(query)
    ]


def save_account_shares(
    connection: Connection, meter_point_id: str, shares: Sequence[AccountShare], *, from_us: int
) -> None:
    """Say whose a meter point is from an instant on; what held before ends there."""
    of_point = account_meters.c.meter_point_id == meter_point_id
    connection.execute(account_meters.delete().where(of_point, account_meters.c.from_us >= from_us))
    connection.execute(
        account_meters.update()
        .where(of_point, account_meters.c.to_us.is_(None) | (account_meters.c.to_us > from_us))
        .values(to_us=from_us)
    )
    rows = [
        {
            "account_id": share.account_id,
            "meter_point_id": meter_point_id,
            "from_us": from_us,
            "to_us": None,
            "weight": f"{share.weight:f}",
        }
        for share in shares
    ]
    if rows:
        connection.execute(account_meters.insert(), rows)


def source_of(channel_id: int, batch_id: bytes) -> str:
    """Return where a register read can be opened again: its channel and sealed batch."""
    return f"{channel_id}:{batch_id.hex()}"
