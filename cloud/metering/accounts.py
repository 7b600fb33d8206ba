"""One meter point of several accounts: each one's part of what it used (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction


class AccountError(ValueError):
    """A meter point's parts cannot be told; the message names it and what is allowed."""


@dataclass(frozen=True, slots=True)
class AccountShare:
    """An account's part of a meter point, by weight among all who have one."""

    account_id: str
    meter_point_id: str
    weight: Decimal


def parts_of(quantity: Decimal, shares: Sequence[AccountShare]) -> dict[str, Decimal]:
    """Share a quantity by weight, to its own last digit; AccountError without a weight above 0."""
    total = sum((Fraction(share.weight) for share in shares), Fraction(0))
    names = [share.account_id for share in shares]
    if total <= 0 or any(share.weight < 0 for share in shares) or len(set(names)) < len(names):
        point = shares[0].meter_point_id if shares else "?"
        message = (
            f"meter point {point}: weights {', '.join(str(share.weight) for share in shares)}:"
            " allowed are one for each account, none below 0, their sum above 0"
        )
        raise AccountError(message)
    exponent = min(int(quantity.as_tuple().exponent), 0)
    steps = int(quantity.scaleb(-exponent))
    exact = {s.account_id: steps * Fraction(s.weight) / total for s in shares}
    floors = {name: part.numerator // part.denominator for name, part in exact.items()}
    left = steps - sum(floors.values())
    order = sorted(exact, key=lambda name: (floors[name] - exact[name], name))
    for name in order[:left]:
        floors[name] += 1
    return {name: Decimal(part).scaleb(exponent) for name, part in floors.items()}
