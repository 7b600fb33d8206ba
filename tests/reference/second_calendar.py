"""The calendar of the second engine: seasons, billing months, parts of months, kinds of days."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


class RefusedError(Exception):
    """The tariff does not fit the usage."""


def season_names(tariff: dict[str, Any]) -> dict[str, str]:
    """Walk each season day by day: the season of every MM-DD."""
    names: dict[str, str] = {}
    for season in tariff.get("seasons", ()):
        day = date(2024, int(season["first"][:2]), int(season["first"][3:]))
        for _ in range(366):
            names[f"{day:%m-%d}"] = season["code"]
            if f"{day:%m-%d}" == season["last"]:
                break
            day = date(2024, 1, 1) if (day.month, day.day) == (12, 31) else day + DAY
    return names


def only_season(tariff: dict[str, Any], from_on: date, to_on: date) -> str | None:
    """Give the season of all days; RefusedError where there are two."""
    names = season_names(tariff)
    days = [from_on + DAY * at for at in range((to_on - from_on).days)]
    found = {names.get(f"{day:%m-%d}") for day in days}
    if len(found) != 1:
        raise RefusedError("two seasons")
    return found.pop()


def months_later(day: date, months: int) -> date:
    """Give the same day of a later month, its last day where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def whole_months(from_on: date, to_on: date) -> int:
    """Walk month by month: up to one is one; RefusedError where the last is not whole."""
    months = 1
    while months_later(from_on, months) < to_on:
        months += 1
    if months > 1 and months_later(from_on, months) != to_on:
        raise RefusedError("not whole months")
    return months


def days_of_month(from_on: date, to_on: date) -> Fraction:
    """Give the part of a month by its days, or the number of whole months."""
    last = to_on - DAY
    if (last.year, last.month) == (from_on.year, from_on.month):
        return Fraction((to_on - from_on).days, monthrange(from_on.year, from_on.month)[1])
    if to_on.day != from_on.day:
        raise RefusedError("a part of a month beside another")
    return Fraction(whole_months(from_on, to_on))


def midnight(zone: ZoneInfo, day: date) -> datetime:
    """Give the instant at which a local day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def when_used(
    tariff: dict[str, Any], start_at: datetime, end_at: datetime, *, by_season: bool
) -> tuple[str | None, str | None]:
    """Look at every begun minute: (period, season); RefusedError where there are two."""
    zone = ZoneInfo(tariff["time_zone"])
    names = season_names(tariff)
    found: set[tuple[str | None, str | None]] = set()
    at = start_at
    while at < end_at:
        local = at.astimezone(zone)
        season = names.get(f"{local:%m-%d}") if by_season else None
        found.add((_period(tariff, local, names), season))
        at = at.replace(second=0, microsecond=0) + MINUTE
    if len(found) != 1:
        raise RefusedError("an interval over a border")
    return found.pop()


def _period(tariff: dict[str, Any], local: datetime, names: dict[str, str]) -> str | None:
    clock = tariff.get("time_of_use")
    if clock is None:
        return None
    kind = "weekend" if local.weekday() in {5, 6} else "workday"
    if f"{local:%Y-%m-%d}" in clock.get("holidays", ()):
        kind = "holiday"
    now = f"{local:%H:%M}"
    for period in clock["periods"]:
        for window in period["windows"]:
            if kind not in window.get("days", (kind,)):
                continue
            season = names.get(f"{local:%m-%d}")
            if season not in window.get("seasons", (season,)):
                continue
            start, end = window["start"], window["end"]
            if start <= now < end if start < end else (now >= start or now < end):
                return str(period["code"])
    raise AssertionError(now)
