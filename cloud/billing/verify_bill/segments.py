"""The segments of a bill, one after the other: each rated anew, each beginning where one ended."""

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Final, NamedTuple

from .calendar import season_of, tier_start
from .discounts import discount_rows
from .items import Row
from .rating import rated
from .registers import HOUR_US, Registers, check_span, span_of
from .shapes import asked_of, tariff_of
from .values import (
    DAY,
    DiffersError,
    Doc,
    among,
    decimal_of,
    decimals_of,
    instant_of,
    least_and_most,
    local_day,
    microseconds,
    same,
)

_SIDES: Final = ("start", "end")
_MANY: Final = 1000


class _Rated(NamedTuple):
    """A segment that was computed: what it left over, and what was used before its bill."""

    first: date
    last: date
    tariff: Doc
    quantity: Fraction
    left: Fraction
    base: Fraction | None


def rated_segments(bundle: Doc, reads: Registers) -> list[Row]:
    """Return the rows of a bill's segments; DiffersError.

    A bill without a quantity is of a charge that recurs, and has no meters.
    """
    bill, rows = bundle["bill"], list[Row]()
    before: list[_Rated] = []
    for place, segment in enumerate(bundle["segments"]):
        path, inputs = f"segments[{place}]", segment["inputs"]
        if inputs is None:
            raise DiffersError(
                f"{path}.inputs: were not kept with this bill: no line can be computed anew"
            )
        if segment["tariff"] is None:
            raise DiffersError(f"{path}.tariff: is not on file")
        tariff = tariff_of(segment["tariff"], f"{path}.tariff")
        _check_asked(tariff, inputs, path)
        _check_days(tariff, bill, inputs, before, path)
        if bill["quantity"] is None:
            quantity = _not_metered(tariff, segment, path)
        else:
            same("bill.service", bill["service"], tariff["service"])
            quantity = _used(tariff, segment, reads, path)
        base = _used_before(tariff, bill, inputs, before, path)
        if before and tariff["quantity_step"] is not None:
            carried = decimal_of(inputs["carried_before"], f"{path}.inputs.carried_before")
            same(f"{path}.inputs.carried_before", carried, before[-1].left)
        lines, fen, left = rated(tariff, inputs, path)
        rounding = tariff["rounding"]
        rows += [Row(place, line, each, rounding) for line, each in zip(lines, fen, strict=True)]
        rows += discount_rows(bill, tariff, segment, place, sum(fen))
        days = local_day(inputs["from_on"]), local_day(inputs["to_on"])
        before.append(_Rated(*days, tariff, quantity, left, base))
    same("bill.to_on", bill["to_on"], str(before[-1].last))
    if bill["quantity"] is None:
        same("bill.estimated", bill["estimated"], None)
        return rows
    total = sum((each.quantity for each in before), Fraction(0))
    same("bill.quantity", decimal_of(bill["quantity"], "bill.quantity"), total)
    parts = [part for segment in bundle["segments"] for part in segment["parts"]]
    edges = [part[side] for part in parts for side in _SIDES]
    same("bill.estimated", bill["estimated"], any(edge["estimated"] for edge in edges))
    reads.seen["unread"] += not parts
    return rows


def _check_days(tariff: Doc, bill: Doc, inputs: Doc, before: list[_Rated], path: str) -> None:
    # the days of a bill, without a gap: but for a charge by the season that was due before
    first = local_day(inputs["from_on"])
    same(f"{path}.inputs.from_on", inputs["from_on"], str(first))
    same(f"{path}.inputs.to_on", inputs["to_on"], str(local_day(inputs["to_on"])))
    if bill["quantity"] is not None:
        same("bill.period", bill["period"], bill["from_on"][:7])
    if not before:
        same(f"{path}.inputs.from_on", inputs["from_on"], bill["from_on"])
        return
    end, held = before[-1].last, before[-1].tariff
    by_season = not tariff["components"] and all(
        charge["per"] == "season" for charge in (*tariff["fixed_charges"], *held["fixed_charges"])
    )
    gap = (first - end).days
    season = season_of(held, end - DAY)
    if (
        gap <= 0
        or not by_season
        or any(season_of(held, end + DAY * at) != season for at in range(gap))
    ):
        same(f"{path}.inputs.from_on", inputs["from_on"], str(end))


def _used_before(
    tariff: Doc, bill: Doc, inputs: Doc, before: list[_Rated], path: str
) -> Fraction | None:
    # what was used since the tier period began grows by the segments of this bill
    if not tariff["tiers"]:
        return None
    where = f"{path}.inputs.used_before"
    since = tier_start(tariff, local_day(inputs["from_on"]))
    here = sum((each.quantity for each in before if each.first >= since), Fraction(0))
    base = decimal_of(inputs["used_before"], where) - here
    if since >= local_day(bill["from_on"]):
        same(where, here + base, here)
    for each in before:
        if each.base is not None and tier_start(each.tariff, each.first) == since:
            same(where, here + base, here + each.base)
    if base < 0:
        raise DiffersError(f"{where}: {inputs['used_before']}: less than this bill has before it")
    return base


def _not_metered(tariff: Doc, segment: Doc, path: str) -> Fraction:
    # what recurs is charged by its days and by facts of the home
    same(f"{path}.tariff: components", tariff["components"], [])
    same(f"{path}.inputs.quantity", segment["inputs"]["quantity"], None)
    same(f"{path}.inputs.shares", segment["inputs"]["shares"], [])
    same(f"{path}.parts", segment["parts"], [])
    return Fraction(0)


def _used(tariff: Doc, segment: Doc, reads: Registers, path: str) -> Fraction:
    inputs, parts, where = segment["inputs"], segment["parts"], f"{path}.parts"
    quantity = decimal_of(inputs["quantity"], f"{path}.inputs.quantity")
    reads.by_hour.clear()
    used, span = reads.parts(parts, where), span_of(tariff, inputs)
    shares = {each["meter_point"]: each for each in inputs["shares"]}
    same(f"{path}.inputs.shares", list(shares), sorted(each for each in used if each in shares))
    same(f"{path}.inputs.shares", len(inputs["shares"]), len(shares))
    totals = {Fraction(0)}
    for point, whole in used.items():
        own = [part for part in parts if part["meter_point"] == point]
        for part in own if tariff["components"] else ():
            same(f"{where}: uom", part["uom"], tariff["uom"])
        check_span(own, span, where)
        some: tuple[Fraction, ...] = (whole,)
        if point in shares:
            some = tuple(_weighed(own, whole, shares[point], path))
            reads.seen["weighed"] += 1
        totals = {total + each for total in totals for each in some}
        if len(totals) > _MANY:
            raise DiffersError(f"{path}.inputs.shares: more than {_MANY} sums of them are possible")
    if parts and quantity not in totals:
        same(f"{path}.inputs.quantity", quantity, min(totals))
    if parts and inputs["intervals"] is not None:
        _check_intervals(inputs["intervals"], parts, reads, f"{path}.inputs.intervals")
    return quantity


def _weighed(own: list[Doc], whole: Fraction, share: Doc, path: str) -> Iterator[Fraction]:
    # what a home has of a meter that others pay for, too: its weight's part, to the last digit
    where = f"{path}.inputs.shares"
    weights = [decimal_of(share[key], f"{where}.{key}") for key in ("weight", "weight_total")]
    written = [part["quantity"] for part in own] + [part["true_up"] or "0" for part in own]
    steps = 10 ** max(map(decimals_of, written))
    for each in least_and_most(whole * steps, weights[0], weights[1], where):
        yield each / steps


def _check_intervals(
    intervals: list[list[str]], parts: list[Doc], reads: Registers, path: str
) -> None:
    # they are the hours that the meters stood for, and what the registers of each hour say
    spans = [
        (microseconds(instant_of(start)), microseconds(instant_of(end)))
        for start, end, _ in intervals
    ]
    stood: dict[int, tuple[int, int]] = {}
    for part in parts:
        start_us, end_us = (part[side]["at_us"] for side in _SIDES)
        if end_us - start_us > (len(intervals) + 1) * HOUR_US:
            raise DiffersError(f"{path}: fewer than the hours of {part['meter_point']}")
        edges = [start_us, *range((start_us // HOUR_US + 1) * HOUR_US, end_us, HOUR_US), end_us]
        for first, last in pairwise(edges if start_us < end_us else ()):
            low, high = stood.get(first // HOUR_US, (first, last))
            stood[first // HOUR_US] = min(low, first), max(high, last)
    same(path, spans, [span for _, span in sorted(stood.items())])
    if any(part["hours"] is None for part in parts):
        reads.seen["split"] += 1
        return
    for index, each in enumerate(intervals):
        where = f"{path}[{index}]"
        same(where, decimal_of(each[2], where), reads.by_hour[spans[index][0] // HOUR_US])


def _check_asked(tariff: Doc, inputs: Doc, path: str) -> None:
    for key in ("people", "households", "floor", "vehicles"):
        count = inputs["premise"][key]
        among(f"{path}.inputs.premise.{key}: type", type(count).__name__, ("int", "NoneType"))
    for key, is_asked in asked_of(tariff).items():
        value = (inputs if key in inputs else inputs["premise"])[key]
        if value is not None and not is_asked:
            raise DiffersError(f"{path}.inputs: {key}: {value!r}, expected null: nothing asks")
        # a fact of the home may be unknown, what was used before is 0 at least
        if value is None and is_asked and key.endswith("_before"):
            raise DiffersError(f"{path}.inputs: {key}: found nothing, expected a number")
