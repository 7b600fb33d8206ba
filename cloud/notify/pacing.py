"""When a message may be sent: quiet hours, days, longer waits after failures (pure)."""

from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from protocols.delivery.records import instant, microseconds

# nobody is called upon to pay at night
FROM: Final = time(8)
UNTIL: Final = time(21)
MOST_ATTEMPTS: Final = 10
_FIRST_WAIT_S: Final = 60
_LONGEST_WAIT_S: Final = 6 * 3600


def allowed_us(now_us: int, zone: ZoneInfo) -> int:
    """Return the first instant from now on that is not in the quiet hours of a zone."""
    local = instant(now_us).astimezone(zone)
    if local.time() < FROM:
        return _at(local, FROM, days=0)
    return _at(local, FROM, days=1) if local.time() >= UNTIL else now_us


def next_day_us(now_us: int, zone: ZoneInfo) -> int:
    """Return when the next local day's messages may begin."""
    return _at(instant(now_us).astimezone(zone), FROM, days=1)


def day_start_us(now_us: int, zone: ZoneInfo) -> int:
    """Return the first instant of the local day."""
    return _at(instant(now_us).astimezone(zone), time(0), days=0)


def wait_us(attempts: int) -> int:
    """Return how long to wait after so many attempts: a minute, doubled, six hours at most."""
    doubled = _FIRST_WAIT_S << min(max(attempts, 1) - 1, 20)
    return min(doubled, _LONGEST_WAIT_S) * 1_000_000


def _at(local: datetime, at: time, *, days: int) -> int:
    day = local.date() + timedelta(days=days)
    return microseconds(datetime.combine(day, at, local.tzinfo).astimezone(UTC))
