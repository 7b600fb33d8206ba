"""Arrears 欠费: how old they are, who was reminded and why they stand, and late charges 违约金."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, func, select

from cloud.errors import RefusedError
from cloud.ledger import entries as books
from cloud.ledger import repository, service
from cloud.ledger.arrears_tables import late_terms, reminders
from cloud.ledger.entries import CHARGING, Book, Charge, Kind
from cloud.ledger.late_charges import LateTerms, late_charge_fen
from cloud.ledger.repository import Entered, Fresh
from cloud.ledger.service import Teller
from cloud.ledger.tables import entries as entries_table
from cloud.ledger.tables import lines
from cloud.notify.tables import messages
from cloud.sites.tables import projects
from cloud.sites.zones import local_day, zone_of
from protocols.delivery.records import instant

ENTERED_BY: Final = "late charges"
CHANNELS: Final = ("phone", "visit", "letter", "message", "mail")
# why they stand, as far as the payer says
CAUSES: Final = ("unknown", "forgot", "vacant", "hardship", "dispute", "refuses", "moved")
# days since a charge was due, up to which an age group reaches
AGES: Final = (30, 90, 180, 365)
_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Terms:
    """What a contract says of lateness: when a charge is due, and what is due beyond it."""

    due_days: int
    late: LateTerms
    source: str


@dataclass(frozen=True)
class Reminder:
    """One reminder 催缴 of an account."""

    id: int
    account_id: str
    reminded_on: date
    channel: str
    cause: str
    note: str
    owed_fen: int
    reminded_by: str


@dataclass(frozen=True)
class Arrears:
    """What an account owes by age in days, `AGES` and older, and its last reminder."""

    account_id: str
    by_age_fen: tuple[int, ...]
    oldest_on: date
    last: Reminder | None

    @property
    def owed_fen(self) -> int:
        """Return what is owed in all."""
        return sum(self.by_age_fen)


def set_terms(connection: Connection, project_id: str, item: str, terms: Terms) -> None:
    """Say what a contract says of lateness of a charge item."""
    if not terms.source.strip():
        message = "source: '': allowed is where it is written: contract and clause"
        raise RefusedError(message)
    mine = (late_terms.c.project_id == project_id) & (late_terms.c.item == item)
    connection.execute(late_terms.delete().where(mine))
    connection.execute(
        late_terms.insert().values(
            project_id=project_id,
            item=item,
            rate_per_day=f"{terms.late.rate_per_day:f}",
            due_days=terms.due_days,
            grace_days=terms.late.grace_days,
            cap=f"{terms.late.cap:f}",
            source=terms.source,
        )
    )


def terms_of(connection: Connection, project_id: str) -> dict[str, Terms]:
    """Return a project's terms by charge item; none by default."""
    query = select(late_terms).where(late_terms.c.project_id == project_id)
    return {
        row.item: Terms(
            row.due_days,
            LateTerms(Decimal(row.rate_per_day), row.grace_days, Decimal(row.cap)),
            row.source,
        )
        for row in connection.execute(query)
    }


def remind(
    connection: Connection,
    teller: Teller,
    account_id: str,
    *,
    channel: str,
    cause: str = "unknown",
    note: str = "",
) -> int:
    """Record that a payer was reminded and return its id; RefusedError where nothing is owed."""
    for key, value, allowed in (("channel", channel, CHANNELS), ("cause", cause, CAUSES)):
        if value not in allowed:
            message = f"{key}: {value!r}: allowed are {', '.join(allowed)}"
            raise RefusedError(message)
    owed_fen = service.standing_of(connection, teller.project_id, account_id).owed_fen
    if owed_fen <= 0:
        message = f"account {account_id} owes nothing: allowed is a reminder of what is owed"
        raise RefusedError(message)
    made = connection.execute(
        reminders.insert()
        .values(
            project_id=teller.project_id,
            account_id=account_id,
            reminded_on=local_day(connection, teller.project_id, teller.now_us),
            channel=channel,
            cause=cause,
            note=note.strip(),
            owed_fen=owed_fen,
            reminded_by=teller.by,
            reminded_us=teller.now_us,
        )
        .returning(reminders.c.id)
    )
    return int(made.scalar_one())


def reminders_of(connection: Connection, project_id: str, account_id: str) -> list[Reminder]:
    """Return an account's reminders, the newest first."""
    query = select(reminders).where(
        reminders.c.project_id == project_id, reminders.c.account_id == account_id
    )
    return [_reminder(row) for row in connection.execute(query.order_by(reminders.c.id.desc()))]


def reminded_on(connection: Connection, project_id: str, account_id: str) -> list[date]:
    """Return the days on which an account was reminded: one that is sent counts as it is sent."""
    zone = zone_of(connection, project_id)
    query = (
        select(reminders.c.reminded_on, messages.c.id, messages.c.sent_us)
        .join(messages, messages.c.reminder_id == reminders.c.id, isouter=True)
        .where(reminders.c.project_id == project_id, reminders.c.account_id == account_id)
    )
    return [
        day if message is None else instant(sent_us).astimezone(zone).date()
        for day, message, sent_us in connection.execute(query)
        if message is None or sent_us is not None
    ]


def arrears_of(
    connection: Connection, project_id: str, *, today: date, account_ids: Sequence[str]
) -> list[Arrears]:
    """Return who owes something, who owes most first; ages count from the day of the bill."""
    found: list[Arrears] = []
    for start in range(0, len(account_ids), _AT_ONCE):
        names = account_ids[start : start + _AT_ONCE]
        last = _last_reminders(connection, project_id, names)
        for name, entered in repository.entries_by_account(connection, names).items():
            ages = [0] * (len(AGES) + 1)
            oldest = today
            for charge, timeline in _timelines(entered, late=None).items():
                if (owed_fen := timeline[-1][1]) > 0:
                    since = _charged_on(entered, charge)
                    ages[sum((today - since).days > age for age in AGES)] += owed_fen
                    oldest = min(oldest, since)
            if any(ages):
                found.append(Arrears(name, tuple(ages), oldest, last.get(name)))
    return sorted(found, key=lambda each: (-each.owed_fen, each.account_id))


def debtors(connection: Connection, project_id: str) -> list[str]:
    """Return the accounts that owe something, by id."""
    query = (
        select(entries_table.c.account_id)
        .join_from(lines, entries_table, entries_table.c.id == lines.c.entry_id)
        .where(entries_table.c.project_id == project_id, lines.c.book == Book.RECEIVABLE)
        .group_by(entries_table.c.account_id)
        .having(func.sum(lines.c.amount_fen) > 0)
        .order_by(entries_table.c.account_id)
    )
    return list(connection.scalars(query))


def charge_lateness(connection: Connection, teller: Teller, account_id: str) -> int:
    """Enter what an account's lateness has come to by now; return the fen that were new.

    Per day on the principal, never on itself, after a reminder, capped; what was charged before is
    taken into account, and less where a credit note has lowered the principal since.
    """
    terms = terms_of(connection, teller.project_id)
    return _charge_lateness(connection, teller, account_id, terms) if terms else 0


@dataclass(frozen=True)
class Charged:
    """What came of a day's late charges: how many accounts, and fen in all."""

    accounts: int
    fen: int


def days_of_lateness(connection: Connection, now_us: int) -> dict[str, date]:
    """Return the local day of each project that has terms of lateness."""
    query = (
        select(projects.c.id, projects.c.time_zone)
        .where(projects.c.id.in_(select(late_terms.c.project_id)))
        .order_by(projects.c.id)
    )
    return {
        name: instant(now_us).astimezone(ZoneInfo(zone)).date()
        for name, zone in connection.execute(query)
    }


def charge_all(connection: Connection, teller: Teller) -> Charged:
    """Enter the late charges of a project's debtors, see `charge_lateness`."""
    terms = terms_of(connection, teller.project_id)
    if not terms:
        return Charged(0, 0)
    sums = [
        _charge_lateness(connection, teller, name, terms)
        for name in debtors(connection, teller.project_id)
    ]
    return Charged(sum(fen != 0 for fen in sums), sum(sums))


def _charge_lateness(
    connection: Connection, teller: Teller, account_id: str, terms: Mapping[str, Terms]
) -> int:
    repository.account(connection, teller.project_id, account_id, lock=True)
    entered = repository.entries_of(connection, account_id)
    today = local_day(connection, teller.project_id, teller.now_us)
    reminded = reminded_on(connection, teller.project_id, account_id)
    due = _due(entered, terms, reminded, today=today)
    charged = {
        each.charge: each.charged_fen
        for each in service.standing_of(connection, teller.project_id, account_id).statements
        if each.charge.late
    }
    fresh = [
        Fresh(
            account_id,
            books.charged(Kind.LATE_CHARGE, [(charge, fen - charged.get(charge, 0))]),
            key=f"late:{account_id}:{charge.item}:{charge.period}:{today}",
            request="",
            counts_as=Kind.LATE_CHARGE,
        )
        for charge, fen in sorted(due.items())
        if fen != charged.get(charge, 0)
    ]
    held = repository.keys_held(connection, teller.project_id, [each.key for each in fresh])
    fresh = [each for each in fresh if each.key not in held]
    repository.add_entries(connection, service.stamp_of(connection, teller), fresh)
    return sum(each.entry.of(Book.RECEIVABLE) for each in fresh)


def _last_reminders(
    connection: Connection, project_id: str, account_ids: Sequence[str]
) -> dict[str, Reminder]:
    query = select(reminders).where(
        reminders.c.project_id == project_id, reminders.c.account_id.in_(account_ids)
    )
    rows = connection.execute(query.order_by(reminders.c.id))
    return {row.account_id: _reminder(row) for row in rows}


def _reminder(row: Row[Any]) -> Reminder:
    return Reminder(*(getattr(row, name) for name in Reminder.__dataclass_fields__))


def _due(
    entered: Sequence[Entered],
    terms: Mapping[str, Terms],
    reminded: Sequence[date],
    *,
    today: date,
) -> dict[Charge, int]:
    due: dict[Charge, int] = {}
    for charge, timeline in _timelines(entered, late=False).items():
        held = terms.get(charge.item)
        if held is None:
            continue
        due_on = _charged_on(entered, charge) + timedelta(days=held.due_days)
        first = min((day for day in reminded if day >= due_on), default=None)
        fen = late_charge_fen(held.late, [*timeline, (today, 0)], due_on=due_on, reminded_on=first)
        due[Charge(charge.period, charge.item, late=True)] = fen
    return due


def _timelines(
    entered: Sequence[Entered], *, late: bool | None
) -> dict[Charge, list[tuple[date, int]]]:
    # what was owed of each charge from each day on
    found: dict[Charge, dict[date, int]] = {}
    for item in entered:
        for line in item.entry.lines:
            if line.book is not Book.RECEIVABLE or line.charge is None:
                continue
            if late is not None and line.charge.late is not late:
                continue
            steps = found.setdefault(line.charge, {})
            before = list(steps.values())[-1] if steps else 0
            steps[item.entered_on] = before + line.amount_fen
    return {charge: list(steps.items()) for charge, steps in found.items()}


def _charged_on(entered: Sequence[Entered], charge: Charge) -> date:
    return min(
        item.entered_on
        for item in entered
        for line in item.entry.lines
        if line.charge == charge and item.counts_as in CHARGING
    )
