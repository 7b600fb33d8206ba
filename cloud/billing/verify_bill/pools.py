"""Shares of pools 公摊: the public sheet computed anew, and what one home has of it."""

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Final

from .formulas import weight_of
from .items import Row
from .rating import Line, rated
from .registers import Registers, check_span, span_of
from .shapes import USAGE, tariff_of
from .values import DAY, DiffersError, Doc, among, decimal_of, fen_of, least_and_most, same, yuan

# the fact that each way to weigh asks for, and the uom of its weights; of usage it is the master's
ASKED: Final = {
    "area": ("area_m2", "m2"),
    "usage": ("usage", ""),
    "household": ("households", "户"),
    "head": ("heads", "人"),
}


def rated_pools(bundle: Doc, reads: Registers) -> list[Row]:
    """Return the rows of a bill of shares; DiffersError."""
    bill = bundle["bill"]
    first = date.fromisoformat(f"{bill['period']}-01")
    days = {"from_on": str(first), "to_on": str((first + 32 * DAY).replace(day=1))}
    for key, day in days.items():
        same(f"bill.{key}", bill[key], day)
    same("bill.service", bill["service"], "shared")
    return [_share(pool, days, reads, place) for place, pool in enumerate(bundle["pools"])]


def _share(pool: Doc, days: Doc, reads: Registers, place: int) -> Row:
    path = f"pools[{place}]"
    for key in ("invoice", "tariff", "cap_percent"):
        if pool[key] is None:
            raise DiffersError(f"{path}.{key}: was not kept with this sheet")
    used = reads.parts(pool["parts"], f"{path}.parts")
    _check_quantities(pool, used, path)
    tariff, points = tariff_of(pool["tariff"], f"{path}.tariff"), list(used)
    for point in points:
        own = [part for part in pool["parts"] if part["meter_point"] == point]
        check_span(own, span_of(tariff, days), path)
    usage: Doc = dict.fromkeys(USAGE.split())
    usage |= {"invoice": pool["invoice"], "premise": {}, "quantity": pool["charged"]}
    lines, fen, _ = rated(tariff, usage | days, path)
    price = decimal_of(pool["unit_price"], f"{path}.unit_price")
    same(f"{path}.unit_price", price, lines[0].price if lines else Fraction(0))
    same(f"{path}.total", pool["total"], yuan(sum(fen)))
    weight, uom = _weight(pool, path)
    whole = decimal_of(pool["weight_total"], f"{path}.weight_total")
    mine = fen_of(pool["share"], f"{path}.share")
    allowed = least_and_most(Fraction(sum(fen)), weight, whole, path)
    among(f"{path}.share", pool["share"], tuple(yuan(int(part)) for part in allowed))
    _check_company(pool, sum(fen), whole - weight, path)
    reads.seen["pools"] += 1
    name = {"zh": pool["name"], "en": pool["name_en"]}
    line = Line("", f"shared.{pool['pool']}", (name,), weight, uom, Fraction(0), 0)
    formula = f"{pool['total']} x {pool['weight']} / {pool['weight_total']}"
    return Row(place, line, mine, formula=formula)


def _check_quantities(pool: Doc, used: Mapping[str, Fraction], path: str) -> None:
    names = ("master", "subs", "public", "loss", "cap_percent", "carried_in", "corrected")
    master, subs, public, loss, percent, carried, corrected = (
        decimal_of(pool[name], f"{path}.{name}") for name in names
    )
    others = {point: quantity for point, quantity in used.items() if point != pool["master_point"]}
    same(f"{path}.master", master, used.get(pool["master_point"]))
    same(f"{path}.public", public, sum(others.values(), Fraction(0)))
    same(f"{path}.loss", loss, master - subs - public)
    among(f"{path}.kind", pool["kind"], ("public", "loss"))
    shared = pool["shared_points"]
    if len(set(shared)) < len(shared) or not others.keys() >= set(shared):
        raise DiffersError(f"{path}.shared_points: found {shared}, expected some of {list(others)}")
    base = sum((others[point] for point in shared), Fraction(0))
    due = (base if pool["kind"] == "public" else loss) + carried + corrected
    if carried > 0:
        raise DiffersError(f"{path}.carried_in: found {pool['carried_in']}, expected 0 or less")
    most, none = master * percent / 100, Fraction(0)
    for name, expected in (
        ("charged", max(none, min(due, most))),
        ("above_cap", max(none, due - most)),
        ("carried_out", min(none, due)),
    ):
        same(f"{path}.{name}", decimal_of(pool[name], f"{path}.{name}"), expected)


def _check_company(pool: Doc, total: int, others: Fraction, path: str) -> None:
    # each home's part is rounded down, or a fen more: which one hangs on the neighbours' weights
    fen, homes = fen_of(pool["company"], f"{path}.company"), pool["company_homes"]
    weight = decimal_of(pool["company_weight"], f"{path}.company_weight")
    same(f"{path}.company_homes", type(homes), int)
    if homes < 0 or not 0 <= weight <= others or (homes == 0) != (weight == 0):
        raise DiffersError(f"{path}.company_weight: {pool['company_weight']} of {homes} homes")
    exact = total * weight / decimal_of(pool["weight_total"], f"{path}.weight_total")
    if fen < 0 or (fen != exact and not exact - homes < fen < exact + homes):
        raise DiffersError(f"{path}.company: found {pool['company']}, expected {yuan(int(exact))}")


def _weight(pool: Doc, path: str) -> tuple[Fraction, str]:
    # from this home's facts, by what weighed in the end
    among(f"{path}.level", pool["level"], ("project", "building", "entrance"))
    among(f"{path}.by", pool["by"], (*ASKED, "formula"))
    among(f"{path}.fallback", pool["fallback"], ("", *ASKED))
    if (pool["formula"] != "") != (pool["by"] == "formula") or pool["formula"] is None:
        raise DiffersError(f"{path}.formula: found {pool['formula']!r} beside by {pool['by']}")
    by, facts = pool["fallback"] or pool["by"], pool["facts"]
    weight = decimal_of(pool["weight"], f"{path}.weight")
    if by == "formula":
        same(f"{path}.weight", weight, weight_of(pool["formula"], facts, f"{path}.formula"))
        return weight, ""
    fact, uom = ASKED[by]
    same(f"{path}.facts", list(facts), [fact])
    same(f"{path}.weight", weight, decimal_of(facts[fact], f"{path}.facts.{fact}"))
    uoms = {part["uom"] for part in pool["parts"] if part["meter_point"] == pool["master_point"]}
    return weight, uom or next(iter(uoms), "")
