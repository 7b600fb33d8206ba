"""The calendar of tariffs: seasons, billing months, and when of a day something was used."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Final

from .values import DAY, DiffersError, Doc

When = tuple[str | None, str | None]

_MINUTE: Final = timedelta(minutes=1)
_YEAR: Final = 366


def season_of(tariff: Doc, day: date) -> str | None:
    """Return the season of a day, None where the tariff has none."""
    at = f"{day:%m-%d}"
    for season in tariff["seasons"]:
        low, high = season["first"], season["last"]
        if low <= at <= high if low <= high else at >= low or at <= high:
            return str(season["code"])
    return None


def one_season(tariff: Doc, first: date, last: date) -> str | None:
    """Return the season of all days of [first, last); DiffersError where there are two."""
    found = {season_of(tariff, first + DAY * at) for at in range((last - first).days)}
    if len(found) != 1:
        raise DiffersError(f"inputs: {first} to {last} reaches over two seasons")
    return found.pop()


def tier_start(tariff: Doc, day: date) -> date:
    """Return the day on which the tier period of a day began: what was used since counts."""
    period, season = tariff["tiers"]["period"], season_of(tariff, day)
    if period == "month":
        return day.replace(day=1)
    if period == "year":
        return date(day.year, 1, 1)
    first = day
    # no season is longer than a year
    while period == "season" and (day - first).days < _YEAR:
        if season_of(tariff, first - DAY) != season:
            break
        first -= DAY
    return first


def months_of(first: date, last: date) -> int:
    """Return the billing months: one for up to a month, else whole ones or DiffersError."""

    def later(months: int) -> date:
        year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
        return date(year, month + 1, min(first.day, monthrange(year, month + 1)[1]))

    months = 1
    while later(months) < last:
        months += 1
    if months > 1 and later(months) != last:
        raise DiffersError(f"inputs: {first} to {last} are no whole months")
    return months


def part_of_month(first: date, last: date) -> tuple[int, int]:
    """Return a span in months as numerator and denominator: (2, 1), or (12, 31) by the day."""
    final = last - DAY
    if (final.year, final.month) != (first.year, first.month):
        if last.day != first.day:
            raise DiffersError(f"inputs: {first} to {last}: a part of a month beside another")
        return months_of(first, last), 1
    days, month = (last - first).days, monthrange(first.year, first.month)[1]
    return (1, 1) if days == month else (days, month)


def when_used(
    tariff: Doc,
    start: datetime,
    end: datetime,
    known: dict[tuple[str, str], list[str]],
    *,
    by_season: bool,
) -> When:
    """Return the one period and season of every begun minute; DiffersError over a border."""
    found: set[When] = set()
    at = start
    last = (end - timedelta(microseconds=1)).astimezone(start.tzinfo)
    while True:
        season = season_of(tariff, at.date())
        if tariff["time_of_use"] is None:
            names = [""] * 1440
        else:
            holidays = tariff["time_of_use"]["holidays"]
            kind = (
                "holiday"
                if str(at.date()) in holidays
                else "weekend"
                if at.isoweekday() in (6, 7)
                else "workday"
            )
            key = (season or "", kind)
            if key not in known:
                known[key] = _day_of(tariff["time_of_use"], *key)
            names = known[key]
        minute = at.hour * 60 + at.minute
        same_day = at.date() == last.date() and at.utcoffset() == last.utcoffset()
        # a whole stretch of one day at once; minute by minute where the clock is changed
        until = last.hour * 60 + last.minute if same_day else minute
        found |= {
            (name or None, season if by_season else None) for name in set(names[minute : until + 1])
        }
        if same_day or len(found) > 1:
            break
        at = (at.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE).astimezone(
            start.tzinfo
        )
        if at > last:
            break
    if len(found) != 1:
        raise DiffersError(f"inputs.intervals: {start} reaches over a border of two periods")
    return found.pop()


def _day_of(clock: Doc, season: str, kind: str) -> list[str]:
    # the period of each minute of a kind of day
    names = [""] * 1440
    for period in clock["periods"]:
        for window in period["windows"]:
            if kind in (window["days"] or (kind,)) and season in (window["seasons"] or (season,)):
                start, end = (
                    int(at[:2]) * 60 + int(at[3:]) for at in (window["start"], window["end"])
                )
                for minute in range(start, end if start < end else end + 1440):
                    names[minute % 1440] = period["code"]
    return names
