"""Double entries: what each movement of money does to the books (pure).

Debits are above zero, credits below; the lines of an entry add up to zero. A household's
receivable, prepaid and deposit are sums over their lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Book(StrEnum):
    """One side of an entry."""

    RECEIVABLE = "receivable"  # 应收
    REVENUE = "revenue"  # 收入
    CASH = "cash"  # 现金、银行、线上
    PREPAID = "prepaid"  # 预收
    DEPOSIT = "deposit"  # 押金
    RELIEF = "relief"  # 减免
    OPENING = "opening"  # 期初


class Kind(StrEnum):
    """What happened."""

    BILL = "bill"  # 出账
    CREDIT_NOTE = "credit_note"  # 冲红
    LATE_CHARGE = "late_charge"  # 违约金
    OPENING = "opening"  # 期初
    PAYMENT = "payment"  # 实收
    OFFSET = "offset"  # 预收冲抵
    DEPOSIT_OFFSET = "deposit_offset"  # 押金冲抵
    RELIEF = "relief"  # 减免
    DEPOSIT = "deposit"  # 收押金
    REFUND = "refund"  # 退款
    TRANSFER = "transfer"  # 多收转预收
    VOID = "void"  # 作废


# what each kind does to a receivable, as reports have it: 应收 = 实收 + 减免 + 冲抵 + 欠费
CHARGING: Final = frozenset({Kind.BILL, Kind.CREDIT_NOTE, Kind.LATE_CHARGE, Kind.OPENING})
RECEIVING: Final = frozenset({Kind.PAYMENT})
RELIEVING: Final = frozenset({Kind.RELIEF})
OFFSETTING: Final = frozenset({Kind.OFFSET, Kind.DEPOSIT_OFFSET})
# the columns of a report in their order, each with the sign of its lines in the receivable
COLUMNS: Final = ((CHARGING, 1), (RECEIVING, -1), (RELIEVING, -1), (OFFSETTING, -1))


class UnbalancedError(ValueError):
    """The lines of an entry do not add up to zero."""


@dataclass(frozen=True, order=True)
class Charge:
    """What is owed: a charge item 收费项目 of a billing period such as 2026-07.

    A late charge is owed for a charge, and is one of its own: `late` tells them apart.
    """

    period: str
    item: str
    late: bool = False


@dataclass(frozen=True)
class Line:
    """One line: `charge` where it belongs to one, `channel` for cash."""

    book: Book
    amount_fen: int
    charge: Charge | None = None
    channel: str = ""


@dataclass(frozen=True)
class Entry:
    """A movement of money of one account; UnbalancedError if its lines do not add up to zero."""

    kind: Kind
    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        """Refuse what does not balance, or moves nothing."""
        total = sum(line.amount_fen for line in self.lines)
        if total or not self.lines:
            msg = f"{self.kind}: the lines add up to {total} fen; allowed are lines that make 0"
            raise UnbalancedError(msg)

    def of(self, book: Book) -> int:
        """Return what the entry does to one book, in fen."""
        return sum(line.amount_fen for line in self.lines if line.book is book)


def charged(kind: Kind, amounts_fen: Sequence[tuple[Charge, int]]) -> Entry:
    """A bill, a credit note (amounts below zero), a late charge or an opening receivable."""
    against = Book.OPENING if kind is Kind.OPENING else Book.REVENUE
    lines: list[Line] = []
    for charge, fen in amounts_fen:
        if fen:
            lines.append(Line(Book.RECEIVABLE, fen, charge))
            lines.append(Line(against, -fen, charge))
    return Entry(kind, tuple(lines))


def opened(book: Book, amount_fen: int) -> Entry:
    """What an account had prepaid or deposited before the books began 期初."""
    _check_above_zero(amount_fen)
    return Entry(Kind.OPENING, (Line(Book.OPENING, amount_fen), Line(book, -amount_fen)))


def received_before(settled: Sequence[tuple[Charge, int]]) -> Entry:
    """What was received of charges before the books began: it never went through our till."""
    total_fen = sum(fen for _, fen in settled)
    return Entry(Kind.PAYMENT, (Line(Book.OPENING, total_fen), *_settled(settled)))


def paid(channel: str, amount_fen: int, settled: Sequence[tuple[Charge, int]]) -> Entry:
    """A payment: what settles no charge becomes prepaid 预收."""
    _check_above_zero(amount_fen)
    rest_fen = amount_fen - sum(fen for _, fen in settled)
    if rest_fen < 0:
        msg = f"{amount_fen} fen cannot settle {amount_fen - rest_fen} fen"
        raise ValueError(msg)
    lines = [Line(Book.CASH, amount_fen, channel=channel), *_settled(settled)]
    if rest_fen:
        lines.append(Line(Book.PREPAID, -rest_fen))
    return Entry(Kind.PAYMENT, tuple(lines))


def deposited(channel: str, amount_fen: int) -> Entry:
    """A deposit 押金 taken."""
    _check_above_zero(amount_fen)
    lines = (Line(Book.CASH, amount_fen, channel=channel), Line(Book.DEPOSIT, -amount_fen))
    return Entry(Kind.DEPOSIT, lines)


def offset(book: Book, settled: Sequence[tuple[Charge, int]]) -> Entry:
    """Charges settled from what is prepaid or deposited 冲抵."""
    kind = {Book.PREPAID: Kind.OFFSET, Book.DEPOSIT: Kind.DEPOSIT_OFFSET}[book]
    lines = (Line(book, sum(fen for _, fen in settled)), *_settled(settled))
    return Entry(kind, lines)


def refunded(book: Book, channel: str, amount_fen: int) -> Entry:
    """What is prepaid or deposited given back 退款."""
    _check_above_zero(amount_fen)
    return Entry(
        Kind.REFUND, (Line(book, amount_fen), Line(Book.CASH, -amount_fen, channel=channel))
    )


def relieved(amounts_fen: Sequence[tuple[Charge, int]]) -> Entry:
    """What of a charge is forgiven 减免."""
    lines: list[Line] = []
    for charge, fen in amounts_fen:
        _check_above_zero(fen)
        lines.append(Line(Book.RELIEF, fen, charge))
        lines.append(Line(Book.RECEIVABLE, -fen, charge))
    return Entry(Kind.RELIEF, tuple(lines))


def transferred(charge: Charge, amount_fen: int, *, book: Book = Book.PREPAID) -> Entry:
    """What was settled beyond a charge: prepaid again 转预收, or no longer relieved."""
    _check_above_zero(amount_fen)
    lines = (Line(Book.RECEIVABLE, amount_fen, charge), Line(book, -amount_fen, charge))
    return Entry(Kind.TRANSFER, lines)


def reversed_entry(entry: Entry) -> Entry:
    """The entry that undoes another 作废; both stay in the books."""
    return Entry(
        Kind.VOID, tuple(replace(line, amount_fen=-line.amount_fen) for line in entry.lines)
    )


def _settled(settled: Sequence[tuple[Charge, int]]) -> list[Line]:
    for _, fen in settled:
        _check_above_zero(fen)
    return [Line(Book.RECEIVABLE, -fen, charge) for charge, fen in settled]


def _check_above_zero(amount_fen: int) -> None:
    if amount_fen <= 0:
        msg = f"{amount_fen} fen: allowed is an amount above 0"
        raise ValueError(msg)
