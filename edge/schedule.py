"""Which device of a bus is read next: earliest deadline first, the dead within their share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MICROSECONDS = 1_000_000
SILENT_AFTER = 3
# the dead may have one part in this many of the bus's time
PROBE_SHARE = 20
LAST_BACKOFF_S = 3600


@dataclass
class _Silence:
    failures: int
    cost_us: int
    probed_us: int


@dataclass
class Schedule:
    """When each device is read next; a poll that was missed is made once, never queued.

    Polls are aligned to the wall clock. A device that failed `SILENT_AFTER` times is dead: it is
    probed with exponential backoff, only when no living device is due, and all probes together
    take at most one twentieth of the bus's time.
    """

    period_s: Mapping[str, int]
    _due_us: dict[str, int] = field(default_factory=dict)
    _silent: dict[str, _Silence] = field(default_factory=dict)

    def start(self, now_us: int) -> None:
        """Read every device at once, then on the aligned instants."""
        self._due_us = dict.fromkeys(self.period_s, now_us)

    def align(self, now_us: int) -> None:
        """Begin with the first aligned instant at or after `now_us`."""
        self._due_us = {
            device: next_aligned_us(now_us - 1, period) for device, period in self.period_s.items()
        }

    def take(self, now_us: int) -> str | None:
        """Return the device to read now and plan its next poll; None while nothing is due."""
        living = [device for device in self._due_us if self._is_due(device, now_us)]
        if living:
            device = min(living, key=self._urgency)
            self._due_us[device] = next_aligned_us(now_us, self.period_s[device])
            return device
        probes = [device for device in self._silent if self._probe_us(device) <= now_us]
        return min(probes, key=self._probe_us) if probes else None

    def due(self, now_us: int) -> list[str]:
        """Return every living device that is due, most urgent first, and plan their next polls."""
        living = [device for device in self._due_us if self._is_due(device, now_us)]
        living.sort(key=self._urgency)
        for device in living:
            self._due_us[device] = next_aligned_us(now_us, self.period_s[device])
        return living

    def answered(self, device: str, now_us: int) -> None:
        """Count a device as living."""
        if self._silent.pop(device, None) is not None:
            self._due_us[device] = next_aligned_us(now_us, self.period_s[device])

    def failed(self, device: str, now_us: int, cost_us: int) -> int:
        """Count a failure that held the bus for `cost_us`; return how many in a row."""
        before = self._silent.get(device)
        failures = before.failures + 1 if before else 1
        self._silent[device] = _Silence(failures, max(cost_us, 1), now_us)
        return failures

    def next_us(self) -> int:
        """Return the instant at which the next device is due."""
        living = [at_us for device, at_us in self._due_us.items() if not self._is_dead(device)]
        probes = [self._probe_us(device) for device in self._silent if self._is_dead(device)]
        return min([*living, *probes])

    def _is_dead(self, device: str) -> bool:
        silence = self._silent.get(device)
        return silence is not None and silence.failures >= SILENT_AFTER

    def _is_due(self, device: str, now_us: int) -> bool:
        if self._is_dead(device):
            return False
        at_us = self._due_us[device]
        # further off than a period: the wall clock was set back since it was planned
        return at_us <= now_us or at_us > next_aligned_us(now_us, self.period_s[device])

    def _urgency(self, device: str) -> tuple[int, int]:
        at_us = self._due_us[device]
        return (at_us + self.period_s[device] * MICROSECONDS, at_us)

    def _probe_us(self, device: str) -> int:
        if not self._is_dead(device):
            return 1 << 63
        silence = self._silent[device]
        dead = [other for name, other in self._silent.items() if self._is_dead(name)]
        share_us = PROBE_SHARE * sum(other.cost_us for other in dead)
        doubled = min(silence.failures - SILENT_AFTER, 20)
        backoff_s = min(LAST_BACKOFF_S, self.period_s[device] << doubled)
        return silence.probed_us + max(share_us, backoff_s * MICROSECONDS)


def next_aligned_us(now_us: int, period_s: int) -> int:
    """Return the first multiple of the period after `now_us`, in wall time since the epoch."""
    period_us = period_s * MICROSECONDS
    return (now_us // period_us + 1) * period_us
