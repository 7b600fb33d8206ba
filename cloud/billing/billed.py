"""What accounts were billed before: posted bills, and drafts that will be posted with them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from cloud.billing.bill_repository import Standing
from cloud.billing.drafts import Draft, Key
from cloud.billing.repository import OpeningUse
from cloud.metering.registers import sum_of


class _Line(NamedTuple):
    from_on: date
    to_on: date
    quantity: Decimal
    carried: Decimal


class Billed:
    """Bills by account and charge item; a later draft of the same period takes a bill's place."""

    def __init__(
        self,
        standing: Iterable[Standing],
        *,
        openings: Iterable[OpeningUse] = (),
        continued: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Take posted bills, and what was used before the first of them.

        `continued` names the accounts whose use counts on in another's.
        """
        self._continued = continued or {}
        self._lines: dict[tuple[str, str], dict[tuple[str, str], _Line]] = {}
        for bill in standing:
            line = _Line(bill.from_on, bill.to_on, bill.quantity or Decimal(0), bill.carried)
            self._of(bill.account_id, bill.service)[bill.period, bill.part] = line
        for opening in openings:
            # it was used up to the day before
            last = opening.as_of - timedelta(days=1)
            line = _Line(last, last, opening.quantity, Decimal(0))
            self._of(opening.account_id, opening.service)["", "opening"] = line

    def add(self, draft: Draft) -> None:
        """Count a draft as billed."""
        line = _Line(
            draft.from_on, draft.to_on, Decimal(draft.quantity or 0), Decimal(draft.carried)
        )
        self._of(draft.account_id, draft.service)[draft.period, draft.part] = line

    def forget(self, key: Key) -> None:
        """Leave out what is about to be billed again."""
        self._of(key.account_id, key.service).pop((key.period, key.part), None)

    def used(self, account_id: str, service: str, *, since: date, before: date) -> Decimal:
        """Return the quantity billed of the days [since, before), that of accounts before too."""
        names = (account_id, *self._continued.get(account_id, ()))
        return sum_of(
            [
                line.quantity
                for name in names
                for line in self._of(name, service).values()
                if since <= line.from_on < before
            ]
        )

    def carried(self, account_id: str, service: str, *, before: date) -> Decimal:
        """Return what the bill before left of a quantity step."""
        lines = [line for line in self._of(account_id, service).values() if line.to_on <= before]
        return max(lines).carried if lines else Decimal(0)

    def covered_to(self, account_id: str, item: str, *, since: date, period: str) -> date | None:
        """Return the day after the last one billed by the runs up to a period, of days since."""
        ends = [
            line.to_on
            for (billed_in, _), line in self._of(account_id, item).items()
            if line.from_on >= since and billed_in <= period
        ]
        return max(ends, default=None)

    def _of(self, account_id: str, service: str) -> dict[tuple[str, str], _Line]:
        return self._lines.setdefault((account_id, service), {})
