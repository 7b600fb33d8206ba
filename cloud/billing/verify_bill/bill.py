"""A whole bundle: its lines computed anew from its tariff, its facts and its reads."""

import hashlib
import json
from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from .items import Row, check_item
from .pools import rated_pools
from .rating import Line
from .registers import Registers
from .segments import rated_segments
from .shapes import BUNDLE, check_shape
from .values import DAY, DiffersError, Doc, among, fen_of, local_day, no_float, same, yuan

FORMAT: Final = "hutong-bill-1"
_REVISIONS: Final = 1000
# what Python says of a document that is something else, or is nested too deep
_NONSENSE: Final = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(RuntimeError, StopIteration),
)
_WORDS: Final = {
    "written": "个人工示数 reads written down by a person: no words, no signature",
    "unsigned": "个未签名示数 reads of a gateway without a proof (see `lacks`)",
    "undecoded": "个示数 reads whose words no register map on file explains",
    "dated": "个示数 reads whose clock was doubted: the time is the cloud's, the count is signed",
    "straight": "个估算示数 registers on the straight line between two reads, computed anew",
    "between": "个估算示数 registers estimated between two reads by the meter's own shape",
    "guess": "个预估示数 registers foretold or estimated without a later read: not proven",
    "split": "个月的时段分摊 month split over its hours by the biller's word: the sum is proven",
    "true_up": "项退补 true-ups of earlier bills: taken as they are",
    "weighed": "个分摊计量点 shared meters: the weights are the biller's word",
    "pools": "项公摊 pools: subs, weights and the left-over fen are the public sheet's word",
}


def verify(raw: bytes, keys: Iterable[str] = ()) -> list[str]:
    """Return what a bundle shows, line by line; DiffersError names the first thing that differs.

    `keys` are the gateways' public keys in base64 as known from elsewhere; none: its own word.
    """
    try:
        bundle: Doc = json.loads(raw.decode(), parse_float=no_float, parse_constant=no_float)
        again = json.dumps(bundle, ensure_ascii=False, sort_keys=True, indent=1) + "\n"
        # one way to write it: nothing hides in blanks, escapes or fields that stand twice
        same("(file)", raw, again.encode())
        check_shape(bundle, BUNDLE, "")
        return _Check(bundle, frozenset(keys)).run()
    except _NONSENSE as error:
        message = f"is no bundle of a bill: {type(error).__name__}: {error}"
        raise DiffersError(message) from error


class _Check:
    """One bundle while it is checked."""

    def __init__(self, bundle: Doc, keys: frozenset[str]) -> None:
        self.bundle, self.keys = bundle, keys
        self.reads = Registers(keys)

    def run(self) -> list[str]:
        """Return what it shows; DiffersError."""
        bundle, bill = self.bundle, self.bundle["bill"]
        same("format", bundle["format"], FORMAT)
        body = {key: value for key, value in bundle.items() if key != "digest"}
        text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        same("digest", bundle["digest"], hashlib.sha256(text.encode()).hexdigest())
        among("bill.revision", bill["revision"], tuple(range(1, _REVISIONS)))
        items, expected = bill["line_items"], self._rows()
        same("bill.line_items", len(items), len(expected))
        for index, (item, row) in enumerate(zip(items, expected, strict=True)):
            check_item(item, row, f"bill.line_items[{index}]")
        total = sum(row.fen for row in expected)
        same("bill.total", bill["total"], yuan(total))
        if bundle["credit"] is not None:
            # 冲红 takes back a bill whole
            same("credit.total", bundle["credit"]["total"], yuan(-total))
        return self._told(len(items))

    def _rows(self) -> list[Row]:
        bundle, bill = self.bundle, self.bundle["bill"]
        if bundle["segments"]:
            same("pools", bundle["pools"], [])
            return rated_segments(bundle, self.reads)
        same("segments", bundle["segments"], [])
        for key in ("quantity", "estimated"):
            same(f"bill.{key}", bill[key], None)
        if bundle["pools"]:
            return rated_pools(bundle, self.reads)
        same("pools", bundle["pools"], [])
        return [_single(bill)]

    def _told(self, lines: int) -> list[str]:
        bundle, bill, seen = self.bundle, self.bundle["bill"], self.reads.seen
        told = [f"相符 agrees: {bill['id']} {bill['total']} 元, {lines} 行 lines computed anew"]
        if bundle["credit"] is not None:
            note = bundle["credit"]
            told.append(
                f"冲红 taken back by credit note {note['number']}, {note['total']} 元:"
                f" {note['reason']}"
            )
        told += [
            f"{count} 个示数 reads signed by gateway {gateway}, key {key}"
            for (gateway, key), count in sorted(self.reads.signed.items())
        ]
        told += [f"{seen[key]} {text}" for key, text in _WORDS.items() if seen[key]]
        if seen["unread"]:
            told.append("没有示数 no register read: what was used is the biller's word")
        if len(bundle["segments"]) > 1:
            told.append(f"{len(bundle['segments'])} 段 segments, each rated by its own tariff")
        if not bundle["segments"] and not bundle["pools"]:
            told[0] = f"相符 agrees: {bill['id']} {bill['total']} 元"
            told.append("临时收费 a single charge: nothing but its sum can be checked")
        elif bundle["segments"] and bill["quantity"] is None:
            told.append(
                "不计量 not metered: its days and what it is charged by are the biller's word"
            )
        told.append(f"摘要 digest {bundle['digest']}")
        if self.reads.signed and not self.keys:
            told.append("the keys are the file's own word: compare them with the gateways' (--key)")
        return told


def _single(bill: Doc) -> Row:
    # somebody said what it is for and how much: one line, on its day
    same("bill.line_items", len(bill["line_items"]), 1)
    (item,) = bill["line_items"]
    first = local_day(bill["from_on"])
    same("bill.from_on", bill["from_on"], str(first))
    same("bill.to_on", bill["to_on"], str(first + DAY))
    same("bill.period", bill["period"], f"{first:%Y-%m}")
    fen = fen_of(item["amount"], "bill.line_items[0].amount")
    name = {"zh": item["description"], "en": item["description"]}
    line = Line("", f"single.{bill['service']}", (name,), Fraction(1), "", Fraction(fen, 100), 2)
    return Row(0, line, fen, formula=f"{yuan(fen)} 元", price=yuan(fen))
