"""Sharing a pool of money 公摊 by weights, exact to the fen."""

from collections.abc import Mapping
from decimal import Decimal

from cloud.money import decimals_of, fen_to_yuan, scaled

# Weights are areas, quantities and heads: more digits than this is a mistake, not a weight.
_MAX_DIGITS = 40
_MAX_EXPONENT = 18


class AllocationError(ValueError):
    """A pool that cannot be shared as asked."""


class NegativePoolError(AllocationError):
    """The subs read more than the master: the pool is carried forward and reported, not posted."""

    def __init__(self, total_fen: int) -> None:
        """Carry the refused total in fen."""
        super().__init__(
            f"the pool of {fen_to_yuan(total_fen)} is negative: it is carried forward to the next"
            " period and reported, never shared; allowed is a total of 0.00 or more"
        )
        self.total_fen = total_fen


def allocate(
    total_fen: int,
    weights: Mapping[str, Decimal],
    *,
    fallback: Mapping[str, Decimal] | None = None,
) -> dict[str, int]:
    """Share total_fen by weights, largest remainder first, ties by premise id; premise -> fen.

    The shares add up exactly, none is negative, the order of weights does not matter. Weights
    that are all zero use the fallback (same premises), else AllocationError.
    """
    if total_fen < 0:
        raise NegativePoolError(total_fen)
    if not weights:
        msg = "there is no premise to share the pool among"
        raise AllocationError(msg)
    whole = _whole_weights(weights)
    if not any(whole.values()):
        whole = _fallback_weights(weights, fallback)
    sum_of_weights = sum(whole.values())
    shares: dict[str, int] = {}
    remainders: dict[str, int] = {}
    for premise in sorted(whole):
        shares[premise], remainders[premise] = divmod(total_fen * whole[premise], sum_of_weights)
    left_over = total_fen - sum(shares.values())
    # sorted is stable, so equal remainders stay in the order of premise ids.
    for premise in sorted(shares, key=lambda name: -remainders[name])[:left_over]:
        shares[premise] += 1
    return shares


def _fallback_weights(
    weights: Mapping[str, Decimal], fallback: Mapping[str, Decimal] | None
) -> dict[str, int]:
    if fallback is None:
        msg = "every weight is 0 and no fallback is named"
        raise AllocationError(msg)
    if fallback.keys() != weights.keys():
        odd = ", ".join(sorted(fallback.keys() ^ weights.keys()))
        msg = f"the fallback must weigh the same premises; differing: {odd}"
        raise AllocationError(msg)
    whole = _whole_weights(fallback)
    if not any(whole.values()):
        msg = "every weight is 0, and every weight of the fallback too"
        raise AllocationError(msg)
    return whole


def _whole_weights(weights: Mapping[str, Decimal]) -> dict[str, int]:
    for premise, weight in weights.items():
        if not weight.is_finite() or weight < 0:
            msg = f"weight of {premise}: {weight}: allowed is a finite number, 0 or more"
            raise AllocationError(msg)
        if len(weight.as_tuple().digits) > _MAX_DIGITS or abs(decimals_of(weight)) > _MAX_EXPONENT:
            msg = (
                f"weight of {premise}: {weight}: allowed are {_MAX_DIGITS} digits"
                f" and {_MAX_EXPONENT} decimals"
            )
            raise AllocationError(msg)
    exponent = min(decimals_of(weight) for weight in weights.values())
    return {premise: scaled(weight, exponent) for premise, weight in weights.items()}
