"""What an account owes and owns, worked out from its entries (pure)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from cloud.ledger.entries import COLUMNS, Book, Charge, Entry, Kind


@dataclass(frozen=True)
class Sums:
    """What became of charges, in fen: charged = received + relieved + offset + owed."""

    charged_fen: int
    received_fen: int
    relieved_fen: int
    offset_fen: int

    @property
    def owed_fen(self) -> int:
        """Return what is still owed 欠费; below zero where more was settled than is charged."""
        return self.charged_fen - self.received_fen - self.relieved_fen - self.offset_fen


@dataclass(frozen=True)
class Statement(Sums):
    """One charge as reports have it."""

    charge: Charge


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

    def owned_fen(self, book: Book) -> int:
        """Return what is prepaid or deposited."""
        return {Book.PREPAID: self.prepaid_fen, Book.DEPOSIT: self.deposit_fen}[book]

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
        # what moves no receivable, a deposit for example, has no column and no such line
        place = next((at for at, (kinds, _) in enumerate(COLUMNS) if kind in kinds), 0)
        sign = COLUMNS[place][1]
        for line in entry.lines:
            if line.book is Book.RECEIVABLE and line.charge is not None:
                sums[line.charge][place] += sign * line.amount_fen
    statements = tuple(_statement(charge, *sums[charge]) for charge in sorted(sums))
    return Standing(prepaid, deposit, statements)


def _statement(
    charge: Charge, charged: int, received: int, relieved: int, offset: int
) -> Statement:
    return Statement(charged, received, relieved, offset, charge)
