"""What the pools 公摊 of a month are shared from, out of the database."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.billing import pool_repository, repository
from cloud.billing.carrying import Brought, brought, stretches
from cloud.billing.cycles import days_of
from cloud.billing.drafts import Held, Use
from cloud.billing.participants import Pool
from cloud.billing.pools import Estate
from cloud.billing.repository import Household
from cloud.billing.uses import use_of
from cloud.metering import repository as meters
from cloud.metering import service as metering
from cloud.metering.accounts import AccountShare, parts_of
from cloud.metering.registers import RegisterError, sum_of
from cloud.metering.repository import MeterPoint
from cloud.metering.service import Wanted


def estate_of(
    connection: Connection,
    project_id: str,
    pools: Sequence[Pool],
    uses: Mapping[str, Use],
    *,
    period: str,
    zone: ZoneInfo,
) -> tuple[Estate, list[Held]]:
    """Return what a project's pools are shared from, and the public meters whose month is unknown.

    `uses` are of the meter points that were billed already.
    """
    days = days_of(period)
    span = metering.days(*days, zone)
    points = meters.meter_points_of(connection, project_id)
    names = [point.id for point in points]
    entries = repository.services_of(connection, names)
    billed = frozenset(name for name, entry in entries.items() if entry.cutover_on <= days.from_on)
    known, held = dict(uses), []
    missing = [name for name in names if name not in known]
    for name, use in metering.consumptions(connection, missing, span).items():
        if not isinstance(use, RegisterError):
            known[name] = use_of(name, span, [use])
        elif name not in billed:
            held.append(Held(name, str(use), meter_point_id=name))
    last = days.to_on - timedelta(days=1)
    accounts = repository.account_ids(connection, project_id, days._replace(from_on=last))
    homes = list(repository.households(connection, accounts).values())
    estate = Estate(
        period,
        days,
        points,
        known,
        repository.invoices_of(connection, [pool.master_id for pool in pools], period),
        homes,
        billed,
        pool_repository.members_of(
            connection, project_id, on=last, held=frozenset(home.premise_id for home in homes)
        ),
        _usage(connection, project_id, points, known, homes=homes, at_us=span.end_us - 1),
        _brought(connection, pools, period=period, zone=zone),
    )
    return estate, held


def _usage(
    connection: Connection,
    project_id: str,
    points: Sequence[MeterPoint],
    known: Mapping[str, Use],
    *,
    homes: Sequence[Household],
    at_us: int,
) -> dict[tuple[str, str], Decimal]:
    # a meter is its premise's, or those accounts' to whom it was given
    premise_of = {home.account_id: home.premise_id for home in homes}
    given: dict[str, list[AccountShare]] = {}
    for share in meters.account_shares(connection, project_id, at_us):
        given.setdefault(share.meter_point_id, []).append(share)
    found: dict[tuple[str, str], list[Decimal]] = {}
    unknown: set[tuple[str, str]] = set()
    for point in points:
        if point.role != "sub":
            continue
        shares = given.get(point.id, [])
        owners = [premise_of.get(share.account_id) for share in shares] or [point.premise_id]
        if point.id not in known:
            unknown.update((name, point.service) for name in owners if name is not None)
            continue
        quantity = Decimal(known[point.id].quantity)
        parts = parts_of(quantity, shares) if shares else {}
        for owner, part in zip(owners, parts.values() or [quantity], strict=True):
            if owner is not None:
                found.setdefault((owner, point.service), []).append(part)
    return {key: sum_of(some) for key, some in found.items() if key not in unknown}


def _brought(
    connection: Connection, pools: Sequence[Pool], *, period: str, zone: ZoneInfo
) -> dict[str, Brought]:
    posted = pool_repository.posted_of(connection, [pool.id for pool in pools], before=period)
    whole = {
        stretch: _wanted(stretch.meter_point_id, stretch.periods, zone)
        for sheets in posted.values()
        for stretch in stretches(sheets)
    }
    told = metering.uses(connection, list(dict.fromkeys(whole.values())), trued_up=False)
    # month by month only what has changed since
    months: dict[Wanted, tuple[str, str]] = {}
    for stretch, wanted in whole.items():
        use = told[wanted]
        if isinstance(use, RegisterError) or use.consumption.measured != stretch.quantity:
            for month in stretch.periods:
                key = month, stretch.meter_point_id
                months[_wanted(stretch.meter_point_id, [month], zone)] = key
    now = {
        months[each]: use.consumption.measured
        for each, use in metering.uses(connection, list(months), trued_up=False).items()
        if not isinstance(use, RegisterError)
    }
    return {name: brought(sheets, now) for name, sheets in posted.items()}


def _wanted(meter_point_id: str, periods: Sequence[str], zone: ZoneInfo) -> Wanted:
    first, last = days_of(periods[0]), days_of(periods[-1])
    return Wanted(meter_point_id, metering.days(first.from_on, last.to_on, zone))
