"""Entries balance, and 应收 = 实收 + 减免 + 冲抵 + 欠费 whatever happens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cloud.ledger import entries
from cloud.ledger.accounts import standing
from cloud.ledger.entries import Book, Charge, Entry, Kind, Line, UnbalancedError
from cloud.ledger.matching import settle

ITEMS = ["electricity", "water", "property"]
CHARGES = st.builds(
    Charge,
    st.sampled_from(["2026-06", "2026-07", "2026-08"]),
    st.sampled_from(ITEMS),
    st.booleans(),
)
FEN = st.integers(1, 5000)


def test_what_does_not_balance_is_refused() -> None:
    with pytest.raises(UnbalancedError, match="add up to 1 fen"):
        Entry(Kind.BILL, (Line(Book.RECEIVABLE, 2), Line(Book.REVENUE, -1)))


@given(FEN, st.dictionaries(CHARGES, FEN, max_size=6), st.permutations(ITEMS), st.booleans())
def test_the_oldest_is_settled_first_within_an_item(
    amount_fen: int,
    open_fen: dict[Charge, int],
    items: list[str],
    late_first: bool,  # noqa: FBT001 - drawn
) -> None:
    settled = settle(amount_fen, open_fen, items=items[:2], late_first=late_first)
    assert sum(fen for _, fen in settled) <= amount_fen
    done = dict(settled)
    for charge, fen in settled:
        assert 0 < fen <= open_fen[charge]
        older = [
            other
            for other in open_fen
            if other.item == charge.item and other.period < charge.period
        ]
        assert all(done.get(other) == open_fen[other] for other in older)
    meant = sum(fen for charge, fen in open_fen.items() if charge.item in items[:2])
    assert sum(done.values()) == min(amount_fen, meant)


class Books(RuleBasedStateMachine):
    """Any account, held against sums that know nothing of entries."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[Entry, Kind]] = []
        self.voided: set[int] = set()
        self.owed: dict[Charge, int] = {}
        self.prepaid = 0
        self.deposit = 0
        self.cash = 0

    def post(self, entry: Entry, kind: Kind | None = None) -> None:
        self.entries.append((entry, kind or entry.kind))

    @rule(charge=CHARGES, fen=FEN)
    def bill(self, charge: Charge, fen: int) -> None:
        kind = Kind.LATE_CHARGE if charge.late else Kind.BILL
        self.post(entries.charged(kind, [(charge, fen)]))
        self.owed[charge] = self.owed.get(charge, 0) + fen

    @rule(fen=FEN, items=st.none() | st.permutations(ITEMS))
    def pay(self, fen: int, items: list[str] | None) -> None:
        settled = settle(fen, standing(self.entries).open_fen(), items=items)
        self.post(entries.paid("cash", fen, settled))
        for charge, part in settled:
            self.owed[charge] -= part
            assert self.owed[charge] >= 0
        self.prepaid += fen - sum(part for _, part in settled)
        self.cash += fen

    @precondition(lambda self: self.prepaid > 0 and any(self.owed.values()))
    @rule()
    def use_prepaid(self) -> None:
        settled = settle(self.prepaid, standing(self.entries).open_fen())
        self.post(entries.offset(Book.PREPAID, settled))
        for charge, part in settled:
            self.owed[charge] -= part
            self.prepaid -= part

    @rule(fen=FEN)
    def take_deposit(self, fen: int) -> None:
        self.post(entries.deposited("cash", fen))
        self.deposit += fen
        self.cash += fen

    @precondition(lambda self: self.prepaid > 0)
    @rule()
    def refund(self) -> None:
        self.post(entries.refunded(Book.PREPAID, "cash", self.prepaid))
        self.cash -= self.prepaid
        self.prepaid = 0

    @precondition(lambda self: any(self.owed.values()))
    @rule(data=st.data())
    def relieve(self, data: st.DataObject) -> None:
        charge = data.draw(st.sampled_from(sorted(c for c, fen in self.owed.items() if fen > 0)))
        fen = data.draw(st.integers(1, self.owed[charge]))
        self.post(entries.relieved([(charge, fen)]))
        self.owed[charge] -= fen

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        open_places = [
            place
            for place, (entry, kind) in enumerate(self.entries)
            if entry.kind is Kind.PAYMENT and place not in self.voided
        ]
        if not open_places:
            return
        place = data.draw(st.sampled_from(open_places))
        entry, kind = self.entries[place]
        if self.prepaid + entry.of(Book.PREPAID) < 0:
            return
        self.voided.add(place)
        self.post(entries.reversed_entry(entry), kind)
        self.cash -= entry.of(Book.CASH)
        self.prepaid += entry.of(Book.PREPAID)
        for line in entry.lines:
            if line.book is Book.RECEIVABLE and line.charge is not None:
                self.owed[line.charge] -= line.amount_fen

    @invariant()
    def the_books_say_the_same(self) -> None:
        found = standing(self.entries)
        assert (found.prepaid_fen, found.deposit_fen) == (self.prepaid, self.deposit)
        assert {each.charge: each.owed_fen for each in found.statements} == self.owed
        assert sum(entry.of(Book.CASH) for entry, _ in self.entries) == self.cash
        assert sum(line.amount_fen for entry, _ in self.entries for line in entry.lines) == 0


TestBooks = Books.TestCase
