"""Charges that recur: what is due once a season or a year is charged once; parts by the day."""

from datetime import date
from decimal import Decimal

import pytest

from cloud.billing.billed import Billed
from cloud.billing.cycles import Cycle, Days, next_month
from cloud.billing.recurring import recurring_drafts
from cloud.billing.repository import Household, Term
from cloud.billing.tariff_book import TariffBook
from cloud.tariffs.usage import Premise

BOOK = TariffBook.built_in(allow_unverified=True)
FACTS = Premise(area_m2=Decimal("80.00"), people=3)


def home(opened_on: date, closed_on: date = date.max) -> Household:
    days = Days(opened_on, closed_on)
    return Household("a", "1-101", "b1", "home", "业主", days, None, None, FACTS)


def charged(tariff: str, cycle: Cycle, held: Household, months: int) -> dict[str, int]:
    """Return what the runs of some months charge, in fen."""
    term = Term("a", "item", tariff, held.days, cycle, {})
    billed, found = Billed([]), {}
    day = held.days.from_on.replace(day=1)
    for _ in range(months):
        period = f"{day:%Y-%m}"
        drafts, waiting = recurring_drafts(BOOK, {"a": held}, [term], billed, period=period)
        assert waiting == []
        for draft in drafts:
            billed.add(draft)
            found[period] = draft.total_fen
        day = next_month(day)
    return found


@pytest.mark.parametrize("tariff", ["cn-changchun-heating", "cn-tianjin-heating"])
def test_heating_is_charged_once_a_year(tariff: str) -> None:
    yearly = Cycle(12, in_advance=True)
    found = charged(tariff, yearly, home(date(2025, 10, 20)), 30)
    # for what is left of the first year, then each January
    assert list(found) == ["2025-10", "2026-01", "2027-01", "2028-01"]
    assert len(set(found.values())) == 1


def test_a_home_left_within_a_month_owes_its_days() -> None:
    monthly = Cycle(1, in_advance=False)
    held = home(date(2026, 3, 1), date(2026, 4, 11))
    assert charged("cn-property-fee-area", monthly, held, 4) == {
        "2026-03": 120_00,
        "2026-04": 40_00,
    }


def test_what_cannot_be_rated_is_held_with_its_item() -> None:
    held = home(date(2026, 3, 1))
    term = Term("a", "lift", "cn-lift-fee-floor", held.days, Cycle(1, in_advance=False), {})
    drafts, waiting = recurring_drafts(BOOK, {"a": held}, [term], Billed([]), period="2026-03")
    assert drafts == []
    assert (waiting[0].subject, waiting[0].service) == ("a/lift", "lift")
    assert "floor" in waiting[0].reason
