"""Uses of one service by many accounts over the same days, as arrays of integer counts."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cloud.money import decimals_of, scaled, unscaled
from cloud.tariffs.quantities import midnight
from cloud.tariffs.tariff import Tariff
from cloud.tariffs.usage import Premise, SupplierInvoice, Usage, UsageInterval

Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
HOUR_S = 3600

_MOST_COUNT = 2**60


class Facts(NamedTuple):
    """What tariffs ask of an account beside its quantities; most accounts share theirs."""

    premise: Premise = Premise()
    held_from: date | None = None
    invoice: SupplierInvoice | None = None


@dataclass(frozen=True, kw_only=True)
class MassUsage:
    """Use by `accounts` over the local days [from_on, to_on), in counts of 10**exponent.

    quantity, each period of time_of_use, used_before and carried_before: (accounts,); intervals:
    (accounts, intervals of interval_s from the midnight of from_on to that of to_on). At most one
    of quantity, time_of_use and intervals. facts_of: (accounts,) indexes into facts, all 0 where
    it is left out. ValueError for another shape, and for what is not an integer.
    """

    from_on: date
    to_on: date
    accounts: int
    exponent: int = 0
    quantity: Counts | None = None
    time_of_use: dict[str, Counts] | None = None
    intervals: Counts | None = None
    interval_s: int = HOUR_S
    used_before: Counts | None = None
    carried_before: Counts | None = None
    facts: Sequence[Facts] = (Facts(),)
    facts_of: Counts | None = None

    def __post_init__(self) -> None:
        """Refuse arrays of the wrong shape or type."""
        if sum(given is not None for given in self._used()) > 1:
            msg = "quantity, time_of_use, intervals: allowed is one of them"
            raise ValueError(msg)
        for key, counts in self.columns().items():
            _check_counts(key, counts, self.accounts, dimensions=1)
        if self.intervals is not None:
            _check_counts("intervals", self.intervals, self.accounts, dimensions=2)
        of = self.facts_of
        if of is not None:
            _check_counts("facts_of", of, self.accounts, dimensions=1)
            if self.accounts and not 0 <= of.min() <= of.max() < len(self.facts):
                msg = f"facts_of: allowed are indexes from 0 to {len(self.facts) - 1}"
                raise ValueError(msg)

    def columns(self) -> dict[str, Counts]:
        """Give all counts with one number for each account."""
        named = {
            "quantity": self.quantity,
            "used_before": self.used_before,
            "carried_before": self.carried_before,
        } | {f"time_of_use.{code}": counts for code, counts in (self.time_of_use or {}).items()}
        return {key: counts for key, counts in named.items() if counts is not None}

    def intervals_in(self, tariff: Tariff) -> int:
        """Count the intervals of the span in the zone of a tariff; ValueError if not whole."""
        seconds = midnight(tariff, self.to_on) - midnight(tariff, self.from_on)
        count, rest = divmod(seconds, timedelta(seconds=self.interval_s))
        if rest:
            msg = f"interval_s: {self.interval_s}: allowed are intervals that fill the span"
            raise ValueError(msg)
        return count

    def usage(self, tariff: Tariff, account: int) -> Usage:
        """Give the use of one account, as `rate_by` takes it."""
        facts = self.facts[0 if self.facts_of is None else int(self.facts_of[account])]
        by_period = self.time_of_use
        return Usage(
            from_on=self.from_on,
            to_on=self.to_on,
            quantity=None if self.quantity is None else self._decimal(self.quantity[account]),
            time_of_use=None
            if by_period is None
            else {code: self._decimal(counts[account]) for code, counts in by_period.items()},
            intervals=self._intervals(tariff, account),
            used_before=self._decimal(0 if self.used_before is None else self.used_before[account]),
            carried_before=self._decimal(
                0 if self.carried_before is None else self.carried_before[account]
            ),
            held_from=facts.held_from,
            premise=facts.premise,
            invoice=facts.invoice,
        )

    def template(self, facts: Facts) -> Usage:
        """Give the use of nothing by an account with these facts."""
        return Usage(
            from_on=self.from_on,
            to_on=self.to_on,
            held_from=facts.held_from,
            premise=facts.premise,
            invoice=facts.invoice,
        )

    def _used(self) -> tuple[object, ...]:
        return self.quantity, self.time_of_use, self.intervals

    def _decimal(self, count: np.int64 | int) -> Decimal:
        return unscaled(int(count), self.exponent)

    def _intervals(self, tariff: Tariff, account: int) -> tuple[UsageInterval, ...] | None:
        if self.intervals is None:
            return None
        start_at, length = midnight(tariff, self.from_on), timedelta(seconds=self.interval_s)
        return tuple(
            UsageInterval(start_at + length * place, start_at + length * (place + 1), quantity)
            for place, quantity in enumerate(map(self._decimal, self.intervals[account].tolist()))
        )


def facts_by_account(facts: Iterable[Facts]) -> tuple[tuple[Facts, ...], Counts]:
    """Return the distinct facts, and for each account the index of its own."""
    places: dict[Hashable, int] = {}
    distinct: list[Facts] = []
    of: list[int] = []
    for each in facts:
        premise = each.premise
        # 90 and 90.0 m2 are equal, but are printed as they were written
        written = str(premise.area_m2), str(each.invoice), each.held_from
        key = *written, premise.people, premise.households, premise.floor, premise.vehicles
        place = places.setdefault(key, len(distinct))
        if place == len(distinct):
            distinct.append(each)
        of.append(place)
    return tuple(distinct), np.array(of, np.int64)


def gathered(
    usages: Sequence[Usage], *, has_step: bool
) -> tuple[list[tuple[MassUsage, list[int]]], list[int]]:
    """Put usages of the same span and form together, with their places; and the places left out.

    Left out are intervals, a quantity beside time_of_use, and numbers beyond 60 bits or below 0.
    """
    groups: dict[Hashable, list[tuple[int, list[int]]]] = {}
    others: list[int] = []
    for place, usage in enumerate(usages):
        found = _numbers(usage, has_step=has_step)
        if found is None:
            others.append(place)
            continue
        exponent, numbers = found
        codes = None if usage.time_of_use is None else tuple(usage.time_of_use)
        key = usage.from_on, usage.to_on, exponent, codes, usage.quantity is None
        groups.setdefault(key, []).append((place, numbers))
    made: list[tuple[MassUsage, list[int]]] = []
    for members in groups.values():
        places = [place for place, _ in members]
        first = usages[places[0]]
        found = _numbers(first, has_step=has_step)
        columns = np.array([numbers for _, numbers in members], np.int64).T
        facts, facts_of = facts_by_account(
            Facts(usages[at].premise, usages[at].held_from, usages[at].invoice) for at in places
        )
        by_period = first.time_of_use
        group = MassUsage(
            from_on=first.from_on,
            to_on=first.to_on,
            accounts=len(places),
            exponent=found[0] if found else 0,
            used_before=columns[0],
            carried_before=columns[1],
            quantity=None if first.quantity is None else columns[2],
            time_of_use=None
            if by_period is None
            else dict(zip(by_period, columns[2:], strict=True)),
            facts=facts,
            facts_of=facts_of,
        )
        made.append((group, places))
    return made, others


def _numbers(usage: Usage, *, has_step: bool) -> tuple[int, list[int]] | None:
    # used and carried before, then what was used, as counts of the finest exponent among them
    by_period = usage.time_of_use
    if usage.intervals is not None or (usage.quantity is not None and by_period is not None):
        return None
    used = list((by_period or {}).values()) if usage.quantity is None else [usage.quantity]
    numbers = [usage.used_before, usage.carried_before, *used]
    if not all(number.is_finite() and number >= 0 for number in numbers):
        return None
    if not has_step:
        # whatever was carried counts for nothing, not even by its decimals
        numbers[1] = Decimal(0)
    exponent = min(0, *map(decimals_of, numbers))
    counts = [scaled(number, exponent) for number in numbers]
    return (exponent, counts) if max(counts) < _MOST_COUNT else None


def _check_counts(key: str, counts: Counts, accounts: int, *, dimensions: int) -> None:
    if counts.ndim != dimensions or counts.shape[0] != accounts:
        shown = "(accounts,)" if dimensions == 1 else "(accounts, intervals)"
        msg = f"{key}: shape {counts.shape}: allowed is {shown} of {accounts} accounts"
        raise ValueError(msg)
    if not np.can_cast(counts.dtype, np.int64) or counts.dtype.kind not in "iu":
        msg = f"{key}: {counts.dtype}: allowed are integers of up to 64 bits"
        raise ValueError(msg)
