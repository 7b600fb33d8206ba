"""Rating at its edges: parts of limits, remainders over seasons, charges that are due once."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.tariffs.allowances import limits_of, tier_period_start
from cloud.tariffs.rating import RatingError, rate
from cloud.tariffs.tariff import Tariff
from cloud.tariffs.usage import Premise, Usage, UsageInterval

NAME = {"zh": "名", "en": "name"}
SEASONS = [
    {"code": "summer", "name": NAME, "first": "05-01", "last": "10-31"},
    {"code": "winter", "name": NAME, "first": "11-01", "last": "04-30"},
]
TWO_TIERS = [
    {"tier": 1, "prices": {"energy": "1"}},
    {"tier": 2, "prices": {"energy": "2"}},
]


def tariff(**changes: object) -> Tariff:
    """Give a flat tariff of one yuan per kWh, changed as asked."""
    document: dict[str, object] = {
        "id": "t",
        "version": "1",
        "name": NAME,
        "effective_from": "2020-01-01",
        "time_zone": "Asia/Shanghai",
        "source": "made up for a test",
        "verified": False,
        "service": "electricity",
        "uom": "kWh",
        "supply_kinds": ["collected"],
        "rounding": "line",
        "components": [{"code": "energy", "name": NAME}],
        "rates": [{"prices": {"energy": "1"}}],
    }
    return Tariff.model_validate(document | changes)


def charging(**changes: object) -> Tariff:
    """Give a tariff of one fixed charge of 90 yuan, changed as asked."""
    charge = {"code": "heat", "name": NAME, "price": "90"} | changes
    return tariff(components=[], rates=[], seasons=SEASONS, fixed_charges=[charge])


def days(from_on: str, to_on: str, quantity: str | None = "0", **more: object) -> Usage:
    """Give a usage from a day to a day."""
    values = {
        "from_on": date.fromisoformat(from_on),
        "to_on": date.fromisoformat(to_on),
        "quantity": None if quantity is None else Decimal(quantity),
    }
    return Usage(**(values | more))  # type: ignore[arg-type]  # values of a test


@given(st.integers(0, 6), st.integers(1, 30))
def test_how_a_quantity_is_written_moves_no_limit(zeros: int, day: int) -> None:
    made = tariff(tiers={"period": "month", "limits": ["10"], "part": "by-day"}, rates=TWO_TIERS)
    from_on = f"2026-07-{day:02d}"
    written = f"50.{'0' * zeros}" if zeros else "50"
    rated = rate(made, days(from_on, "2026-08-01", written))
    assert rated.total_fen == rate(made, days(from_on, "2026-08-01", "50")).total_fen
    first = rated.line_items[0].quantity
    # 10 kWh x days / 31, to the hundredth
    assert first == (Decimal(10) * (32 - day) / 31).quantize(Decimal("0.01"))


def test_limits_of_many_digits_stay_exact() -> None:
    limit, adds = "123456789012345678.000000000000000001", "0.000000000000000003"
    allowance = {"people_from": 1, "adds": adds, "per": "month"}
    made = tariff(
        tiers={"period": "year", "limits": [limit], "people_allowance": allowance}, rates=TWO_TIERS
    )
    usage = days("2026-07-01", "2026-08-01", premise=Premise(people=1))
    assert limits_of(made, usage, -18) == [123456789012345678_000000000000000037]


@pytest.mark.parametrize(
    ("held_from", "part", "limit"),
    [
        ("2026-09-12", "whole", "120"),
        ("2026-09-12", "by-month", "40.00"),
        ("2026-12-31", "by-day", "0.33"),
        ("2026-01-01", "by-day", "120.00"),
        ("2025-03-03", "by-day", "120"),
    ],
)
def test_a_household_that_came_in_mid_year(held_from: str, part: str, limit: str) -> None:
    made = tariff(tiers={"period": "year", "limits": ["120"], "part": part}, rates=TWO_TIERS)
    usage = days("2026-12-31", "2027-01-01", "500", held_from=date.fromisoformat(held_from))
    assert rate(made, usage).line_items[0].quantity == Decimal(limit)


def test_an_account_held_only_later_is_refused() -> None:
    made = tariff(tiers={"period": "year", "limits": ["120"]}, rates=TWO_TIERS)
    usage = days("2026-07-01", "2026-08-01", "1", held_from=date(2026, 8, 1))
    with pytest.raises(RatingError, match="held_from: 2026-08-01: allowed is a day before"):
        rate(made, usage)


def test_the_remainder_of_a_step_is_of_what_was_used_last() -> None:
    rates = [
        {"season": "summer", "prices": {"energy": "1"}},
        {"season": "winter", "prices": {"energy": "3"}},
    ]
    made = tariff(seasons=SEASONS, rates=rates, quantity_step="1")
    border_at = datetime(2026, 10, 31, 16, tzinfo=UTC)  # midnight in Shanghai
    hour = timedelta(hours=1)
    intervals = (
        UsageInterval(border_at - hour, border_at, Decimal("1.2")),
        UsageInterval(border_at, border_at + hour, Decimal("2.3")),
    )
    usage = days(
        "2026-10-31",
        "2026-11-02",
        intervals=intervals,
        quantity=None,
        carried_before=Decimal("0.7"),
    )
    rated = rate(made, usage)
    found = [(item.season, item.quantity) for item in rated.line_items]
    assert found == [("summer", Decimal("1.9")), ("winter", Decimal("2.1"))]
    assert rated.carried_quantity == Decimal("0.2")


def test_totals_that_disagree_are_refused_without_periods_too() -> None:
    usage = days("2026-07-01", "2026-08-01", "5", time_of_use={"peak": Decimal(6)})
    with pytest.raises(RatingError, match="quantity: 5: time_of_use adds up to 6"):
        rate(tariff(), usage)


def test_a_charge_of_a_season_is_due_in_that_season_only() -> None:
    made = charging(per="season", season="winter")
    assert rate(made, days("2026-11-01", "2027-05-01")).total_fen == 9000
    assert rate(made, days("2026-05-01", "2026-11-01")).line_items == ()
    with pytest.raises(RatingError, match="another season begins on 2026-11-01"):
        rate(made, days("2026-10-01", "2026-12-01"))


@pytest.mark.parametrize(
    ("from_on", "to_on", "is_refused"),
    [
        ("2026-01-01", "2027-01-01", False),
        ("2026-01-01", "2027-01-02", True),
        ("2028-02-29", "2029-02-28", False),
        ("2028-02-29", "2029-03-01", True),
    ],
)
def test_a_charge_per_year_is_due_once_a_year(
    from_on: str, to_on: str, *, is_refused: bool
) -> None:
    made = charging(per="year")
    if is_refused:
        with pytest.raises(RatingError, match="heat is due once a year"):
            rate(made, days(from_on, to_on))
    else:
        assert rate(made, days(from_on, to_on)).total_fen == 9000


@pytest.mark.parametrize(
    ("period", "day", "start"),
    [
        ("day", "2026-07-17", "2026-07-17"),
        ("month", "2026-07-17", "2026-07-01"),
        ("year", "2026-07-17", "2026-01-01"),
        ("season", "2026-07-17", "2026-05-01"),
        ("season", "2027-02-28", "2026-11-01"),
        ("season", "2026-11-01", "2026-11-01"),
    ],
)
def test_a_tier_period_begins_by_the_calendar(period: str, day: str, start: str) -> None:
    made = tariff(seasons=SEASONS, tiers={"period": period, "limits": ["10"]}, rates=TWO_TIERS)
    assert tier_period_start(made, date.fromisoformat(day)) == date.fromisoformat(start)


@pytest.mark.parametrize(
    ("day", "fen"),
    [
        ("2026-07-03", 300),  # a Friday
        ("2026-07-04", 100),  # a Saturday
        ("2026-07-05", 100),
        ("2026-07-06", 300),
        ("2026-10-01", 200),  # a Thursday, but a holiday
        ("2026-10-03", 200),  # a Saturday, but a holiday
    ],
)
def test_kinds_of_days_have_their_own_periods(day: str, fen: int) -> None:
    kinds = {"workday": "3", "weekend": "1", "holiday": "2"}
    whole = {"start": "00:00", "end": "24:00"}
    made = tariff(
        time_of_use={
            "periods": [
                {"code": kind, "name": NAME, "windows": [whole | {"days": [kind]}]}
                for kind in kinds
            ],
            "holidays": ["2026-10-01", "2026-10-02", "2026-10-03"],
        },
        rates=[{"period": kind, "prices": {"energy": price}} for kind, price in kinds.items()],
    )
    start_at = datetime.fromisoformat(f"{day}T00:00:00+08:00")
    intervals = (UsageInterval(start_at, start_at + timedelta(days=1), Decimal(1)),)
    until = date.fromisoformat(day) + timedelta(days=1)
    usage = days(day, until.isoformat(), quantity=None, intervals=intervals)
    assert rate(made, usage).total_fen == fen
