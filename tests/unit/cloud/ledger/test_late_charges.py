"""Late charges against a walk from day to day."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.ledger.late_charges import LateTerms, late_charge_fen

DUE_ON = date(2026, 7, 31)
DAYS = st.integers(0, 400).map(lambda days: DUE_ON + timedelta(days=days))
TERMS = st.builds(
    LateTerms,
    st.integers(1, 30).map(lambda tenth: Decimal(tenth) / 10_000),
    st.integers(0, 60),
    st.sampled_from([Decimal("0.05"), Decimal("0.3"), Decimal(1)]),
)


@given(TERMS, st.dictionaries(DAYS, st.integers(0, 500_000), min_size=1, max_size=5), DAYS)
def test_day_by_day(terms: LateTerms, steps: dict[date, int], reminded_on: date) -> None:
    owed = sorted(steps.items())
    walked, most = Fraction(0), max(fen for _, fen in owed)
    day, last = owed[0][0], owed[-1][0]
    while day < last:
        principal = next(fen for since, fen in reversed(owed) if since <= day)
        if day > DUE_ON + timedelta(days=terms.grace_days) and day >= reminded_on:
            walked += principal * Fraction(terms.rate_per_day)
        day += timedelta(days=1)
    expected = min(floor(walked + Fraction(1, 2)), floor(most * Fraction(terms.cap)))
    assert late_charge_fen(terms, owed, due_on=DUE_ON, reminded_on=reminded_on) == expected


def test_nothing_is_due_without_a_reminder() -> None:
    terms = LateTerms(Decimal("0.0005"), 0, Decimal(1))
    owed = [(DUE_ON, 100_000), (date(2027, 1, 1), 100_000)]
    assert late_charge_fen(terms, owed, due_on=DUE_ON, reminded_on=None) == 0


@pytest.mark.parametrize(
    ("rate", "grace", "cap", "fault"),
    [
        ("0", 0, "1", "rate_per_day"),
        ("0.01", 0, "1", "rate_per_day"),
        ("0.001", -1, "1", "grace"),
        ("0.001", 0, "0", "cap"),
        ("0.001", 0, "1.1", "cap"),
    ],
)
def test_terms_that_no_contract_may_have(rate: str, grace: int, cap: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        LateTerms(Decimal(rate), grace, Decimal(cap))
