"""What rating many accounts gives: arrays of rows by accounts, and each as its own `Rated`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Self

import numpy.typing as npt

from cloud.money import scaled, unscaled
from cloud.tariffs.charges import tax_price
from cloud.tariffs.errors import RatingError
from cloud.tariffs.line_items import FEN_EXPONENT, Row
from cloud.tariffs.mass_usage import Counts, Mask
from cloud.tariffs.rate_plan import RatePlan, When
from cloud.tariffs.rating import INVOICE_PRICE_EXPONENT, Rated
from cloud.tariffs.tariff import Cell, Tariff

# integers of 64 bits, or objects where an account has some that are longer
Numbers = npt.NDArray[Any]

_ACCOUNTS_AT_ONCE = 4096


class Kind(StrEnum):
    """Where a row comes from."""

    METERED = "metered"
    FIXED = "fixed"
    BOUND = "bound"
    TAX = "tax"


class Slot(NamedTuple):
    """A row that an account may have, without its quantity; what a metered one sums up.

    whens are indexes into the whens of the split; fixed and invoiced prices are by account.
    """

    kind: Kind
    row: Row
    whens: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[str, str, Cell]:
        """Tell its rows from those of other slots."""
        return self.row.prefix, self.row.component, self.row.cell


class Arrays(NamedTuple):
    """Row `slot` of account `at` stands in [slot, at]; totals_fen and carried: (accounts,).

    quantities of metered rows and carried are counts of the run's exponent, of taxes fen. Rows
    that are not is_present are 0, as is everything of accounts with an error. Integers of 64 bits,
    or Python's where one of them would not fit.
    """

    quantities: Numbers
    amounts_fen: Numbers
    is_present: Mask
    totals_fen: Numbers
    carried: Numbers

    def as_objects(self) -> Self:
        """Give the same with room for integers of any size."""
        return self._replace(
            quantities=self.quantities.astype(object),
            amounts_fen=self.amounts_fen.astype(object),
            totals_fen=self.totals_fen.astype(object),
            carried=self.carried.astype(object),
        )


@dataclass(frozen=True)
class MassRated:
    """Rated accounts: as arrays, and each as its own `Rated` or error.

    odd are the accounts that were rated one by one or have an error; fixed holds the rows of fixed
    charges by code, invoice_prices the unit price, both by the index in facts_of.
    """

    tariff: Tariff
    exponent: int
    slots: tuple[Slot, ...]
    arrays: Arrays
    facts_of: Counts
    fixed: tuple[Mapping[str, Row], ...]
    invoice_prices: tuple[int, ...]
    odd: Mapping[int, Rated | RatingError]

    @property
    def totals_fen(self) -> Numbers:
        """Give the total of each account, 0 for one with an error."""
        return self.arrays.totals_fen

    @property
    def errors(self) -> dict[int, RatingError]:
        """Give what is wrong, by account."""
        return {at: odd for at, odd in self.odd.items() if isinstance(odd, RatingError)}

    def __len__(self) -> int:
        """Count the accounts."""
        return len(self.totals_fen)

    def __iter__(self) -> Iterator[Rated | RatingError]:
        """Give what `rate_by` returns or raises for each account."""
        for first in range(0, len(self), _ACCOUNTS_AT_ONCE):
            yield from self._some(first, min(first + _ACCOUNTS_AT_ONCE, len(self)))

    def rated(self, account: int) -> Rated:
        """Give the rows of one account; raises its RatingError."""
        (found,) = self._some(account, account + 1)
        if isinstance(found, RatingError):
            raise found
        return found

    def _some(self, first: int, last: int) -> Iterator[Rated | RatingError]:
        at = slice(first, last)
        columns = zip(
            self.arrays.is_present[:, at].T.tolist(),
            self.arrays.quantities[:, at].T.tolist(),
            self.arrays.amounts_fen[:, at].T.tolist(),
            self.arrays.totals_fen[at].tolist(),
            self.arrays.carried[at].tolist(),
            self.facts_of[at].tolist(),
            strict=True,
        )
        nothing = unscaled(0, self.exponent if self.tariff.is_metered else 0)
        makers = [_maker(self, slot) for slot in self.slots]
        for account, (present, quantities, amounts, total, carried, facts) in enumerate(
            columns, first
        ):
            odd = self.odd.get(account)
            if odd is not None:
                yield odd
                continue
            places = [place for place, is_there in enumerate(present) if is_there]
            yield Rated(
                self.tariff,
                tuple(
                    [makers[place](quantities[place], amounts[place], facts) for place in places]
                ),
                tuple([amounts[place] for place in places]),
                total,
                unscaled(carried, self.exponent) if carried else nothing,
            )


def metered_slots(plan: RatePlan, whens: tuple[When, ...], exponent: int) -> list[Slot]:
    """Lay out the rows of components in the order in which a bill prints them."""
    tariff = plan.tariff
    if tariff.price_source == "invoice":
        only = plan.components[0].component
        row = Row(only.code, only.name, 0, exponent, 0, INVOICE_PRICE_EXPONENT, tariff.uom)
        return [Slot(Kind.METERED, row, tuple(range(len(whens))))]
    made: list[tuple[tuple[int, int, int, int], Slot]] = []
    for place, priced in enumerate(plan.components):
        cells: dict[Cell, list[int]] = {}
        for tier in range(1, 1 + tariff.tiers.count) if priced.of_tier and tariff.tiers else [None]:
            for number, when in enumerate(whens):
                period = when.period if priced.of_period else None
                cell = Cell(tier, period, when.season if priced.of_season else None)
                cells.setdefault(cell, []).append(number)
        for cell, numbers in cells.items():
            row = Row(
                priced.component.code,
                priced.component.name,
                0,
                exponent,
                priced.prices[cell],
                plan.price_exponent,
                tariff.uom,
                "",
                cell,
            )
            order = (
                cell.tier or 0,
                plan.season_order.get(cell.season or "", 0),
                plan.period_order.get(cell.period or "", 0),
                place,
            )
            made.append((order, Slot(Kind.METERED, row, tuple(numbers))))
    return [slot for _, slot in sorted(made, key=lambda each: each[0])]


def other_slots(tariff: Tariff) -> list[Slot]:
    """Lay out the rows of fixed charges, bounds and taxes."""
    slots = [
        Slot(Kind.FIXED, Row(charge.code, charge.name, 0, 0, 0, 0, "", "fixed."))
        for charge in tariff.fixed_charges
    ]
    slots += [
        Slot(Kind.BOUND, Row(bound.code, bound.name, 1, 0, 0, FEN_EXPONENT, "", "bound."))
        for bound in (tariff.minimum_charge, tariff.maximum_charge)
        if bound is not None
    ]
    for tax in tariff.taxes:
        percent, exponent = tax_price(tax)
        row = Row(tax.code, tax.name, 0, FEN_EXPONENT, percent, exponent, "元", "tax.")
        slots.append(Slot(Kind.TAX, row))
    return slots


def with_singly(
    arrays: Arrays, slots: Sequence[Slot], exponent: int, odd: Mapping[int, Rated | RatingError]
) -> Arrays:
    """Put in the accounts that were rated one by one; an error leaves nothing but 0."""
    if any(isinstance(each, Rated) and _is_long(each) for each in odd.values()):
        arrays = arrays.as_objects()
    places = {slot.key: place for place, slot in enumerate(slots)}
    for account, rated in odd.items():
        for array in arrays:
            array[..., account] = 0
        if isinstance(rated, RatingError):
            continue
        for row, amount_fen in zip(rated.rows, rated.amounts_fen, strict=True):
            place = places[row.prefix, row.component, row.cell]
            arrays.quantities[place, account] = row.quantity
            arrays.amounts_fen[place, account] = amount_fen
            arrays.is_present[place, account] = True
        arrays.totals_fen[account] = rated.total_fen
        if rated.carried_quantity:
            arrays.carried[account] = scaled(rated.carried_quantity, exponent)
    return arrays


def _maker(found: MassRated, slot: Slot) -> Callable[[int, int, int], Row]:
    # makes a row of a quantity, an amount in fen and the index of the facts
    row = slot.row
    head, middle, tail = row[:2], row[3:4], row[5:]
    match slot.kind:
        case Kind.METERED if found.tariff.price_source == "invoice":
            prices = found.invoice_prices
            return lambda quantity, _, facts: Row._make(
                (*head, quantity, *middle, prices[facts], *tail)
            )
        case Kind.METERED | Kind.TAX:
            end = row[3:]
            return lambda quantity, _amount, _facts: Row._make((*head, quantity, *end))
        case Kind.BOUND:
            return lambda quantity, amount, _facts: Row._make(
                (*head, quantity, *middle, amount, *tail)
            )
        case Kind.FIXED:
            by_facts = [rows.get(row.component, row) for rows in found.fixed]
            return lambda _quantity, _amount, facts: by_facts[facts]


def _is_long(rated: Rated) -> bool:
    numbers = [row.quantity for row in rated.rows]
    return max(map(abs, (*numbers, *rated.amounts_fen, rated.total_fen)), default=0) >= 2**63
