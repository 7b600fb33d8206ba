"""A recorded series of flows, cleaned, as the load of a simulated meter."""

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from devices.simulated.load import MICRO, Era
from protocols.errors import ConfigError

_DAY_US = 86_400 * MICRO
_TIME_AND_FLOW = 2
_WITH_END = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """What is assumed of a recording; each is a guess that its source does not settle.

    A flow is litres per hour (a washing machine then draws 11 l per run, in l/min it were 685). A
    sample holds until the next one, but no longer than `hold_s`, because the recorders pause up to
    ten minutes when nothing flows. Flows below 0 or above `most_l_per_h` are errors, not water.
    """

    most_l_per_h: float = 6_000.0
    hold_s: int = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A cleaned recording: running micro-m3 at instants, and what was left out."""

    at_us: "array[int]"
    totals: "array[int]"
    samples: int
    dropped: int


class ReplayLoad:
    """A recording that repeats for ever, shifted by whole days so that its hours stay its hours."""

    def __init__(self, recording: Recording, era: Era) -> None:
        self._at_us = recording.at_us
        self._totals = recording.totals
        first_us, last_us = recording.at_us[0], recording.at_us[-1]
        self._cycle_us = -(-(last_us - first_us) // _DAY_US) * _DAY_US
        self._cycle_total = recording.totals[-1]
        # The first instant of the recording falls on the site's first day at its time of day.
        self._start_us = era.start_us + (first_us - era.start_us) % _DAY_US

    def total(self, at_us: int) -> int:
        """Micro-m3 since the site began, 0 before."""
        cycles, rest_us = divmod(at_us - self._start_us, self._cycle_us)
        if cycles < 0:
            return 0
        index, within_us, span_us = self._locate(rest_us)
        before = self._totals[index]
        total = cycles * self._cycle_total + before
        if span_us:
            total += (self._totals[index + 1] - before) * within_us // span_us
        return total

    def per_hour(self, at_us: int) -> int:
        """Micro-m3 per hour at that instant."""
        cycles, rest_us = divmod(at_us - self._start_us, self._cycle_us)
        if cycles < 0:
            return 0
        index, _, span_us = self._locate(rest_us)
        if not span_us:
            return 0
        return (self._totals[index + 1] - self._totals[index]) * 3600 * MICRO // span_us

    def _locate(self, rest_us: int) -> tuple[int, int, int]:
        """Knot before an instant of the cycle, time since it, time to the next (0 at the end)."""
        target_us = self._at_us[0] + rest_us
        index = bisect_right(self._at_us, target_us) - 1
        within_us = target_us - self._at_us[index]
        if index + 1 == len(self._at_us):
            return index, within_us, 0
        return index, within_us, self._at_us[index + 1] - self._at_us[index]


def read_recording(path: Path, cleaning: Cleaning | None = None) -> Recording:
    """Lines `unix_time flow [end_time]`, in any order, with a header or not; ConfigError."""
    cleaning = cleaning or Cleaning()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"--replay: {path}: cannot be read: {error}"
        raise ConfigError(message) from error
    samples: dict[int, tuple[float, int | None]] = {}
    dropped = 0
    for line in lines:
        sample = _sample(line)
        if sample is None or not 0 <= sample[1] <= cleaning.most_l_per_h:
            dropped += 1
            continue
        # A second sample of the same second corrects the first.
        dropped += sample[0] in samples
        samples[sample[0]] = (sample[1], sample[2])
    if len(samples) <= 1:
        message = (
            f"--replay: {path}: {len(samples)} usable lines: needed are `unix_time flow` lines"
        )
        raise ConfigError(message)
    return _accumulate(samples, cleaning, samples=len(lines), dropped=dropped)


def _sample(line: str) -> tuple[int, float, int | None] | None:
    fields = line.split()
    if len(fields) not in (_TIME_AND_FLOW, _WITH_END):
        return None
    try:
        end = int(float(fields[2])) if len(fields) == _WITH_END else None
        return int(float(fields[0])), float(fields[1]), end
    except (ValueError, OverflowError):
        return None


def _accumulate(
    by_time: dict[int, tuple[float, int | None]], cleaning: Cleaning, *, samples: int, dropped: int
) -> Recording:
    times = sorted(by_time)
    at_us, totals = array("q"), array("q")
    total = 0
    for time, following in zip(times, [*times[1:], None], strict=True):
        flow, end = by_time[time]
        until = time + cleaning.hold_s if end is None else max(time, end)
        if following is not None:
            until = min(until, following)
        at_us.append(time * MICRO)
        totals.append(total)
        # A litre per hour is 1000 micro-m3 in 3600 s.
        total += round(flow * 1000 * (until - time) / 3600)
        if following is None or until < following:
            at_us.append(until * MICRO)
            totals.append(total)
    return Recording(at_us=at_us, totals=totals, samples=samples, dropped=dropped)
