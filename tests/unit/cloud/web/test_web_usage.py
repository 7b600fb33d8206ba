"""Consumption per hour: differences of registers, explicit gaps, sums that telescope."""

import time
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, func, select

from cloud.sites.tables import channels
from cloud.telemetry.tables import latest
from cloud.web import charts
from cloud.web.formats import Format
from cloud.web.usage_queries import Bar, Gap, Usage, curve, meters_at, usage_of_day

ZONE = ZoneInfo("Asia/Shanghai")
HOUR_US = 3_600_000_000


def test_hours_add_up_to_the_register_and_gaps_say_what_was_used_in_them(engine: Engine) -> None:
    query = select(func.max(latest.c.read_at_us)).join(
        channels, channels.c.id == latest.c.channel_id
    )
    with engine.connect() as connection:
        # the site was filled some time ago, maybe in the hour before this one
        hour_us = connection.scalar(query.where(channels.c.point == "energy_import"))
    now_us = hour_us + HOUR_US // 2
    first_us = hour_us - 30 * HOUR_US
    with engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        meter = meters_at(reader, device_id="d0")[0]
        today = Format("zh", ZONE).today(now_us)
        days = [
            usage_of_day(reader, meter, today - timedelta(days=back), zone=ZONE, now_us=now_us)
            for back in (2, 1, 0)
        ]
    bars = [bar for day in days for bar in day.bars]
    known = {(bar.start_us - first_us) // HOUR_US: bar.quantity for bar in bars}
    # 0.50 kWh an hour; the reads of hours 10 and 11 are missing, so three bars are unknown
    assert {known[number] for number in (0, 1, 8, 12, 29)} == {Decimal("0.50")}
    assert [known[number] for number in (9, 10, 11)] == [None, None, None]
    assert known[30] == Decimal("0.00")
    assert next(bar for bar in bars if bar.start_us == hour_us).partial
    gaps = [gap for day in days for gap in day.gaps]
    assert all(gap.quantity is not None for gap in gaps)


def test_the_total_counts_gaps_between_two_reads() -> None:
    bars = (Bar(0, 1, Decimal("1.5")), Bar(1, 2, None), Bar(2, 3, None))
    assert Usage(bars, (Gap(1, 3, Decimal("2.5")),)).total == Decimal("4.0")
    assert Usage((Bar(0, 1, None),), ()).total is None


def test_a_sum_without_one_of_its_meters_is_a_gap(engine: Engine) -> None:
    now_us = time.time_ns() // 1000
    span = {"start_us": now_us - HOUR_US // 2, "end_us": now_us, "bucket_us": HOUR_US // 2}
    with engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        both = curve(reader, ["d1", "d2"], "active_power", **span)
        # d5 was last read an hour ago
        one = curve(reader, ["d1", "d5"], "active_power", **span)
    assert [sample.value for sample in both] == [Decimal("15.30")]
    assert [sample.value for sample in one] == [None]


def test_chart_data_cannot_leave_its_script_element() -> None:
    chart = charts.line((), "kW", end_us=0, limit=Decimal(1), limit_name="</script><b>&")
    assert "<" not in chart.json()
    assert "&" not in chart.json()
