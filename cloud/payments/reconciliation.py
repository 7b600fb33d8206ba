"""A channel's daily bill against what is on file here, line by line (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cloud.payments.bills import BillLine, Kind


class Match(StrEnum):
    """How a movement of money is found on both sides."""

    MATCHED = "matched"
    MISSING_HERE = "missing here"
    MISSING_THERE = "missing there"
    DIFFERS = "differs"


@dataclass(frozen=True)
class Ours:
    """A movement of money as we have it: a refund's `key` is its number, else the transaction."""

    kind: Kind
    key: str
    number: str
    amount_fen: int
    at_us: int


@dataclass(frozen=True)
class Compared:
    """One movement on both sides; an amount is None where it is missing."""

    match: Match
    kind: Kind
    number: str
    key: str
    here_fen: int | None
    there_fen: int | None
    note: str = ""


def compare(
    lines: Sequence[BillLine], ours: Sequence[Ours], *, known: Mapping[str, str]
) -> list[Compared]:
    """Compare all of a bill with ours of its days; `known` are states of orders by number.

    Every line of the bill and every movement of ours is in the result, once.
    """
    held = {(each.kind, each.key): each for each in ours}
    seen: set[tuple[str, str]] = set()
    result = []
    for line in lines:
        key = line.refund_number if line.kind == "refund" else line.transaction_id
        mine = held.get((line.kind, key))
        note = ""
        if (line.kind, key) in seen:
            match, note = Match.DIFFERS, f"line {line.place}: stands twice in the bill"
        elif mine is None:
            match = Match.MISSING_HERE
            state = known.get(line.number)
            note = f"order is {state} here" if state else "order is unknown here"
        elif (mine.amount_fen, mine.number) != (line.amount_fen, line.number):
            match = Match.DIFFERS
            note = "" if mine.number == line.number else f"order {mine.number} here"
        else:
            match = Match.MATCHED
        seen.add((line.kind, key))
        here_fen = None if mine is None else mine.amount_fen
        result.append(Compared(match, line.kind, line.number, key, here_fen, line.amount_fen, note))
    result += [
        Compared(Match.MISSING_THERE, each.kind, each.number, each.key, each.amount_fen, None)
        for each in ours
        if (each.kind, each.key) not in seen
    ]
    return result
