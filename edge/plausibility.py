"""Whether samples can be true, given what the device said before; nothing is changed or dropped."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from devices.driver import Quality, Sample

# so many reads in a row must say the same before a register that fell is believed
CONFIRMED_AFTER = 3
# rounding in the meter may take a register back by this much, which is no event
STEPS_BACK = 2
# mains voltage and frequency never stand still: a gateway or a meter repeats an old answer
STALE_AFTER_US = 3600 * 1_000_000
STALE_READS = 30
# more than any meter of an estate counts in an hour, in its uom, if nobody gave its own bound
MOST_PER_HOUR = {"kWh": Decimal(10_000), "m3": Decimal(2_000), "m³": Decimal(2_000)}
_ALIVE = frozenset({"V", "Hz"})
_HOUR_US = 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Fall:
    """A register that stays below what it was: a new meter, a reset, or a wrong word order."""

    point: str
    before: int
    after: int
    exponent: int


@dataclass
class _Register:
    base: int
    base_us: int
    pending: int = 0
    seen: int = 0


@dataclass
class Plausibility:
    """What one device said so far; `most_per_hour` bounds its billed registers, in their uom.

    Without one the bound is that of `MOST_PER_HOUR`.
    """

    most_per_hour: Decimal | None = None
    _registers: dict[str, _Register] = field(default_factory=dict)
    _moving: dict[str, int | None] = field(default_factory=dict)
    _moved_us: int | None = None
    _still_reads: int = 0

    def judge(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[Fall]]:
        """The samples with their quality as it must be, and registers now known to have fallen.

        A register that falls, or rises faster than it may, is suspect until it is confirmed; a
        device whose voltages and frequencies stand still for an hour is stale.
        """
        falls: list[Fall] = []
        judged = [
            self._of_register(sample, falls) if sample.billing else sample for sample in samples
        ]
        if self._is_stale(samples):
            judged = [_as(sample, "stale") for sample in judged]
        return judged, falls

    def _of_register(self, sample: Sample, falls: list[Fall]) -> Sample:
        if sample.count is None or sample.quality != "good":
            return sample
        register = self._registers.get(sample.point)
        if register is None:
            self._registers[sample.point] = _Register(sample.count, sample.monotonic_us)
            return sample
        if self._follows(sample, sample.count, register):
            register.base, register.base_us, register.seen = sample.count, sample.monotonic_us, 0
            return sample
        again = register.seen > 0 and 0 <= sample.count - register.pending <= self._most(
            sample, register.base_us
        )
        register.seen = register.seen + 1 if again else 1
        register.pending = sample.count
        if register.seen < CONFIRMED_AFTER:
            return _as(sample, "suspect")
        if register.base - sample.count > STEPS_BACK:
            falls.append(Fall(sample.point, register.base, sample.count, sample.exponent))
        self._registers[sample.point] = _Register(sample.count, sample.monotonic_us)
        return sample

    def _follows(self, sample: Sample, count: int, register: _Register) -> bool:
        return 0 <= count - register.base <= self._most(sample, register.base_us)

    def _most(self, sample: Sample, since_us: int) -> int:
        most = self.most_per_hour or MOST_PER_HOUR.get(sample.uom)
        if most is None:
            return 1 << 62
        per_hour = most.scaleb(-sample.exponent)
        # a read may lie a little off its instant; one step is always allowed
        return int(per_hour * (sample.monotonic_us - since_us) / _HOUR_US * Decimal("1.5")) + 1

    def _is_stale(self, samples: Sequence[Sample]) -> bool:
        moving = {
            sample.point: sample.count
            for sample in samples
            if sample.uom in _ALIVE and sample.count
        }
        if not moving:
            return False
        now_us = max(sample.monotonic_us for sample in samples)
        same = all(self._moving.get(point) == count for point, count in moving.items())
        self._moving |= moving
        if not same or self._moved_us is None:
            self._moved_us, self._still_reads = now_us, 0
            return False
        self._still_reads += 1
        return self._still_reads >= STALE_READS and now_us - self._moved_us >= STALE_AFTER_US


def _as(sample: Sample, quality: Quality) -> Sample:
    return msgspec.structs.replace(sample, quality=quality) if sample.quality == "good" else sample
