"""What each account used: several meters of one home 一户多表, one meter of several premises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from cloud.metering.registers import Consumption, sum_of


class AccountError(ValueError):
    """A meter point's parts cannot be told; the message names it and what is allowed."""


@dataclass(frozen=True, slots=True)
class AccountShare:
    """An account's part of a meter point, by weight among all who have one."""

    account_id: str
    meter_point_id: str
    weight: Decimal


@dataclass(frozen=True, slots=True)
class AccountUse:
    """What an account used of one service, by meter point, in the service's uom."""

    account_id: str
    service: str
    by_meter_point: Mapping[str, Decimal]
    estimated: bool

    @property
    def quantity(self) -> Decimal:
        """Give the sum over its meter points."""
        return sum_of(list(self.by_meter_point.values()))


@dataclass(frozen=True, slots=True)
class Metered:
    """A meter point as accounts see it; account_id is its premise where nobody said more."""

    meter_point_id: str
    service: str
    account_id: str | None


def use_by_account(
    points: Sequence[Metered],
    shares: Sequence[AccountShare],
    used: Mapping[str, Consumption],
) -> dict[tuple[str, str], AccountUse]:
    """Return the use by (account, service) of every account all of whose meters are known.

    The parts of a meter point add up to its quantity to the last digit: by largest remainder,
    ties by account id. An account with a meter that is not in `used` is left out.
    """
    by_point: dict[str, list[AccountShare]] = {}
    for share in shares:
        by_point.setdefault(share.meter_point_id, []).append(share)
    found: dict[tuple[str, str], dict[str, Decimal]] = {}
    unknown: set[tuple[str, str]] = set()
    estimated: set[tuple[str, str]] = set()
    for point in sorted(points, key=lambda point: point.meter_point_id):
        held = by_point.get(point.meter_point_id)
        if held is None:
            if point.account_id is None:
                continue
            held = [AccountShare(point.account_id, point.meter_point_id, Decimal(1))]
        keys = [(share.account_id, point.service) for share in held]
        if point.meter_point_id not in used:
            unknown.update(keys)
            continue
        consumption = used[point.meter_point_id]
        if consumption.estimated:
            estimated.update(keys)
        for account, part in parts_of(consumption.quantity, held).items():
            found.setdefault((account, point.service), {})[point.meter_point_id] = part
    return {
        key: AccountUse(key[0], key[1], by_meter_point, key in estimated)
        for key, by_meter_point in found.items()
        if key not in unknown
    }


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
