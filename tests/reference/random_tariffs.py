"""Tariffs of every shape and usages that may fit them, drawn by hypothesis as plain documents."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

NAME = {"zh": "名", "en": "name"}
ZONES = ("Asia/Shanghai", "America/Los_Angeles", "Europe/London")
# spans of days: whole months, parts, a leap day, changed clocks, over a season and over new year
SPANS = [
    ("2024-02-01", "2024-03-01"),
    ("2024-02-10", "2024-03-01"),
    ("2024-02-29", "2024-03-01"),
    ("2024-03-01", "2024-04-01"),
    ("2024-03-08", "2024-03-15"),
    ("2024-03-31", "2024-04-01"),
    ("2024-04-15", "2024-05-15"),
    ("2024-05-01", "2024-06-01"),
    ("2024-05-01", "2024-08-01"),
    ("2024-07-15", "2024-09-10"),
    ("2024-10-20", "2024-11-20"),
    ("2024-11-01", "2024-12-01"),
    ("2024-12-10", "2025-01-01"),
    ("2024-12-15", "2025-01-15"),
    ("2024-01-01", "2025-01-01"),
    ("2023-12-31", "2024-01-31"),
    ("2024-01-31", "2024-03-31"),
]
SEASONS = [
    [("summer", "05-01", "10-31"), ("winter", "11-01", "04-30")],
    [("dry", "01-01", "02-29"), ("wet", "03-01", "09-30"), ("late", "10-01", "12-31")],
]
# how each day is laid out; borders at 01:30 and 02:30 fall into changed clocks
CLOCKS = [
    {"peak": [("06:00", "22:00")], "valley": [("22:00", "06:00")]},
    {"peak": [("10:00", "12:00"), ("17:00", "21:30")], "flat": [("12:00", "17:00")]}
    | {"valley": [("21:30", "10:00")]},
    {"night": [("01:30", "02:30")], "day": [("02:30", "01:30")]},
]


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw a tariff document and a usage document."""
    tariff: dict[str, Any] = {
        "id": "t",
        "version": "1",
        "name": NAME,
        "effective_from": "2024-01-01" if draw(st.integers(0, 9)) else "2024-03-01",
        "time_zone": draw(st.sampled_from(ZONES)),
        "source": "drawn",
        "verified": False,
        "service": "electricity",
        "uom": "kWh",
        "supply_kinds": ["collected"],
        "rounding": draw(st.sampled_from(["line", "component", "once"])),
    }
    if tariff["effective_from"] == "2024-01-01":
        tariff["effective_from"] = "2023-01-01"
    if draw(st.integers(0, 9)) == 0:
        tariff["effective_to"] = "2025-01-01"
    shape = draw(st.integers(0, 15))
    if shape == 0:
        tariff |= {"price_source": "invoice", "components": [_component("energy")]}
    elif shape > 1:
        _metered(draw, tariff)
    if shape == 1 or draw(st.booleans()):
        _charges(draw, tariff)
    _bounds_and_taxes(draw, tariff)
    return tariff, _usage(draw, tariff)


def _component(code: str, *, credit: bool = False) -> dict[str, Any]:
    return {"code": code, "name": NAME, "credit": credit}


def _metered(draw: st.DrawFn, tariff: dict[str, Any]) -> None:
    if draw(st.booleans()):
        tariff["seasons"] = [
            {"code": code, "name": NAME, "first": first, "last": last}
            for code, first, last in draw(st.sampled_from(SEASONS))
        ]
    seasons = [season["code"] for season in tariff.get("seasons", ())]
    periods = _time_of_use(draw, tariff, seasons) if draw(st.booleans()) else []
    tiers = _tiers(draw, tariff, seasons) if draw(st.integers(0, 3)) else 0
    codes = ["energy", "fund", "credit"][: draw(st.integers(1, 3))]
    rates: list[dict[str, Any]] = []
    both = False
    needed = {"tier": bool(tiers), "period": bool(periods)}
    for place, code in enumerate(codes):
        last = place == len(codes) - 1
        by = {
            key: bool(values) and (draw(st.booleans()) or (last and needed.get(key, False)))
            for key, values in (("tier", tiers), ("period", periods), ("season", seasons))
        }
        needed = {key: is_needed and not by[key] for key, is_needed in needed.items()}
        both = both or (by["tier"] and (by["period"] or by["season"]))
        for tier in range(1, tiers + 1) if by["tier"] else [None]:
            for period in periods if by["period"] else [None]:
                for season in seasons if by["season"] else [None]:
                    cell = {"tier": tier, "period": period, "season": season}
                    rate = {key: value for key, value in cell.items() if value is not None}
                    rates.append(rate | {"prices": {code: _price(draw, code)}})
    if both and periods:
        tariff["split_rule"] = draw(st.sampled_from(["by-time", "pro-rata"]))
    if not periods and draw(st.integers(0, 3)) == 0:
        tariff["quantity_step"] = draw(st.sampled_from(["1", "0.5", "10"]))
    tariff["components"] = [_component(code, credit=code == "credit") for code in codes]
    tariff["rates"] = rates


def _price(draw: st.DrawFn, code: str) -> str:
    number = draw(st.integers(0, 10**6))
    places = draw(st.sampled_from([2, 4, 8]))
    text = f"{number // 10**places}.{number % 10**places:0{places}d}"
    return f"-{text}" if code == "credit" and number else text


def _time_of_use(draw: st.DrawFn, tariff: dict[str, Any], seasons: list[str]) -> list[str]:
    kinds: list[dict[str, Any]] = [{}]
    if seasons and draw(st.booleans()):
        kinds = [{"seasons": [code]} for code in seasons]
    elif draw(st.booleans()):
        kinds = [{"days": ["workday"]}, {"days": ["weekend", "holiday"]}]
    layouts = {code: [] for clock in CLOCKS for code in clock}
    for kind in kinds:
        for code, windows in draw(st.sampled_from(CLOCKS)).items():
            layouts[code] += [{"start": start, "end": end} | kind for start, end in windows]
    used = [code for code, windows in layouts.items() if windows]
    tariff["time_of_use"] = {
        "periods": [{"code": code, "name": NAME, "windows": layouts[code]} for code in used],
        "holidays": ["2024-02-29", "2024-05-01"],
    }
    return used


def _tiers(draw: st.DrawFn, tariff: dict[str, Any], seasons: list[str]) -> int:
    period = draw(st.sampled_from(["day", "month", "year"] + ["season"] * bool(seasons)))
    count = draw(st.integers(1, 2))
    tiers: dict[str, Any] = {"period": period, "per_household": draw(st.booleans())}
    if seasons and period != "year" and draw(st.booleans()):
        tiers["limits_by_season"] = {season: _limits(draw, count) for season in seasons}
    else:
        tiers["limits"] = _limits(draw, count)
    parts = {"month": ["whole", "by-day"], "year": ["whole", "by-month", "by-day"]}
    tiers["part"] = draw(st.sampled_from(parts.get(period, ["whole"])))
    if period in parts and draw(st.booleans()):
        tiers["people_allowance"] = {
            "people_from": 5,
            "adds": draw(st.sampled_from(["10", "2.5"])),
            "per": "month" if period == "month" else draw(st.sampled_from(["month", "year"])),
            "each": draw(st.booleans()),
        }
    tariff["tiers"] = tiers
    return count + 1


def _limits(draw: st.DrawFn, count: int) -> list[str]:
    first = draw(st.integers(1, 30))
    limits = [first, first + draw(st.integers(1, 30))][:count]
    return [f"{limit}.5" if draw(st.integers(0, 4)) == 0 else str(limit) for limit in limits]


def _charges(draw: st.DrawFn, tariff: dict[str, Any]) -> None:
    made: list[dict[str, Any]] = []
    seasons = [season["code"] for season in tariff.get("seasons", ())]
    for place in range(draw(st.integers(1, 2))):
        per = draw(st.sampled_from(["day", "month", "season", "year"]))
        by = draw(st.sampled_from(["premise", "household", "head", "vehicle", "area"]))
        charge: dict[str, Any] = {"code": f"fixed{place}", "name": NAME, "per": per, "by": by}
        if per == "month" and draw(st.booleans()):
            charge["part"] = "by-day"
        if seasons and draw(st.integers(0, 2)) == 0:
            charge["season"] = draw(st.sampled_from(seasons))
        if draw(st.integers(0, 3)) == 0:
            prices = [(-1, "0.2"), (3, "0.35"), (10, _price(draw, "fixed"))]
            charge["prices_by_floor"] = [
                {"floor": floor, "price": price} for floor, price in prices
            ]
        else:
            charge["price"] = _price(draw, "fixed")
        made.append(charge)
    tariff["fixed_charges"] = made


def _bounds_and_taxes(draw: st.DrawFn, tariff: dict[str, Any]) -> None:
    least = draw(st.integers(0, 30))
    if draw(st.integers(0, 3)) == 0:
        tariff["minimum_charge"] = {"code": "least", "name": NAME, "amount": f"{least}.05"}
    if draw(st.integers(0, 3)) == 0:
        tariff["maximum_charge"] = {"code": "most", "name": NAME, "amount": f"{least + 5}.5"}
    if draw(st.booleans()):
        codes = [each["code"] for each in tariff.get("components", ())]
        codes += [each["code"] for each in tariff.get("fixed_charges", ())]
        tariff["taxes"] = [{"code": "tax", "name": NAME, "percent": "5.5"}]
        if draw(st.booleans()):
            tariff["taxes"].append(
                {
                    "code": "levy",
                    "name": NAME,
                    "percent": "13",
                    "of": [draw(st.sampled_from(codes))],
                }
            )


def _usage(draw: st.DrawFn, tariff: dict[str, Any]) -> dict[str, Any]:
    from_on, to_on = draw(st.sampled_from(SPANS))
    usage: dict[str, Any] = {"from": from_on, "to": to_on}
    if draw(st.booleans()):
        usage["used_before"] = _quantity(draw, 400)
    if draw(st.booleans()):
        usage["carried_before"] = _quantity(draw, 9)
    if draw(st.integers(0, 2)) == 0:
        usage["held_from"] = draw(st.sampled_from(["2023-05-05", "2024-01-17", "2024-11-30"]))
    if "price_source" in tariff:
        usage["invoice"] = {"amount": _quantity(draw, 9999), "quantity": "123.4"}
    usage["premise"] = _premise(draw)
    clock = tariff.get("time_of_use")
    if draw(st.booleans()):
        usage["intervals"] = _intervals(draw, tariff["time_zone"], from_on, to_on)
        if draw(st.integers(0, 9)) == 0:
            usage["quantity"] = usage["intervals"][0][2]
        elif clock is not None and draw(st.integers(0, 9)) == 0:
            usage["time_of_use"] = {clock["periods"][0]["code"]: usage["intervals"][0][2]}
    elif clock is not None:
        usage["time_of_use"] = {period["code"]: _quantity(draw, 400) for period in clock["periods"]}
    else:
        usage["quantity"] = _quantity(draw, 900)
    return usage


def _premise(draw: st.DrawFn) -> dict[str, Any]:
    premise: dict[str, Any] = {
        "area_m2": _quantity(draw, 999) + "1",
        "people": draw(st.integers(0, 7)),
        "households": draw(st.sampled_from([1, 1, 1, 3])),
        "floor": draw(st.integers(-1, 12)),
        "vehicles": draw(st.integers(0, 2)),
    }
    for key in ("area_m2", "floor", "people"):
        if draw(st.integers(0, 19)) == 0:
            del premise[key]
    return premise


def _quantity(draw: st.DrawFn, most: int) -> str:
    number = draw(st.integers(0, most))
    return draw(st.sampled_from([str(number // 10), f"{number / 10:.1f}", f"{number / 10:.2f}"]))


def _intervals(draw: st.DrawFn, zone: str, from_on: str, to_on: str) -> list[list[str]]:
    day = datetime.fromisoformat(from_on).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    hours = (date.fromisoformat(to_on) - date.fromisoformat(from_on)).days * 24
    begins = draw(st.lists(st.integers(0, 2 * hours - 1), min_size=1, max_size=6, unique=True))
    half, made = timedelta(minutes=30), []
    for at in begins:
        start_at = day + half * at
        # long intervals cross borders and each other: both engines must say so
        long = draw(st.integers(0, 39)) == 0
        end_at = start_at + (half * 5 if long else half)
        made.append([start_at.isoformat(), end_at.isoformat(), _quantity(draw, 200)])
    return made
