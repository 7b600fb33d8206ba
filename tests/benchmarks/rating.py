"""Rating a month of hourly reads: many accounts at once, one by one, and by the second engine."""

import json
import os
from dataclasses import replace
from datetime import date

import numpy as np

from cloud.tariffs.files import parse_tariff
from cloud.tariffs.mass_rated import MassRated
from cloud.tariffs.mass_rating import rate_many
from cloud.tariffs.mass_usage import MassUsage
from cloud.tariffs.rate_plan import RatePlan
from cloud.tariffs.rating import rate_by
from tests.benchmarks.measure import Figure, measured
from tests.reference.second_engine import second_bill

ACCOUNTS = int(os.environ.get("RATED_ACCOUNTS", "20000"))
# so many are rated by the slower peers
SOME = 100
FEW = 5
RUNS = 5
GOAL = 100_000
PERIODS = {"peak": ("08:00", "11:00"), "flat": ("11:00", "22:00"), "valley": ("22:00", "08:00")}


def run() -> list[Figure]:
    """Rate 3 annual tiers x 3 time-of-use periods on one core; all must agree."""
    figures: list[Figure] = []
    usage = _usage()
    for rule in ("by-time", "pro-rata"):
        text = json.dumps(_tariff(rule))
        plan = RatePlan(parse_tariff(text, name="bench.json"))
        rate_many(plan, usage)
        with measured("rating", f"arrays, {rule}", ACCOUNTS * RUNS) as at_once:
            for _ in range(RUNS):
                rated = rate_many(plan, usage)
        at_once.more = f"{_rate(at_once)}; goal {GOAL:,}"
        with measured("rating", f"rows of each, {rule}", ACCOUNTS) as by_row:
            each = list(rated)
        by_row.more = _rate(by_row)
        usages = [usage.usage(plan.tariff, account) for account in range(SOME)]
        with measured("rating", f"integers one by one, {rule}", SOME) as integers:
            singly = [rate_by(plan, one) for one in usages]
        integers.more = _rate(integers)
        if singly != each[:SOME]:
            msg = f"{rule}: rated at once and one by one they differ"
            raise RuntimeError(msg)
        figures += [at_once, by_row, integers, _second(text, usage, plan, rated)]
    return figures + _by_registers(usage)


def _usage() -> MassUsage:
    draw = np.random.default_rng(1)
    return MassUsage(
        from_on=date(2026, 6, 1),
        to_on=date(2026, 7, 1),
        accounts=ACCOUNTS,
        exponent=-2,
        intervals=draw.integers(0, 120, (ACCOUNTS, 720)),
        used_before=draw.integers(0, 500_000, ACCOUNTS),
    )


def _by_registers(usage: MassUsage) -> list[Figure]:
    # meters that count each period by themselves: no hours to place
    plan = RatePlan(parse_tariff(json.dumps(_tariff("pro-rata")), name="bench.json"))
    draw = np.random.default_rng(2)
    by_period = {code: draw.integers(0, 40_000, ACCOUNTS) for code in PERIODS}
    registers = replace(usage, intervals=None, time_of_use=by_period)
    with measured("rating", "arrays, three registers", ACCOUNTS) as at_once:
        rated = rate_many(plan, registers)
    at_once.more = _rate(at_once)
    usages = [registers.usage(plan.tariff, account) for account in range(20 * SOME)]
    with measured("rating", "integers one by one, three registers", len(usages)) as integers:
        singly = [rate_by(plan, one).total_fen for one in usages]
    integers.more = _rate(integers)
    if singly != rated.totals_fen[: len(usages)].tolist():
        msg = "three registers: rated at once and one by one they differ"
        raise RuntimeError(msg)
    return [at_once, integers]


def _second(text: str, usage: MassUsage, plan: RatePlan, rated: MassRated) -> Figure:
    documents = [_document(usage, plan, account) for account in range(FEW)]
    with measured("rating", f"second engine, {plan.tariff.split_rule}", FEW) as second:
        bills = [second_bill(text, document) for document in documents]
    second.more = _rate(second)
    if [bill.total_fen for bill in bills] != rated.totals_fen[:FEW].tolist():
        msg = f"{plan.tariff.split_rule}: the second engine comes to other totals"
        raise RuntimeError(msg)
    return second


def _document(usage: MassUsage, plan: RatePlan, account: int) -> dict[str, object]:
    one = usage.usage(plan.tariff, account)
    return {
        "from": one.from_on.isoformat(),
        "to": one.to_on.isoformat(),
        "used_before": str(one.used_before),
        "intervals": [
            [each.start_at.isoformat(), each.end_at.isoformat(), str(each.quantity)]
            for each in one.intervals or ()
        ],
    }


def _tariff(rule: str) -> dict[str, object]:
    name = {"zh": "电", "en": "power"}
    return {
        "id": "bench",
        "version": "1",
        "name": name,
        "effective_from": "2026-01-01",
        "time_zone": "Asia/Shanghai",
        "source": "benchmark",
        "verified": False,
        "service": "electricity",
        "uom": "kWh",
        "supply_kinds": ["collected"],
        "rounding": "line",
        "split_rule": rule,
        "tiers": {"period": "year", "limits": ["2520", "4800"]},
        "time_of_use": {
            "periods": [
                {"code": code, "name": name, "windows": [{"start": start, "end": end}]}
                for code, (start, end) in PERIODS.items()
            ]
        },
        "components": [{"code": "energy", "name": name}],
        "rates": [
            {"tier": tier, "period": code, "prices": {"energy": f"0.{tier}{place}283"}}
            for tier in (1, 2, 3)
            for place, code in enumerate(PERIODS)
        ],
    }


def _rate(figure: Figure) -> str:
    return f"{1e6 / figure.cpu_us:,.0f} accounts/s and core"
