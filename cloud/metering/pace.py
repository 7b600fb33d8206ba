"""How a meter usually moves, week by week, and what in a week is unlike it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cloud.metering.screening import Rule

HOUR_US: Final = 3_600_000_000
WEEK_US: Final = 7 * 24 * HOUR_US
# weeks that make a history, and how many of them are remembered
WEEKS_NEEDED: Final = 2
WEEKS_HELD: Final = 4
STEP_US: Final = 15 * 60_000_000
SPIKE_FACTOR: Final = 5
SPIKE_SLACK_COUNTS: Final = 10
STUCK_FACTOR: Final = 3
STUCK_LEAST_US: Final = 24 * HOUR_US

Integers = npt.NDArray[np.int64]
_MOST: Final = 1 << 40  # counts: far above any meter, and its products still fit 64 bits


@dataclass(frozen=True, slots=True)
class Week:
    """A week of kept reads in brief: its fastest step in counts/h, its longest standstill."""

    reads: int
    peak_per_hour: int
    still_us: int
    moved: bool


@dataclass(frozen=True, slots=True)
class Pace:
    """The weeks before, and since when the register shows the count it shows."""

    weeks: tuple[Week, ...]
    still_since_us: int

    @property
    def peak_per_hour(self) -> int | None:
        """Give the fastest step in counts/h that history knows, None while it is too short."""
        if len(self.weeks) < WEEKS_NEEDED:
            return None
        return max(week.peak_per_hour for week in self.weeks)

    @property
    def still_us(self) -> int | None:
        """Give the longest standstill of a meter that moves every week, None for any other."""
        if len(self.weeks) < WEEKS_NEEDED or not all(week.moved for week in self.weeks):
            return None
        return max(STUCK_LEAST_US, STUCK_FACTOR * max(week.still_us for week in self.weeks))


@dataclass(frozen=True, slots=True)
class Unlike:
    """A stretch that history makes unlikely, by the positions of its first and last read."""

    rule: Rule
    since_us: int
    first: int
    last: int
    parameters: tuple[tuple[str, int], ...]


def judge_week(
    read_at_us: Integers, counts: Integers, pace: Pace, *, base: tuple[int, int], capacity: int
) -> tuple[list[Unlike], Pace]:
    """Return what is unlike a meter's history in a week of kept reads, and the pace after it.

    base is (read_at_us, count) of the kept read before them; capacity 0 means none. The same
    reads give the same answer.
    """
    if not len(read_at_us):
        return [], pace
    at = np.concatenate(([base[0]], read_at_us))
    steps = np.diff(np.concatenate(([base[1]], counts)))
    if capacity:
        steps = np.where(steps < 0, steps + capacity, steps)
    steps = np.minimum(steps, _MOST)
    fast, peak = _fast(at, steps, pace)
    stuck, longest, since_us = _stuck(at, steps, pace)
    moved = bool((steps != 0).any())
    weeks = pace.weeks
    if moved or not stuck:
        # a week that stood still against its history is no new history
        limit = pace.still_us
        still_us = longest if limit is None else min(longest, limit)
        week = Week(len(read_at_us), peak, still_us, moved)
        weeks = (*weeks, week)[-WEEKS_HELD:]
    return fast + stuck, Pace(weeks, since_us)


def _fast(at: Integers, steps: Integers, pace: Pace) -> tuple[list[Unlike], int]:
    # quick polls are thinned: one count in a second is no rate
    totals = np.concatenate(([0], np.cumsum(steps)))
    slots = at // STEP_US
    thin = np.flatnonzero(np.concatenate(([True], np.diff(slots) > 0)))
    if thin[-1] != len(at) - 1:
        thin = np.append(thin, len(at) - 1)
    spans_s = np.maximum(np.diff(at[thin]) // 1_000_000, 1)
    used = np.diff(totals[thin])
    if not len(used):
        return [], 0
    rates = np.minimum(used, _MOST) * 3600 // np.maximum(spans_s, STEP_US // 1_000_000)
    usual = pace.peak_per_hour
    if usual is None:
        return [], int(rates.max())
    limit = SPIKE_FACTOR * usual
    over = np.flatnonzero(used > limit * spans_s // 3600 + SPIKE_SLACK_COUNTS)
    parameters = (("usual_per_hour", usual), ("factor", SPIKE_FACTOR))
    found = [
        Unlike(
            Rule.SPIKE_HISTORY,
            int(at[thin[index]]),
            # the first of `at` is the base, the positions are those of the kept reads
            int(thin[index]),
            int(thin[index + 1]) - 1,
            (*parameters, ("counts", int(used[index]))),
        )
        for index in over
    ]
    return found, min(int(rates.max()), max(limit, SPIKE_SLACK_COUNTS))


def _stuck(at: Integers, steps: Integers, pace: Pace) -> tuple[list[Unlike], int, int]:
    moved = np.flatnonzero(steps != 0) + 1
    # standstills: from the first read of a count to its last one
    begins = np.concatenate(([pace.still_since_us], at[moved]))
    lasts = np.concatenate((moved - 1, [len(at) - 1]))
    spans = at[lasts] - begins
    longest = int(spans.max())
    limit = pace.still_us
    found: list[Unlike] = []
    if limit is not None:
        firsts = np.concatenate(([0], moved))
        for index in np.flatnonzero(spans > limit):
            first, last = max(int(firsts[index]) - 1, 0), int(lasts[index]) - 1
            if last >= first:
                since_us = int(begins[index])
                found.append(
                    Unlike(Rule.STUCK, since_us, first, last, (("longest_usual_us", limit),))
                )
    return found, longest, int(begins[-1])


def first_pace(installed_at_us: int) -> Pace:
    """Return the pace of a meter that was just installed."""
    return Pace((), installed_at_us)


def rising(
    read_at_us: Integers,
    counts: Integers,
    *,
    base: tuple[int, int],
    limits: tuple[int | None, int | None],
    odd: Sequence[int],
) -> bool:
    """Tell whether sorted reads only rise, within (capacity, max_per_hour), and hold no odd count.

    Reads of which this is true are all kept: screening need not look at them one by one.
    """
    capacity, max_per_hour = limits
    spans = np.diff(np.concatenate(([base[0]], read_at_us)))
    steps = np.diff(np.concatenate(([base[1]], counts)))
    if int(spans.min()) <= 0 or int(steps.min()) < 0:
        return False
    if int(counts[0]) < 0 or (capacity is not None and int(counts[-1]) >= capacity):
        return False
    if int(counts[-1]) >= min(odd) and np.isin(counts, odd).any():
        return False
    if max_per_hour is None:
        return True
    # floats only pass what is far from the limit; the rest is looked at exactly
    near = np.flatnonzero(steps > 0.999 * max_per_hour * (spans / HOUR_US))
    return all(
        int(steps[index]) <= -(-max_per_hour * int(spans[index]) // HOUR_US) + 1 for index in near
    )
