"""When messages may be sent: never between nine at night and eight in the morning."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from cloud.notify.pacing import FROM, UNTIL, allowed_us, day_start_us, next_day_us, wait_us
from protocols.delivery.records import instant

zones = st.sampled_from(["Asia/Shanghai", "Europe/London", "America/New_York"]).map(ZoneInfo)
# of the years 2024 to 2027
moments = st.integers(1_704_067_200_000_000, 1_830_297_600_000_000)


@given(now_us=moments, zone=zones)
def test_what_is_allowed_is_soon_and_by_day(now_us: int, zone: ZoneInfo) -> None:
    until = allowed_us(now_us, zone)
    local = instant(until).astimezone(zone)
    assert FROM <= local.time() < UNTIL
    assert 0 <= until - now_us <= timedelta(hours=12) / timedelta(microseconds=1)
    assert allowed_us(until, zone) == until


@given(now_us=moments, zone=zones)
def test_days_are_those_of_the_zone(now_us: int, zone: ZoneInfo) -> None:
    today = instant(now_us).astimezone(zone).date()
    start, after = day_start_us(now_us, zone), next_day_us(now_us, zone)
    assert start <= now_us < after
    assert instant(start).astimezone(zone).date() == today
    assert instant(after).astimezone(zone).date() == today + timedelta(days=1)
    assert instant(after).astimezone(zone).time() == FROM


def test_waits_double_up_to_six_hours() -> None:
    minutes = [wait_us(attempts) // 60_000_000 for attempts in range(1, 13)]
    assert minutes == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]
