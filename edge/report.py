"""Report by exception: what has not moved beyond its deadband waits for its heartbeat."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

from devices.driver import Sample


@dataclass(frozen=True)
class ReportRule:
    """A point is told when it moved by more than `deadband` (its uom), at least every heartbeat."""

    deadband: Decimal
    heartbeat_s: int


@dataclass(frozen=True)
class _Told:
    count: int | None
    quality: str
    monotonic_us: int


@dataclass
class Reporter:
    """Decides which samples of one device travel; a billed register always does."""

    rules: Mapping[str, ReportRule]
    _told: dict[str, _Told] = field(default_factory=dict)

    def worth_telling(self, samples: list[Sample]) -> list[Sample]:
        """Return the samples to keep, and remember them as told."""
        kept = [sample for sample in samples if self._tells(sample)]
        for sample in kept:
            if sample.point in self.rules:
                told = _Told(sample.count, sample.quality, sample.monotonic_us)
                self._told[sample.point] = told
        return kept

    def _tells(self, sample: Sample) -> bool:
        rule = self.rules.get(sample.point)
        # consumption is the difference of registers at given instants: none may be left out
        if rule is None or sample.billing:
            return True
        told = self._told.get(sample.point)
        if told is None or told.quality != sample.quality:
            return True
        if sample.monotonic_us - told.monotonic_us >= rule.heartbeat_s * 1_000_000:
            return True
        if sample.count is None or told.count is None:
            return sample.count is not told.count
        steps = rule.deadband.scaleb(-sample.exponent).to_integral_value(rounding=ROUND_DOWN)
        return abs(sample.count - told.count) > steps
