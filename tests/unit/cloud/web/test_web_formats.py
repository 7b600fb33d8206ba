"""Numbers, money, times and states as pages show them."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.web.formats import Format, shown_value
from cloud.web.paging import Pager
from cloud.web.states import device_state, gateway_state

ZH = Format("zh", ZoneInfo("Asia/Shanghai"))
EN = Format("en", ZoneInfo("Asia/Shanghai"))
NOW_US = 1_793_000_000_000_000
NONE: frozenset[tuple[str, str]] = frozenset()


@given(st.integers(-(10**15), 10**15))
def test_money_is_exact_to_the_fen(fen: int) -> None:
    text = ZH.money(fen)
    assert int(text.replace("¥", "").replace(",", "").replace(".", "")) == fen
    assert text[-3] == "."


def test_money_groups_thousands() -> None:
    assert ZH.money(123_456) == "¥1,234.56"
    assert ZH.money(-5) == "-¥0.05"


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=6, allow_nan=False))
def test_numbers_keep_every_decimal(value: Decimal) -> None:
    assert Decimal(ZH.number(value).replace(",", "")) == value


def test_values_are_counts_by_their_exponent_and_watts_become_kilowatts() -> None:
    assert shown_value(7_654, 0, "W") == Decimal("7.65")
    assert shown_value(12_345, -3, "m3") == Decimal("12.345")
    assert ZH.register(502_567, -2) == "5,025.67"
    assert ZH.value(None, 0, "W") == "—"


def test_times_are_in_the_projects_zone_and_the_readers_language() -> None:
    midnight_us = 1_793_462_400_000_000  # 2026-10-31T16:00:00Z
    assert ZH.datetime(midnight_us) == "2026-11-01 00:00:00"
    assert EN.datetime(midnight_us) == "1 Nov 2026, 00:00:00"
    assert ZH.iso(midnight_us) == "2026-10-31T16:00:00Z"
    assert (ZH.period("2026-10"), EN.period("2026-10")) == ("2026年10月", "October 2026")
    assert ZH.age(NOW_US - 185_000_000, NOW_US) == "3分钟前"
    assert EN.uom("户·月") == "household·month"


@pytest.mark.parametrize(
    ("alerts", "age_s", "state"),
    [
        (NONE, 5, "normal"),
        (NONE, 179, "normal"),
        (NONE, 181, "stale"),
        (NONE, None, "stale"),
        (frozenset({("threshold", "warning")}), 5, "warning"),
        (frozenset({("threshold", "warning"), ("threshold", "critical")}), 999, "critical"),
        (frozenset({("device_offline", "warning"), ("threshold", "critical")}), 999, "offline"),
    ],
)
def test_device_states(alerts: frozenset[tuple[str, str]], age_s: int | None, state: str) -> None:
    newest = None if age_s is None else NOW_US - age_s * 1_000_000
    assert device_state(alerts, newest, period_s=60, now_us=NOW_US) == state


@pytest.mark.parametrize(
    ("seen_s", "newest_s", "backlog", "state"),
    [
        (5, 5, 0, "online"),
        (5, 60, 3, "online"),
        (5, 600, 0, "catching_up"),
        (5, None, 3, "catching_up"),
        (120, 5, 0, "offline"),
        (None, None, 0, "offline"),
    ],
)
def test_gateway_states(seen_s: int | None, newest_s: int | None, backlog: int, state: str) -> None:
    def before(age_s: int | None) -> int | None:
        return None if age_s is None else NOW_US - age_s * 1_000_000

    found = gateway_state(before(seen_s), before(newest_s), backlog=backlog, now_us=NOW_US)
    assert found == state


def test_pages_keep_their_filters() -> None:
    pager = Pager("/bills", {"text": "吴 娟", "period": ""}, 2, 50, 120)
    assert pager.after == "/bills?text=%E5%90%B4+%E5%A8%9F&page=3"
    assert (pager.first, pager.last, pager.pages) == (51, 100, 3)
    assert Pager("/bills", {}, 1, 50, 0).after is None
