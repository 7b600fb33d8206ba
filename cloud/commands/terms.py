"""What cutting off is judged by, kept and gathered: terms, notices, agreements, balances."""

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection, func, select

from cloud.commands.cutting_off import UTILITIES, Facts, Feed, Terms
from cloud.commands.tables import cut_off_notices, cut_off_terms, prepaid_services
from cloud.database import upsert
from cloud.errors import RefusedError
from cloud.ledger import repository as ledger
from cloud.ledger import service as books
from cloud.ledger.service import Teller
from cloud.ledger.tables import accounts
from cloud.metering.tables import account_meters, installs, meter_points
from cloud.sites.zones import local_day, zone_of
from protocols.delivery.records import instant

CHANNELS: Final = ("phone", "visit", "letter", "message", "mail")
LICENSORS: Final = ("supplier", "contract")
_DAY_MINUTES: Final = 1440
_LONGEST_NOTICE: Final = 29


@dataclass(frozen=True)
class Notice:
    """One notice that a supply will be cut off."""

    account_id: str
    service: str
    noticed_on: date
    channel: str
    note: str
    balance_fen: int
    noticed_by: str


def set_terms(connection: Connection, teller: Teller, service: str, terms: Terms) -> None:
    """Put terms on file that hold from now on; RefusedError says what is allowed."""
    hours = (terms.from_minute, terms.until_minute)
    right = (
        (service in UTILITIES, f"service: {service!r}: allowed are {', '.join(sorted(UTILITIES))}"),
        (
            terms.licensed_by in LICENSORS,
            f"licensed_by: {terms.licensed_by!r}: allowed are {', '.join(LICENSORS)}",
        ),
        (
            bool(terms.licence.strip()),
            "licence: '': allowed is the supplier's licence or the contract's clause, in words",
        ),
        (terms.grace_fen >= 0, f"grace_fen: {terms.grace_fen}: allowed are 0 and above"),
        (
            1 <= terms.notice_days <= _LONGEST_NOTICE,
            f"notice_days: {terms.notice_days}: allowed are 1 to {_LONGEST_NOTICE}",
        ),
        (
            0 <= hours[0] < hours[1] <= _DAY_MINUTES,
            f"hours: {hours[0]} to {hours[1]}: allowed are minutes of a day, in order",
        ),
        (
            all(day.year == year for year, days in terms.holidays.items() for day in days),
            "holidays: a day is listed under another year",
        ),
    )
    if told := [fault for is_right, fault in right if not is_right]:
        raise RefusedError("; ".join(told))
    _add_terms(connection, teller, service, terms, in_force=True)


def withdraw_terms(connection: Connection, teller: Teller, service: str) -> None:
    """Let nothing be cut off from now on; what was in force stays on file."""
    held = terms_of(connection, teller.project_id, service)
    if held is not None:
        _add_terms(connection, teller, service, held, in_force=False)


def terms_of(connection: Connection, project_id: str, service: str) -> Terms | None:
    """Return what is in force for a service, None by default."""
    query = (
        select(cut_off_terms)
        .where(cut_off_terms.c.project_id == project_id, cut_off_terms.c.service == service)
        .order_by(cut_off_terms.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None or not row.in_force:
        return None
    return Terms(
        row.licensed_by,
        row.licence,
        row.grace_fen,
        row.notice_days,
        row.from_minute,
        row.until_minute,
        {
            int(year): frozenset(date.fromisoformat(day) for day in days)
            for year, days in json.loads(row.holidays).items()
        },
    )


def agree_prepayment(
    connection: Connection, teller: Teller, account_id: str, service: str, *, source: str
) -> None:
    """Note that an account's holder has agreed to prepay a service; RefusedError, NotFoundError."""
    ledger.account(connection, teller.project_id, account_id)
    if service not in UTILITIES or not source.strip():
        message = (
            f"service {service!r}, source {source!r}: allowed are"
            f" {', '.join(sorted(UTILITIES))}, and where it is written"
        )
        raise RefusedError(message)
    row = {
        "account_id": account_id,
        "service": service,
        "agreed_on": local_day(connection, teller.project_id, teller.now_us),
        "source": source.strip(),
        "set_by": teller.by,
        "set_us": teller.now_us,
    }
    upsert(connection, prepaid_services, [row])


def give_notice(
    connection: Connection,
    teller: Teller,
    account_id: str,
    service: str,
    *,
    channel: str,
    note: str = "",
) -> Notice:
    """Record that an account was told its supply will be cut off; RefusedError without a cause."""
    ledger.account(connection, teller.project_id, account_id)
    terms = terms_of(connection, teller.project_id, service)
    if channel not in CHANNELS:
        message = f"channel: {channel!r}: allowed are {', '.join(CHANNELS)}"
        raise RefusedError(message)
    if terms is None:
        message = f"service: {service!r}: allowed are services with terms of cutting off"
        raise RefusedError(message)
    balance = balance_fen(connection, teller.project_id, account_id, service)
    if balance >= -terms.grace_fen:
        message = f"account {account_id}: its balance for {service} is no cause for a notice"
        raise RefusedError(message)
    today = local_day(connection, teller.project_id, teller.now_us)
    made = Notice(account_id, service, today, channel, note.strip(), balance, teller.by)
    connection.execute(
        cut_off_notices.insert().values(
            **vars(made), project_id=teller.project_id, noticed_us=teller.now_us
        )
    )
    return made


def balance_fen(connection: Connection, project_id: str, account_id: str, service: str) -> int:
    """Return what is prepaid less what is owed for one service; nothing else ever counts."""
    standing = books.standing_of(connection, project_id, account_id)
    owed = sum(
        each.owed_fen
        for each in standing.statements
        if each.charge.item == service and not each.charge.late
    )
    return standing.prepaid_fen - owed


def feeds_of(connection: Connection, device_id: str, now_us: int) -> tuple[Feed, ...]:
    """Return the meter points that a device is at now."""
    query = (
        select(meter_points)
        .where(
            meter_points.c.id.in_(
                select(installs.c.meter_point_id).where(
                    installs.c.device_id == device_id, installs.c.removed_at_us.is_(None)
                )
            )
        )
        .order_by(meter_points.c.id)
    )
    return tuple(
        Feed(
            row.id,
            row.service,
            row.role,
            row.supply,
            row.premise_id,
            bool(_subs_of(connection, row.id)),
            _accounts_of(connection, row.id, row.premise_id, now_us),
        )
        for row in connection.execute(query).all()
    )


def facts_of(
    connection: Connection,
    project_id: str,
    device_id: str,
    *,
    asked_by: str,
    confirmed_by: str | None,
    now_us: int,
    lifetime_s: int,
) -> Facts:
    """Gather all that cutting a device's supply is judged by, as it stands now."""
    feeds = feeds_of(connection, device_id, now_us)
    local = instant(now_us).astimezone(zone_of(connection, project_id))
    latest = local + timedelta(seconds=lifetime_s)
    if len(feeds) != 1 or len(feeds[0].account_ids) != 1:
        # whose balance it would be is not known
        return Facts(feeds, None, False, 0, (), local, latest, asked_by, confirmed_by)  # noqa: FBT003
    service, account = feeds[0].service, feeds[0].account_ids[0]
    notices = select(cut_off_notices.c.noticed_on).where(
        cut_off_notices.c.project_id == project_id,
        cut_off_notices.c.account_id == account,
        cut_off_notices.c.service == service,
    )
    agreed = select(prepaid_services.c.account_id).where(
        prepaid_services.c.account_id == account, prepaid_services.c.service == service
    )
    return Facts(
        feeds,
        terms_of(connection, project_id, service),
        connection.scalar(agreed) is not None,
        balance_fen(connection, project_id, account, service),
        tuple(connection.scalars(notices)),
        local,
        latest,
        asked_by,
        confirmed_by,
    )


def _add_terms(
    connection: Connection, teller: Teller, service: str, terms: Terms, *, in_force: bool
) -> None:
    holidays = {
        str(year): sorted(day.isoformat() for day in days) for year, days in terms.holidays.items()
    }
    connection.execute(
        cut_off_terms.insert().values(
            **vars(terms) | {"holidays": json.dumps(holidays, sort_keys=True)},
            project_id=teller.project_id,
            service=service,
            in_force=in_force,
            set_by=teller.by,
            set_us=teller.now_us,
        )
    )


def _subs_of(connection: Connection, meter_point_id: str) -> int:
    query = select(func.count()).where(meter_points.c.parent_id == meter_point_id)
    return connection.scalar(query) or 0


def _accounts_of(
    connection: Connection, meter_point_id: str, premise_id: str | None, now_us: int
) -> tuple[str, ...]:
    shared = select(account_meters.c.account_id).where(
        account_meters.c.meter_point_id == meter_point_id,
        account_meters.c.from_us <= now_us,
        account_meters.c.to_us.is_(None) | (account_meters.c.to_us > now_us),
    )
    given = tuple(connection.scalars(shared.order_by(account_meters.c.account_id)))
    if given or premise_id is None:
        return given
    query = select(accounts.c.id).where(
        accounts.c.premise_id == premise_id, accounts.c.closed_on.is_(None)
    )
    return tuple(connection.scalars(query.order_by(accounts.c.id)))
