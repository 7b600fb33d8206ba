"""Late charges 违约金: by the day on the principal, never on themselves, capped (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise

from cloud.money import divide_half_away


@dataclass(frozen=True)
class LateTerms:
    """What a contract says: `rate_per_day` of the principal from `grace_days` after the due day.

    `cap` is the most that all late charges of one charge come to, as a part of its principal.
    """

    rate_per_day: Decimal
    grace_days: int
    cap: Decimal

    def __post_init__(self) -> None:
        """Refuse terms that no contract may have (ValueError)."""
        if not 0 < self.rate_per_day <= Decimal("0.003"):
            msg = f"rate_per_day: {self.rate_per_day}: allowed is above 0, up to 0.003"
            raise ValueError(msg)
        if self.grace_days < 0:
            msg = f"grace_days: {self.grace_days}: allowed is 0 or more"
            raise ValueError(msg)
        if not 0 < self.cap <= 1:
            msg = f"cap: {self.cap}: allowed is above 0, up to 1 (all of the principal)"
            raise ValueError(msg)


def late_charge_fen(
    terms: LateTerms, owed: Sequence[tuple[date, int]], *, due_on: date, reminded_on: date | None
) -> int:
    """Return all that is due for lateness up to the last day of `owed`, in fen.

    `owed` has (day, principal owed from that day on), ascending; its last day is today, which does
    not count any more. Nothing is due without a recorded reminder, or before it.
    """
    if reminded_on is None or not owed:
        return 0
    first = max(date.fromordinal(due_on.toordinal() + terms.grace_days + 1), reminded_on)
    fen_days = 0
    for (from_on, principal_fen), (to_on, _) in pairwise(owed):
        days = (to_on - max(from_on, first)).days
        if days > 0 and principal_fen > 0:
            fen_days += principal_fen * days
    numerator, denominator = terms.rate_per_day.as_integer_ratio()
    due_fen = divide_half_away(fen_days * numerator, denominator)
    most = max(principal_fen for _, principal_fen in owed)
    numerator, denominator = terms.cap.as_integer_ratio()
    return min(due_fen, most * numerator // denominator)
