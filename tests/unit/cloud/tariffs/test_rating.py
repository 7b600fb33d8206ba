"""Rating against a second computation that walks the quantity quantum by quantum."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.tariffs.rating import IntervalsNeededError, Rated, RatingError, rate
from cloud.tariffs.tariff import Tariff
from cloud.tariffs.usage import Premise, SupplierInvoice, Usage, UsageInterval

JULY = (date(2026, 7, 1), date(2026, 8, 1))
SHANGHAI = timedelta(hours=8)
NAME = {"zh": "名", "en": "name"}
# Three periods, the last one across midnight; the oracle looks the hour up in this text.
HOURS = "vvvvvvfffffppppfffppppvv"
PERIODS = {
    "peak": [("11:00", "15:00"), ("18:00", "22:00")],
    "flat": [("06:00", "11:00"), ("15:00", "18:00")],
    "valley": [("22:00", "06:00")],
}
ROUNDINGS = ["line", "component", "once"]


def tariff(**changes: object) -> Tariff:
    """Give a flat monthly tariff, changed as asked."""
    document: dict[str, object] = {
        "id": "t",
        "version": "1",
        "name": NAME,
        "effective_from": "2026-01-01",
        "time_zone": "Asia/Shanghai",
        "source": "made up for a test",
        "verified": False,
        "service": "electricity",
        "uom": "kWh",
        "supply_kinds": ["collected"],
        "rounding": "line",
        "components": [{"code": "energy", "name": NAME}],
        "rates": [{"prices": {"energy": "0.5"}}],
    }
    return Tariff.model_validate(document | changes)


def used(quantity: str | None = None, **changes: object) -> Usage:
    """Give the usage of July, changed as asked."""
    values: dict[str, object] = {
        "from_on": JULY[0],
        "to_on": JULY[1],
        "quantity": None if quantity is None else Decimal(quantity),
    }
    return Usage(**(values | changes))  # type: ignore[arg-type]  # values of a test


def nearest(fen: Fraction) -> int:
    """Round a non-negative number half up."""
    return floor(fen + Fraction(1, 2))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tariff, Usage, list[tuple[int, str, int]]]:
    """A tiered time-of-use tariff, hourly usage, and (tier, period, quanta) found by walking."""
    limits = sorted(draw(st.sets(st.integers(1, 60), min_size=1, max_size=3)))
    codes = ["energy", "fund"][: draw(st.integers(1, 2))]
    price = st.decimals(0, 2, places=draw(st.sampled_from([4, 8, 10])))
    rates = [
        {
            "tier": tier,
            "period": period,
            "prices": {code: format(draw(price), "f") for code in codes},
        }
        for tier in range(1, len(limits) + 2)
        for period in PERIODS
    ]
    made = tariff(
        rounding=draw(st.sampled_from(ROUNDINGS)),
        tiers={"period": "month", "limits": [str(limit) for limit in limits]},
        time_of_use={
            "periods": [
                {
                    "code": code,
                    "name": NAME,
                    "windows": [{"start": start, "end": end} for start, end in windows],
                }
                for code, windows in PERIODS.items()
            ]
        },
        split_rule="by-time",
        components=[{"code": code, "name": NAME} for code in codes],
        rates=rates,
    )
    hours = draw(st.lists(st.tuples(st.integers(0, 743), st.integers(0, 99)), max_size=12))
    before = draw(st.integers(0, 300))
    by_hour = dict(hours) or {0: 1}
    midnight = datetime(2026, 7, 1, tzinfo=UTC) - SHANGHAI
    intervals = [
        UsageInterval(
            midnight + timedelta(hours=hour),
            midnight + timedelta(hours=hour + 1),
            Decimal(quanta).scaleb(-1),
        )
        for hour, quanta in by_hour.items()
    ]
    names = {"p": "peak", "f": "flat", "v": "valley"}
    walked: list[tuple[int, str, int]] = []
    at = before
    for hour, quanta in sorted(by_hour.items()):
        for _ in range(quanta):
            tier = 1 + sum(1 for limit in limits if at >= limit * 10)
            walked.append((tier, names[HOURS[hour % 24]], 1))
            at += 1
    usage = used(intervals=tuple(intervals), used_before=Decimal(before).scaleb(-1))
    return made, usage, walked


@settings(max_examples=150, deadline=None)
@given(cases())
def test_rating_agrees_with_walking_quantum_by_quantum(
    case: tuple[Tariff, Usage, list[tuple[int, str, int]]],
) -> None:
    made, usage, walked = case
    quantities: dict[tuple[int, str], int] = {}
    for tier, period, quanta in walked:
        quantities[tier, period] = quantities.get((tier, period), 0) + quanta
    exact: dict[tuple[int, str, str], Fraction] = {}
    for given_rate in made.rates:
        quanta = quantities.get((given_rate.tier, str(given_rate.period)), 0)
        for code, price in given_rate.prices.items():
            if quanta:
                key = (given_rate.tier, str(given_rate.period), code)
                exact[key] = Fraction(quanta, 10) * Fraction(price) * 100
    rated = rate(made, usage)
    found = {(item.tier, item.period, item.component): item.quantity for item in rated.line_items}
    assert found == {key: Decimal(quantities[key[:2]]).scaleb(-1) for key in exact}
    if made.rounding == "line":
        expected = sum(nearest(fen) for fen in exact.values())
    elif made.rounding == "component":
        codes = {code for _, _, code in exact}
        expected = sum(
            nearest(sum((fen for key, fen in exact.items() if key[2] == code), Fraction(0)))
            for code in codes
        )
    else:
        expected = nearest(sum(exact.values(), Fraction(0)))
    assert rated.total_fen == expected
    assert sum(item.amount_fen for item in rated.line_items) == expected
    for item in rated.line_items:
        ideal = exact[item.tier or 0, str(item.period), item.component]
        assert abs(item.amount_fen - ideal) < 1


TOU = {
    "periods": [
        {"code": "peak", "name": NAME, "windows": [{"start": "06:00", "end": "22:00"}]},
        {"code": "valley", "name": NAME, "windows": [{"start": "22:00", "end": "06:00"}]},
    ]
}
TOU_RATES = [
    {"tier": tier, "period": period, "prices": {"energy": f"0.{tier}{len(period)}"}}
    for tier in (1, 2)
    for period in ("peak", "valley")
]


def two_rule_tariff(split_rule: str) -> Tariff:
    """Give two tiers (limit 10) and two periods."""
    return tariff(
        tiers={"period": "month", "limits": ["10"]},
        time_of_use=TOU,
        rates=TOU_RATES,
        split_rule=split_rule,
    )


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 2000))
def test_pro_rata_keeps_the_sums_of_tiers_and_of_periods(
    peak: int, valley: int, before: int
) -> None:
    totals = {"peak": Decimal(peak).scaleb(-2), "valley": Decimal(valley).scaleb(-2)}
    usage = used(time_of_use=totals, used_before=Decimal(before).scaleb(-2))
    items = rate(two_rule_tariff("pro-rata"), usage).line_items
    for period, total in totals.items():
        assert sum(item.quantity for item in items if item.period == period) == total
    first = min(max(1000 - before, 0), peak + valley)
    assert sum(item.quantity for item in items if item.tier == 1) == Decimal(first).scaleb(-2)
    for item in items:
        tier = first if item.tier == 1 else peak + valley - first
        ideal = Fraction(tier * int(totals[str(item.period)] * 100), peak + valley)
        assert item.quantity >= 0
        assert abs(Fraction(item.quantity) * 100 - ideal) < 1


def test_by_time_without_intervals_is_refused_only_where_a_tier_ends() -> None:
    made = two_rule_tariff("by-time")
    totals = {"peak": Decimal(6), "valley": Decimal(4)}
    assert rate(made, used(time_of_use=totals)).total_fen == 6 * 14 + 4 * 16
    with pytest.raises(IntervalsNeededError, match="by-time"):
        rate(made, used(time_of_use=totals, used_before=Decimal("0.01")))
    only_peak = {"peak": Decimal(12), "valley": Decimal(0)}
    assert rate(made, used(time_of_use=only_peak)).total_fen == 10 * 14 + 2 * 24
    with pytest.raises(IntervalsNeededError, match="peak, valley"):
        rate(made, used("10"))


@pytest.mark.parametrize(
    ("totals", "quantity", "why"),
    [
        ({"peak": "1", "flat": "2"}, None, "flat: allowed are peak, valley"),
        ({"peak": "1"}, None, "valley: missing"),
        ({"peak": "1", "valley": "2"}, "4", "adds up to 3"),
    ],
)
def test_time_of_use_that_does_not_fit_is_refused(
    totals: dict[str, str], quantity: str | None, why: str
) -> None:
    time_of_use = {period: Decimal(value) for period, value in totals.items()}
    with pytest.raises(RatingError, match=why):
        rate(two_rule_tariff("by-time"), used(quantity, time_of_use=time_of_use))


def interval(start: str, end: str, quantity: str = "1") -> UsageInterval:
    """Give an interval of July in local hours, such as 01T05:30."""
    zone = "+08:00"
    return UsageInterval(
        datetime.fromisoformat(f"2026-07-{start}{zone}"),
        datetime.fromisoformat(f"2026-07-{end}{zone}"),
        Decimal(quantity),
    )


@pytest.mark.parametrize(
    ("intervals", "why"),
    [
        ([("01T05:30", "01T06:30")], "border of two"),
        ([("01T00:00", "01T01:00"), ("01T00:30", "01T01:30")], "the one before it ends"),
        ([("01T01:00", "01T01:00")], "not after its start"),
        ([("31T23:00", "31T23:59"), ("31T23:59:00", "31T23:59:30")], None),
        ([], "at least one"),
    ],
)
def test_intervals_that_do_not_fit_are_refused(
    intervals: list[tuple[str, str]], why: str | None
) -> None:
    usage = used(intervals=tuple(interval(*each) for each in intervals))
    if why is None:
        assert rate(two_rule_tariff("by-time"), usage).total_fen == 32
    else:
        with pytest.raises(RatingError, match=why):
            rate(two_rule_tariff("by-time"), usage)


def test_intervals_outside_the_span_are_refused() -> None:
    late = replace_days(interval("31T23:00", "31T23:30"), 1)
    with pytest.raises(RatingError, match="2026-07-01 to 2026-08-01"):
        rate(two_rule_tariff("by-time"), used(intervals=(late,)))


def replace_days(each: UsageInterval, days: int) -> UsageInterval:
    """Move an interval by days."""
    shift = timedelta(days=days)
    return UsageInterval(each.start_at + shift, each.end_at + shift, each.quantity)


@pytest.mark.parametrize(
    ("from_on", "to_on", "first_tier"),
    [
        ("2026-07-01", "2026-08-01", 10),
        ("2026-07-10", "2026-08-01", 10),
        ("2026-07-15", "2026-08-15", 10),
        ("2026-05-01", "2026-07-01", 20),
        ("2026-01-31", "2026-04-30", 30),
        ("2026-07-10", "2026-09-01", None),
    ],
)
def test_monthly_limits_follow_whole_billing_months(
    from_on: str, to_on: str, first_tier: int | None
) -> None:
    made = tariff(
        tiers={"period": "month", "limits": ["10"]},
        rates=[{"tier": 1, "prices": {"energy": "1"}}, {"tier": 2, "prices": {"energy": "2"}}],
    )
    usage = used("50", from_on=date.fromisoformat(from_on), to_on=date.fromisoformat(to_on))
    if first_tier is None:
        with pytest.raises(RatingError, match="whole months"):
            rate(made, usage)
    else:
        assert rate(made, usage).line_items[0].quantity == first_tier


@pytest.mark.parametrize(
    ("each", "people", "limit"), [(False, 7, 70), (True, 7, 130), (True, 4, 10)]
)
def test_a_large_household_has_wider_tiers(*, each: bool, people: int, limit: int) -> None:
    allowance = {"people_from": "6", "adds": "5", "per": "month", "each": each}
    made = tariff(
        tiers={"period": "year", "limits": ["10"], "people_allowance": allowance},
        rates=[{"tier": 1, "prices": {"energy": "1"}}, {"tier": 2, "prices": {"energy": "2"}}],
    )
    rated = rate(made, used("1000", premise=Premise(people=people)))
    assert rated.line_items[0].quantity == limit


def test_several_households_need_a_tariff_that_knows_them() -> None:
    rates = [{"tier": 1, "prices": {"energy": "1"}}, {"tier": 2, "prices": {"energy": "2"}}]
    tiers = {"period": "month", "limits": ["10"]}
    usage = used("100", premise=Premise(households=3))
    with pytest.raises(RatingError, match="one household"):
        rate(tariff(tiers=tiers, rates=rates), usage)
    shared = tariff(tiers={**tiers, "per_household": True}, rates=rates)
    assert rate(shared, usage).line_items[0].quantity == 30


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=12))
def test_a_quantity_step_carries_its_remainder_and_loses_nothing(quanta: list[int]) -> None:
    made = tariff(quantity_step="1", rates=[{"prices": {"energy": "1"}}])
    carried, billed = Decimal(0), Decimal(0)
    for number in quanta:
        usage = used(quantity=str(Decimal(number).scaleb(-3)), carried_before=carried)
        rated = rate(made, usage)
        carried = rated.carried_quantity
        assert 0 <= carried < 1
        billed += sum((item.quantity for item in rated.line_items), Decimal(0))
    assert billed == sum(quanta) // 1000
    assert billed + carried == Decimal(sum(quanta)).scaleb(-3)


def test_fixed_charges_by_area_household_and_day() -> None:
    made = tariff(
        components=[],
        rates=[],
        fixed_charges=[
            {"code": "property", "name": NAME, "per": "month", "by": "area", "price": "2.85"},
            {"code": "waste", "name": NAME, "per": "day", "by": "household", "price": "0.111"},
            {"code": "basic", "name": NAME, "per": "month", "price": "3"},
        ],
    )
    usage = used(premise=Premise(area_m2=Decimal("98.76"), households=2))
    rated = rate(made, usage)
    # 98.76 x 2.85 = 281.466; 31 x 2 x 0.111 = 6.882
    assert [item.amount_fen for item in rated.line_items] == [28147, 688, 300]
    assert rated.total_fen == 29135
    with pytest.raises(RatingError, match="area_m2"):
        rate(made, used())


def rated_by_invoice(invoice: SupplierInvoice, quantity: str) -> Rated:
    """Rate a quantity at an invoice's price."""
    made = tariff(price_source="invoice", rates=[], supply_kinds=["resold"])
    return rate(made, used(quantity, invoice=invoice))


@given(st.decimals(0, 10**6, places=2), st.decimals("0.01", 10**6, places=2))
def test_the_unit_price_is_never_above_the_invoice(amount: Decimal, quantity: Decimal) -> None:
    rated = rated_by_invoice(SupplierInvoice(amount, quantity), "1")
    price = Fraction(rated.line_items[0].unit_price)
    exact = Fraction(amount) / Fraction(quantity)
    assert 0 <= exact - price < Fraction(1, 10**10)


@pytest.mark.parametrize(("rounding", "amounts"), [("line", [1, 1]), ("once", [1, 0])])
def test_lines_always_add_up_to_the_total(rounding: str, amounts: list[int]) -> None:
    made = tariff(
        rounding=rounding,
        components=[{"code": "a", "name": NAME}, {"code": "b", "name": NAME}],
        rates=[{"prices": {"a": "0.005", "b": "0.005"}}],
    )
    rated = rate(made, used("1"))
    assert [item.amount_fen for item in rated.line_items] == amounts
    assert rated.total_fen == sum(amounts)


def test_a_line_explains_itself() -> None:
    made = tariff(rates=[{"prices": {"energy": "0.48831234"}}])
    item = rate(made, used("10.50")).line_items[0]
    assert item.formula == "10.50 kWh × 0.48831234 元 = 5.12727957 元 → 5.13 元 (line)"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"from_on": date(2025, 12, 1), "to_on": date(2026, 1, 1)}, "in force from 2026-01-01"),
        ({"to_on": date(2026, 7, 1)}, "after from"),
        ({"from_on": date(2026, 9, 1), "to_on": date(2026, 10, 2)}, "split the usage"),
        ({"quantity": "-1"}, "quantity: -1"),
        ({"used_before": Decimal("NaN")}, "used_before: NaN"),
        ({"quantity": None}, "quantity: missing"),
    ],
)
def test_a_usage_that_does_not_fit_is_refused(changes: dict[str, object], why: str) -> None:
    made = tariff(effective_to="2026-10-01")
    with pytest.raises(RatingError, match=why):
        rate(made, used(**({"quantity": "1"} | changes)))
