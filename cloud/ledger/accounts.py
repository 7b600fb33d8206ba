"""What an account owes and owns, worked out from its entries (pure)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from cloud.ledger.entries import (
    CHARGING,
    OFFSETTING,
    RECEIVING,
    Book,
    Charge,
    Entry,
    Kind,
)


@dataclass(frozen=True)
class Statement:
    """One charge as reports have it, in fen: charged = received + relieved + offset + owed."""

    charge: Charge
    charged_fen: int
    received_fen: int
    relieved_fen: int
    offset_fen: int

    @property
    def owed_fen(self) -> int:
        """Return what is still owed 欠费; below zero where more was settled than is charged."""
        return self.charged_fen - self.received_fen - self.relieved_fen - self.offset_fen


@dataclass(frozen=True)
class Standing:
    """An account as it stands, in fen."""

    prepaid_fen: int
    deposit_fen: int
    statements: tuple[Statement, ...]

    @property
    def owed_fen(self) -> int:
        """Return what is owed in all."""
        return sum(statement.owed_fen for statement in self.statements)

    def open_fen(self) -> dict[Charge, int]:
        """Return what can be settled."""
        return {each.charge: each.owed_fen for each in self.statements if each.owed_fen > 0}


def standing(entries: Iterable[tuple[Entry, Kind]]) -> Standing:
    """Work out an account; each entry comes with the kind that it counts as.

    That is its own, or for a 作废 the kind of the entry that it undoes.
    """
    prepaid = deposit = 0
    sums: dict[Charge, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for entry, kind in entries:
        prepaid -= entry.of(Book.PREPAID)
        deposit -= entry.of(Book.DEPOSIT)
        column = _column(kind)
        for line in entry.lines:
            if line.book is Book.RECEIVABLE and line.charge is not None:
                sums[line.charge][column] += line.amount_fen if column == 0 else -line.amount_fen
    statements = tuple(Statement(charge, *sums[charge]) for charge in sorted(sums))
    return Standing(prepaid, deposit, statements)


def _column(kind: Kind) -> int:
    for place, kinds in enumerate((CHARGING, RECEIVING, {Kind.RELIEF}, OFFSETTING)):
        if kind in kinds:
            return place
    return 0
