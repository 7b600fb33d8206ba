"""Rounding many amounts to the fen at once; arrays end in the accounts, (rows, accounts)."""

import numpy as np

from cloud.tariffs.mass_usage import Counts

# twice a sum of numbers up to this, and as much again, is still an int64
MOST = 2**60


def half_away(numerators: Counts, denominator: int) -> Counts:
    """Divide and round half away from zero; numerators up to 2 MOST, 0 < denominator <= MOST."""
    if denominator == 1:
        return numerators
    quotients = (2 * np.abs(numerators) + denominator) // (2 * denominator)
    return np.where(numerators < 0, -quotients, quotients)


def share_fen(exact: Counts, unit: int) -> Counts:
    """Give rows their fen by largest remainder: they add up to their rounded sum.

    A row of 0 never gets one; the absolute amounts of a column add up to at most 2 MOST.
    """
    if unit == 1:
        return exact
    shares, rests = np.divmod(exact, unit)
    left_over = half_away(exact.sum(axis=0), unit) - shares.sum(axis=0)
    shares += largest_first(rests) < left_over
    return shares


def largest_first(rests: Counts) -> Counts:
    """Rank the remainders of each column: 0 for the largest, ties to the row that stands first."""
    order = np.argsort(-rests, axis=0, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(rests))[:, None], axis=0)
    return ranks
