"""Shares of pools 公摊: the public sheet computed anew, and what one home has of it."""

from datetime import date
from fractions import Fraction

from .items import Row
from .rating import Line, rated
from .registers import Registers, check_span, span_of
from .shapes import USAGE, tariff_of
from .values import DAY, DiffersError, Doc, among, decimal_of, fen_of, least_and_most, same, yuan


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
    names = ("master", "subs", "public", "loss", "charged", "unit_price", "weight")
    master, subs, public, loss, charged, price, weight = (
        decimal_of(pool[name], f"{path}.{name}") for name in names
    )
    same(f"{path}.master", master, used.pop(pool["master_point"], None))
    same(f"{path}.public", public, sum(used.values(), Fraction(0)))
    same(f"{path}.loss", loss, master - subs - public)
    among(f"{path}.kind", pool["kind"], ("public", "loss"))
    cap = master * decimal_of(pool["cap_percent"], f"{path}.cap_percent") / 100
    base = public if pool["kind"] == "public" else loss
    same(f"{path}.charged", charged, max(Fraction(0), min(base, cap)))
    tariff, points = tariff_of(pool["tariff"], f"{path}.tariff"), [*used, pool["master_point"]]
    for point in points:
        own = [part for part in pool["parts"] if part["meter_point"] == point]
        check_span(own, span_of(tariff, days), path)
    usage: Doc = dict.fromkeys(USAGE.split())
    usage |= {"invoice": pool["invoice"], "premise": {}, "quantity": pool["charged"]}
    lines, fen, _ = rated(tariff, usage | days, path)
    same(f"{path}.unit_price", price, lines[0].price if lines else Fraction(0))
    same(f"{path}.total", pool["total"], yuan(sum(fen)))
    whole = decimal_of(pool["weight_total"], f"{path}.weight_total")
    mine = fen_of(pool["share"], f"{path}.share")
    allowed = least_and_most(Fraction(sum(fen)), weight, whole, path)
    among(f"{path}.share", pool["share"], tuple(yuan(int(part)) for part in allowed))
    reads.seen["pools"] += 1
    name = {"zh": pool["name"], "en": pool["name_en"]}
    line = Line("", f"shared.{pool['pool']}", (name,), weight, "m2", Fraction(0), 0)
    formula = f"{pool['total']} x {pool['weight']} / {pool['weight_total']}"
    return Row(place, line, mine, formula=formula)
