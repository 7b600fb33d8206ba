"""Cycles of charges: what is due tiles the days for which something is owed, once."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.billing.cycles import Cycle, Days, days_of, due, next_month, pieces, split_at

DAYS = st.dates(date(2024, 1, 1), date(2027, 12, 31))
CYCLES = st.builds(Cycle, st.sampled_from([1, 3, 6, 12]), st.booleans())


def billed(cycle: Cycle, held: Days, first: str, months: int) -> list[tuple[str, Days]]:
    """Return what the runs of some months in a row charge."""
    found: list[tuple[str, Days]] = []
    covered_to, day = None, date.fromisoformat(f"{first}-01")
    for _ in range(months):
        period = f"{day:%Y-%m}"
        if (days := due(cycle, held, covered_to=covered_to, period=period)) is not None:
            found.append((period, days))
            covered_to = days.to_on
        day = next_month(day)
    return found


@given(CYCLES, DAYS, st.integers(1, 900))
def test_all_that_is_owed_is_charged_once(cycle: Cycle, from_on: date, days: int) -> None:
    held = Days(from_on, from_on + timedelta(days=days))
    found = [span for _, span in billed(cycle, held, f"{from_on:%Y-%m}", 48)]
    assert found[0].from_on == held.from_on
    assert found[-1].to_on == held.to_on
    assert all(a.to_on == b.from_on for a, b in pairwise(found))


@given(CYCLES, DAYS)
def test_a_whole_cycle_is_due_in_its_first_or_its_last_month(cycle: Cycle, from_on: date) -> None:
    for period, span in billed(cycle, Days(from_on, date.max), f"{from_on:%Y-%m}", 30)[1:]:
        month = days_of(period)
        assert span.from_on.day == 1
        assert (span.to_on.year - span.from_on.year) * 12 + span.to_on.month == (
            span.from_on.month + cycle.months
        )
        if cycle.in_advance:
            assert span.from_on == month.from_on
        else:
            assert span.to_on == month.to_on


def test_a_year_paid_ahead_is_not_charged_again() -> None:
    monthly = Cycle(1, in_advance=False)
    held = Days(date(2026, 1, 1), date.max)
    assert due(monthly, held, covered_to=date(2027, 1, 1), period="2026-12") is None
    found = due(monthly, held, covered_to=date(2027, 1, 1), period="2027-01")
    assert found == (date(2027, 1, 1), date(2027, 2, 1))


def test_what_ends_within_a_cycle_is_due_when_it_ends() -> None:
    held = Days(date(2026, 2, 10), date(2026, 5, 20))
    quarter = Cycle(3, in_advance=False)
    assert billed(quarter, held, "2026-01", 9) == [
        ("2026-03", (date(2026, 2, 10), date(2026, 4, 1))),
        ("2026-05", (date(2026, 4, 1), date(2026, 5, 20))),
    ]


@given(DAYS, st.integers(1, 900))
def test_pieces_tile_and_are_parts_of_a_month_or_whole_months(from_on: date, days: int) -> None:
    whole = Days(from_on, from_on + timedelta(days=days))
    found = pieces(whole)
    assert found[0].from_on == whole.from_on
    assert found[-1].to_on == whole.to_on
    assert all(a.to_on == b.from_on for a, b in pairwise(found))
    for piece in found:
        last = piece.to_on - timedelta(days=1)
        in_one_month = (last.year, last.month) == (piece.from_on.year, piece.from_on.month)
        assert in_one_month or (piece.from_on.day, piece.to_on.day) == (1, 1)


@given(DAYS, st.integers(1, 90), st.lists(DAYS))
def test_splits_tile(from_on: date, days: int, edges: list[date]) -> None:
    whole = Days(from_on, from_on + timedelta(days=days))
    found = split_at(whole, edges)
    assert found[0].from_on == whole.from_on
    assert found[-1].to_on == whole.to_on
    assert {span.from_on for span in found[1:]} == {
        edge for edge in edges if whole.from_on < edge < whole.to_on
    }


@pytest.mark.parametrize("months", [0, 2, 24])
def test_other_cycles_are_refused(months: int) -> None:
    with pytest.raises(ValueError, match="allowed are 1, 3, 6, 12"):
        Cycle(months, in_advance=True)
