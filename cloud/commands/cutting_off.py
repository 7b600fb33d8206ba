"""Whether somebody's supply may be cut off 停供: refused unless all conditions hold (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

# never heating, and no charge item that is no supply
UTILITIES: Final = frozenset({"electricity", "water"})
DAY_BEGINS: Final = time(8)
DAY_ENDS: Final = time(20)
NOTICE_ENDS_DAYS: Final = 30
_HOMES: Final = frozenset({"collected", "resold"})
_SATURDAY: Final = 5


class Reason(StrEnum):
    """Why nothing is cut off."""

    NO_METER_POINT = "no_meter_point"
    SEVERAL_METER_POINTS = "several_meter_points"
    NO_UTILITY = "no_utility"
    NO_HOME = "no_home"
    FEEDS_OTHERS = "feeds_others"
    NO_ACCOUNT = "no_account"
    SEVERAL_ACCOUNTS = "several_accounts"
    NO_TERMS = "no_terms"
    NO_LICENCE = "no_licence"
    NOT_PREPAID = "not_prepaid"
    NOT_IN_DEBT = "not_in_debt"
    NO_NOTICE = "no_notice"
    NOTICE_TOO_YOUNG = "notice_too_young"
    NOTICE_TOO_OLD = "notice_too_old"
    NIGHT = "night"
    OUTSIDE_HOURS = "outside_hours"
    NO_CALENDAR = "no_calendar"
    DAY_OFF = "day_off"
    BEFORE_DAY_OFF = "before_day_off"
    NOBODY_ASKED = "nobody_asked"
    NOT_CONFIRMED = "not_confirmed"
    CONFIRMED_BY_ASKER = "confirmed_by_asker"


SENTENCES: Final[Mapping[Reason, str]] = {
    Reason.NO_METER_POINT: "what this device feeds is not on file: it is at no meter point",
    Reason.SEVERAL_METER_POINTS: "the device is at several meter points",
    Reason.NO_UTILITY: f"allowed are {' and '.join(sorted(UTILITIES))}, never heating",
    Reason.NO_HOME: "allowed is a home's own meter, never a public, lift, fire or master meter",
    Reason.FEEDS_OTHERS: "other meters hang behind this one",
    Reason.NO_ACCOUNT: "nobody has an account for what it feeds",
    Reason.SEVERAL_ACCOUNTS: "several accounts share what it feeds",
    Reason.NO_TERMS: "the project has no terms of cutting off this service",
    Reason.NO_LICENCE: "the terms name neither the supplier's licence nor a clause of the contract",
    Reason.NOT_PREPAID: "the account has not agreed to prepay this service",
    Reason.NOT_IN_DEBT: "what is prepaid less what is owed for this service alone is not below"
    " minus the grace amount",
    Reason.NO_NOTICE: "no notice of this cause is recorded",
    Reason.NOTICE_TOO_YOUNG: "the notice is not old enough",
    Reason.NOTICE_TOO_OLD: f"the notice is {NOTICE_ENDS_DAYS} days old or older",
    Reason.NIGHT: "never from 20:00 to 08:00",
    Reason.OUTSIDE_HOURS: "outside the hours of the terms",
    Reason.NO_CALENDAR: "the terms have no list of holidays for this year",
    Reason.DAY_OFF: "never on a Saturday, a Sunday or a holiday",
    Reason.BEFORE_DAY_OFF: "never on the day before a Saturday, a Sunday or a holiday",
    Reason.NOBODY_ASKED: "nobody is named who asks for it",
    Reason.NOT_CONFIRMED: "another person must confirm it",
    Reason.CONFIRMED_BY_ASKER: "who asked may not confirm",
}


@dataclass(frozen=True)
class Terms:
    """What a project may do for one service: by whose licence, how late, after what, and when."""

    licensed_by: str
    licence: str
    grace_fen: int
    notice_days: int
    from_minute: int
    until_minute: int
    holidays: Mapping[int, frozenset[date]]


@dataclass(frozen=True)
class Feed:
    """A meter point that a device is at, and who is charged for it."""

    meter_point_id: str
    service: str
    role: str
    supply: str
    premise_id: str | None
    has_subs: bool
    account_ids: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """All that cutting off is judged by; `balance_fen` is of this service alone.

    `local` is the project's time now, `latest` when the gateway may still act.
    """

    feeds: tuple[Feed, ...]
    terms: Terms | None
    is_prepaid: bool
    balance_fen: int
    noticed_on: tuple[date, ...]
    local: datetime
    latest: datetime
    asked_by: str
    confirmed_by: str | None


def judge(facts: Facts) -> tuple[Reason, ...]:
    """Return every reason against it, none if it may be done."""
    checks = (
        *_against_feeds(facts.feeds),
        *_against_terms(facts),
        *_against_hours(facts.terms, (facts.local.time(), facts.latest.time())),
        *_against_day(facts.terms, facts.local.date()),
        *_against_people(facts.asked_by, facts.confirmed_by),
    )
    return tuple(reason for reason, is_so in checks if is_so)


_Checks = tuple[tuple[Reason, bool], ...]


def _against_feeds(feeds: tuple[Feed, ...]) -> _Checks:
    return (
        (Reason.NO_METER_POINT, not feeds),
        (Reason.SEVERAL_METER_POINTS, len(feeds) > 1),
        (Reason.NO_UTILITY, any(feed.service not in UTILITIES for feed in feeds)),
        (
            Reason.NO_HOME,
            any(
                feed.role != "sub" or feed.supply not in _HOMES or feed.premise_id is None
                for feed in feeds
            ),
        ),
        (Reason.FEEDS_OTHERS, any(feed.has_subs for feed in feeds)),
        (Reason.NO_ACCOUNT, any(not feed.account_ids for feed in feeds)),
        (Reason.SEVERAL_ACCOUNTS, any(len(feed.account_ids) > 1 for feed in feeds)),
    )


def _against_terms(facts: Facts) -> _Checks:
    terms = facts.terms
    prepaid = (Reason.NOT_PREPAID, not facts.is_prepaid)
    if terms is None:
        return ((Reason.NO_TERMS, True), prepaid)
    ages = [(facts.local.date() - day).days for day in facts.noticed_on]
    right = any(terms.notice_days <= age < NOTICE_ENDS_DAYS for age in ages)
    young = any(age < terms.notice_days for age in ages)
    return (
        (Reason.NO_LICENCE, not (terms.licence.strip() and terms.licensed_by.strip())),
        prepaid,
        (Reason.NOT_IN_DEBT, facts.balance_fen >= -terms.grace_fen),
        (Reason.NO_NOTICE, not ages),
        (Reason.NOTICE_TOO_YOUNG, not right and young),
        (Reason.NOTICE_TOO_OLD, bool(ages) and not right and not young),
    )


def _against_hours(terms: Terms | None, times: tuple[time, ...]) -> _Checks:
    night = (Reason.NIGHT, not all(DAY_BEGINS <= at < DAY_ENDS for at in times))
    if terms is None:
        return (night,)
    begins, ends = terms.from_minute, terms.until_minute
    within = all(begins <= at.hour * 60 + at.minute < ends for at in times)
    return (night, (Reason.OUTSIDE_HOURS, not within))


def _against_day(terms: Terms | None, today: date) -> _Checks:
    if terms is None:
        return ()
    tomorrow = today + timedelta(days=1)
    listed = all(day.year in terms.holidays for day in (today, tomorrow))
    return (
        (Reason.NO_CALENDAR, not listed),
        (Reason.DAY_OFF, _is_off(terms, today)),
        (Reason.BEFORE_DAY_OFF, _is_off(terms, tomorrow)),
    )


def _against_people(asked_by: str, confirmed_by: str | None) -> _Checks:
    return (
        (Reason.NOBODY_ASKED, not asked_by.strip()),
        (Reason.NOT_CONFIRMED, not (confirmed_by or "").strip()),
        (Reason.CONFIRMED_BY_ASKER, confirmed_by is not None and confirmed_by == asked_by),
    )


def _is_off(terms: Terms, day: date) -> bool:
    return day.weekday() >= _SATURDAY or day in terms.holidays.get(day.year, frozenset())
