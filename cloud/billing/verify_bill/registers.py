"""From register reads to quantities: boundaries, rollovers, multipliers."""

import base64
import re
from collections import Counter, defaultdict
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from .proofs import checked_proof, decoded
from .shapes import CLAIM
from .values import DiffersError, Doc, among, decimal_of, instant_at, midnight, same

# a poll stands for a boundary that is at most so much before it
_TOLERANCE_US: Final = 60_000_000
HOUR_US: Final = 3_600_000_000
_FURTHEST: Final = 18
_UNDATED: Final = 5
_WRITTEN: Final = re.compile(r"install|removal|(manual|edit)-\d+", re.ASCII)
_RULES: Final = ("", "straight-line", "history-shape", "history-mean")


class Registers:
    """Register reads while they are checked, and what was found of them."""

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys = keys
        self.signed: Counter[tuple[str, str]] = Counter()
        self.seen: Counter[str] = Counter()
        self.by_hour: defaultdict[int, Fraction] = defaultdict(Fraction)

    def parts(self, parts: list[Doc], path: str) -> dict[str, Fraction]:
        """Return what each meter point used: its parts in the order of time, and its true-up."""
        used: dict[str, Fraction] = {}
        before: dict[str, int] = {}
        for index, part in enumerate(parts):
            where, point = f"{path}[{index}]", part["meter_point"]
            start, end = (
                self._edge(part, part[side], f"{where}.{side}") for side in ("start", "end")
            )
            multiplier = decimal_of(part["multiplier"], f"{where}.multiplier")
            among(f"{where}.exponent", part["exponent"], tuple(range(-_FURTHEST, _FURTHEST)))
            one = Fraction(10) ** part["exponent"] * multiplier
            self._check_hours(part, start, end, one, where)
            if part["start"]["at_us"] < before.get(point, 0):
                raise DiffersError(f"{where}.start.at_us: begins before the part before it ends")
            before[point] = part["end"]["at_us"]
            counts, capacity = end - start, part["capacity"]
            edges = [part["start"], *(part["hours"] or ()), part["end"]]
            if capacity is not None:
                # told only where the register turned over
                fell = counts < 0 or any(map(_fell, edges))
                if not fell or capacity <= max(start, end):
                    raise DiffersError(f"{where}.capacity: {capacity}: the register did not turn")
                counts %= capacity
            same(f"{where}.counts", part["counts"], counts)
            quantity = counts * one
            same(f"{where}.quantity", decimal_of(part["quantity"], f"{where}.quantity"), quantity)
            due = decimal_of(part["true_up"] or "0", f"{where}.true_up")
            self.seen["true_up"] += part["true_up"] is not None
            used[point] = used.get(point, Fraction(0)) + quantity + due
        return {point: max(quantity, Fraction(0)) for point, quantity in used.items()}

    def _check_hours(self, part: Doc, start: int, end: int, one: Fraction, path: str) -> None:
        # the quantity of each whole hour, for the intervals of the bill
        inner = [
            self._edge(part, edge, f"{path}.hours[{index}]")
            for index, edge in enumerate(part["hours"] or ())
        ]
        counts, capacity = [start, *inner, end], part["capacity"]
        edges = [part["start"], *(part["hours"] or ()), part["end"]]
        for (a, b), (first, last) in zip(pairwise(edges), pairwise(counts), strict=True):
            used = last - first if capacity is None else (last - first) % capacity
            if used < 0 or a["at_us"] >= b["at_us"]:
                raise DiffersError(
                    f"{path}: falls or goes back between {a['at_us']} and {b['at_us']}"
                )
            hour = a["at_us"] // HOUR_US
            if part["hours"] is not None and b["at_us"] > (hour + 1) * HOUR_US:
                raise DiffersError(f"{path}.hours: none at {(hour + 1) * HOUR_US}")
            self.by_hour[hour] += used * one

    def _edge(self, part: Doc, edge: Doc, path: str) -> int:
        # the register at a boundary: read there, between two reads, or foretold from the last
        at_us, rule, reads = edge["at_us"], edge["rule"], edge["reads"]
        counts = [self._read(r, part, f"{path}.reads[{n}]") for n, r in enumerate(reads)]
        times, capacity = [read["read_at_us"] for read in reads], part["capacity"]
        gone: int = edge["count"] - counts[0]
        among(f"{path}.rule", rule, _RULES)
        # where no rule made it, only a person may have written down an estimate
        is_written = rule == "" and reads[0]["proof"] is None
        allowed = (False, True) if is_written else (rule != "",)
        among(f"{path}.estimated", edge["estimated"], allowed)
        if rule == "":
            late_us = 0 if reads[0]["source"] in ("install", "removal") else _TOLERANCE_US
            same(f"{path}.reads", len(reads), 1)
            if not at_us <= times[0] <= at_us + late_us:
                raise DiffersError(f"{path}.at_us: {at_us}, its read is of {times[0]}")
            same(f"{path}.count", edge["count"], counts[0])
            self.seen["guess"] += edge["estimated"]
        elif len(reads) == 1:
            gone = gone if capacity is None else gone % capacity
            if times[0] > at_us or gone < 0:
                raise DiffersError(f"{path}.count: {edge['count']} is foretold from {counts[0]}")
            self.seen["guess"] += 1
        else:
            whole = counts[1] - counts[0]
            if capacity is not None:
                gone, whole = gone % capacity, whole % capacity
            if not times[0] < at_us < times[1] or not 0 <= gone <= whole:
                raise DiffersError(f"{path}.count: {edge['count']} lies not between its reads")
            if rule == "straight-line":
                past = whole * (at_us - times[0]) // (times[1] - times[0])
                same(f"{path}.count", gone, past)
            self.seen["straight" if rule == "straight-line" else "between"] += 1
        count: int = edge["count"]
        return count

    def _read(self, read: Doc, part: Doc, path: str) -> int:
        proof, count, words = read["proof"], read["count"], bytes.fromhex(read["words"])
        if proof is None:
            if not read["lacks"]:
                raise DiffersError(f"{path}.proof: found nothing, expected it or what it `lacks`")
            is_written = read["gateway"] == ""
            if is_written:
                _check_written(read, path)
            else:
                same(f"{path}.source", read["source"], "gateway")
            self.seen["written" if is_written else "unsigned"] += 1
        else:
            same(f"{path}.lacks", read["lacks"], "")
            row, link = checked_proof(proof, f"{path}.proof", self._keys)
            for key in ("device", "point", "uom", "exponent"):
                said = proof["device"] if key == "device" else row[CLAIM[key]]
                same(f"{path}.proof.{key}", said, part[key])
            for key in ("gateway", "lane", "epoch"):
                same(f"{path}.{key}", read[key], proof[key])
            same(f"{path}.seq", read["seq"], link["seq"])
            same(f"{path}.batch_id", read["batch_id"], link["batch_id"])
            same(f"{path}.source", read["source"], "gateway")
            same(f"{path}.words", words, base64.b64decode(row[8]))
            same(f"{path}.count", count, row[CLAIM["count"]])
            if row[CLAIM["quality"]] == _UNDATED:
                self.seen["dated"] += 1
            else:
                same(f"{path}.proof.reading.quality", row[CLAIM["quality"]], 0)
                same(f"{path}.read_at_us", read["read_at_us"], row[CLAIM["read_at_us"]])
            self.signed[proof["gateway"], proof["public_key"]] += 1
        if words and part["decoding"] is not None:
            meant = decoded(words, part["decoding"], part["exponent"], f"{path}.words")
            same(f"{path}.words", meant, count)
        self.seen["undecoded"] += bool(words) and part["decoding"] is None
        result: int = count
        return result


def span_of(tariff: Doc, days: Doc) -> tuple[datetime, datetime]:
    """Return the first instant of a bill and the first after it, by the tariff's clock."""
    zone = ZoneInfo(tariff["time_zone"])
    return midnight(zone, days["from_on"]), midnight(zone, days["to_on"])


def check_span(parts: list[Doc], span: tuple[datetime, datetime], path: str) -> None:
    """Check that a meter point's parts reach from end to end of a bill, or to their events."""
    ends = ((parts[0]["start"], span[0], "install"), (parts[-1]["end"], span[1], "removal"))
    for edge, at, event in ends:
        inside = span[0] < instant_at(edge["at_us"]) < span[1]
        if not (inside and edge["reads"][0]["source"] == event):
            same(f"{path}: {parts[0]['meter_point']}: at_us", instant_at(edge["at_us"]), at)


def _check_written(read: Doc, path: str) -> None:
    # who reads a meter by eye has no words and no place in a chain
    for key, nothing in (("words", ""), ("lane", 0), ("epoch", ""), ("seq", 0), ("batch_id", "")):
        same(f"{path}.{key}", read[key], nothing)
    if _WRITTEN.fullmatch(read["source"]) is None:
        raise DiffersError(f"{path}.source: found {read['source']!r}, expected who wrote it down")


def _fell(edge: Doc) -> bool:
    counts = [read["count"] for read in edge["reads"]]
    counts[1:1] = [edge["count"]]
    return counts != sorted(counts)
