"""What is due when: polls aligned to the wall clock, overdue ones coalesced."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MICROSECONDS = 1_000_000


@dataclass
class Schedule:
    """When each device is read next; a poll that was missed is made once, never queued."""

    period_s: Mapping[str, int]
    _due_us: dict[str, int] = field(default_factory=dict)

    def start(self, now_us: int) -> None:
        """Read every device at once, then on the aligned instants."""
        self._due_us = dict.fromkeys(self.period_s, now_us)

    def align(self, now_us: int) -> None:
        """Begin with the first aligned instant at or after `now_us`."""
        self._due_us = {
            device: next_aligned_us(now_us - 1, period) for device, period in self.period_s.items()
        }

    def due(self, now_us: int) -> list[str]:
        """Return the devices that are due, the most overdue first, and plan their next polls."""
        due = [
            device
            for device, at_us in self._due_us.items()
            # further off than a period: the wall clock was set back since it was planned
            if at_us <= now_us or at_us > next_aligned_us(now_us, self.period_s[device])
        ]
        due.sort(key=self._due_us.__getitem__)
        for device in due:
            self._due_us[device] = next_aligned_us(now_us, self.period_s[device])
        return due

    def next_us(self) -> int:
        """Return the instant of the next poll of any device."""
        return min(self._due_us.values())


def next_aligned_us(now_us: int, period_s: int) -> int:
    """Return the first multiple of the period after `now_us`, in wall time since the epoch."""
    period_us = period_s * MICROSECONDS
    return (now_us // period_us + 1) * period_us
