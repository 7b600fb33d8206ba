"""Charges that recur 周期性收费: property fee, parking, garbage, each by its cycle (pure)."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from cloud.billing.billed import Billed
from cloud.billing.cycles import Days, due, pieces
from cloud.billing.drafts import Draft, Held
from cloud.billing.rated_drafts import Segment, draft_of
from cloud.billing.repository import Household, Term
from cloud.billing.tariff_book import TariffBook
from cloud.discounts.lowering import lowered
from cloud.discounts.plans import REGULATED, Grant
from cloud.tariffs.files import TariffRefusedError
from cloud.tariffs.rating import RatingError, rate_by
from cloud.tariffs.tariff import SupplyKind, Tariff
from cloud.tariffs.usage import Usage

Granted = Mapping[str, Sequence[Grant]]
Kept = Mapping[tuple[str, str], Sequence[Grant]]
_NOTHING: Final[Mapping[str, Sequence[Grant]]] = MappingProxyType({})
_NONE_KEPT: Final[Kept] = MappingProxyType({})


def recurring_drafts(
    book: TariffBook,
    homes: Mapping[str, Household],
    terms: Sequence[Term],
    billed: Billed,
    *,
    period: str,
    granted: Granted = _NOTHING,
    kept: Kept = _NONE_KEPT,
) -> tuple[list[Draft], list[Held]]:
    """Rate what terms make due in a period; what cannot be billed is held.

    `granted` are the discounts of accounts, `kept` those of bills that are made anew, by account
    and item.
    """
    drafts: list[Draft] = []
    held: list[Held] = []
    for term in terms:
        home = homes[term.account_id]
        owed = Days(
            max(term.days.from_on, home.days.from_on), min(term.days.to_on, home.days.to_on)
        )
        covered_to = billed.covered_to(
            home.account_id, term.item, since=owed.from_on, period=period
        )
        days = due(term.cycle, owed, covered_to=covered_to, period=period)
        if days is None:
            continue
        grants = kept.get((home.account_id, term.item), granted.get(home.account_id, ()))
        grants = [each for each in grants if term.item in each.plan.items]
        try:
            segments = _segments(book, home, term, days)
            for segment in segments if grants else ():
                _check_free(segment.chosen.tariff, grants[0])
        except (RatingError, TariffRefusedError) as error:
            subject = f"{home.account_id}/{term.item}"
            held.append(Held(subject, str(error), account_id=home.account_id, service=term.item))
            continue
        if segments:
            draft = draft_of(home, term.item, period, segments)
            drafts.append(lowered(draft, grants) if grants else draft)
    return drafts, held


def _check_free(tariff: Tariff, grant: Grant) -> None:
    # a charge item may be given another tariff after the plan was approved
    if tariff.service in REGULATED:
        msg = (
            f"discount {grant.plan.code}: tariff {tariff.id} is of {tariff.service}, a regulated"
            " price: allowed is no discount: end it"
        )
        raise RatingError(msg)


def _segments(book: TariffBook, home: Household, term: Term, days: Days) -> list[Segment]:
    segments: list[Segment] = []
    first = book.choose(term.tariff_id, SupplyKind.COLLECTED, on=days.from_on).tariff
    # what is due once must not be due in a part of a month and in the whole ones after it
    for whole in [days] if _is_due_once(first) else pieces(days):
        for piece in book.segments(term.tariff_id, whole):
            chosen = book.choose(term.tariff_id, SupplyKind.COLLECTED, on=piece.from_on)
            if _is_charged_already(chosen.tariff, piece.from_on):
                continue
            usage = Usage(
                from_on=piece.from_on,
                to_on=piece.to_on,
                held_from=home.held_from,
                premise=term.premise(home.facts),
            )
            segments.append(Segment(chosen, usage, rate_by(chosen.plan, usage)))
    return segments


def _is_due_once(tariff: Tariff) -> bool:
    charges = tariff.fixed_charges
    return bool(charges) and all(each.per in ("season", "year") for each in charges)


def _is_charged_already(tariff: Tariff, from_on: date) -> bool:
    # what is due once a season is due with its first day, where the tariff says which that is
    if not tariff.seasons or any(each.per != "season" for each in tariff.fixed_charges):
        return False
    return tariff.season_of(from_on - timedelta(days=1)) == tariff.season_of(from_on)
