"""Which device of a bus is read next: earliest deadline first, the dead within their share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

MICROSECONDS = 1_000_000
SILENT_AFTER = 3
# the dead may have one part in this many of the bus's time
PROBE_SHARE = 20
LAST_BACKOFF_S = 3600
# bills are cut at these instants: what is read for them is read within seconds of it
BILLING_S = 900
BILLING_DEADLINE_S = 10


@dataclass(frozen=True)
class Due:
    """A device to read now, and which of its periods have come round."""

    device: str
    periods: frozenset[int]


@dataclass
class _Silence:
    failures: int
    cost_us: int
    probed_us: int


@dataclass
class Schedule:
    """When each device is read next; a poll that was missed is made once, never queued.

    Polls are aligned to the wall clock. Of those due at :00, :15, :30 or :45 the `billing` devices
    come first. A device that failed `SILENT_AFTER` times is dead: it is probed with exponential
    backoff, only when no living device is due, and all probes together take at most one twentieth
    of the bus's time.
    """

    periods: Mapping[str, Sequence[int]]
    billing: frozenset[str] = frozenset()
    _due_us: dict[str, dict[int, int]] = field(default_factory=dict)
    _silent: dict[str, _Silence] = field(default_factory=dict)
    # heaps whose entries may be out of date: `_due_us` has the truth
    _waiting: list[tuple[int, str, int]] = field(default_factory=list)
    _ready: list[tuple[int, int, str]] = field(default_factory=list)
    _now_us: int = 0

    def __post_init__(self) -> None:
        """Nothing is planned before `start` or `align`."""
        self._due_us = {device: {} for device in self.periods}

    def start(self, now_us: int) -> None:
        """Read every device at once, then on the aligned instants."""
        self._begin(now_us, dict.fromkeys(self.periods, now_us))

    def align(self, now_us: int) -> None:
        """Begin with the first aligned instant at or after `now_us`."""
        self._begin(now_us, {})

    def take(self, now_us: int) -> Due | None:
        """Return the device to read now and plan its next poll; None while nothing is due."""
        self._advance(now_us)
        while self._ready:
            _, _, device = heappop(self._ready)
            taken = self._taken(device, now_us)
            if taken is not None:
                return taken
        probes = [device for device in self._silent if self._probe_us(device) <= now_us]
        if not probes:
            return None
        device = min(probes, key=self._probe_us)
        return Due(device, frozenset(self.periods[device]))

    def due(self, now_us: int) -> list[Due]:
        """Return every living device that is due, most urgent first, and plan their next polls."""
        self._advance(now_us)
        taken = []
        while self._ready:
            _, _, device = heappop(self._ready)
            if (due := self._taken(device, now_us)) is not None:
                taken.append(due)
        return taken

    def answered(self, device: str, now_us: int) -> None:
        """Count a device as living."""
        if self._silent.pop(device, None) is not None:
            for period_s in self.periods[device]:
                self._plan(device, period_s, next_aligned_us(now_us, period_s))

    def failed(self, device: str, now_us: int, cost_us: int) -> int:
        """Count a failure that held the bus for `cost_us`; return how many in a row."""
        before = self._silent.get(device)
        failures = before.failures + 1 if before else 1
        self._silent[device] = _Silence(failures, max(cost_us, 1), now_us)
        return failures

    def next_us(self) -> int:
        """Return the instant at which the next device is due; in an hour where there is none."""
        while self._ready and not self._is_due(self._ready[0][2], self._now_us):
            heappop(self._ready)
        while self._waiting and self._is_stale(*self._waiting[0]):
            heappop(self._waiting)
        instants = [self._probe_us(device) for device in self._silent if self._is_dead(device)]
        if self._ready:
            instants.append(self._ready[0][1])
        if self._waiting:
            instants.append(self._waiting[0][0])
        return min(instants, default=self._now_us + LAST_BACKOFF_S * MICROSECONDS)

    def _begin(self, now_us: int, first_us: Mapping[str, int]) -> None:
        self._due_us = {device: {} for device in self.periods}
        self._waiting, self._ready, self._now_us = [], [], now_us
        for device, periods in self.periods.items():
            for period_s in periods:
                at_us = first_us.get(device, next_aligned_us(now_us - 1, period_s))
                self._plan(device, period_s, at_us)

    def _plan(self, device: str, period_s: int, at_us: int) -> None:
        self._due_us[device][period_s] = at_us
        heappush(self._waiting, (at_us, device, period_s))

    def _advance(self, now_us: int) -> None:
        if now_us < self._now_us:
            self._set_back(now_us)
        self._now_us = now_us
        while self._waiting and self._waiting[0][0] <= now_us:
            at_us, device, period_s = heappop(self._waiting)
            if not self._is_stale(at_us, device, period_s):
                deadline_us = at_us + self._deadline_s(device, at_us, period_s) * MICROSECONDS
                heappush(self._ready, (deadline_us, at_us, device))

    def _set_back(self, now_us: int) -> None:
        # what is further off than a period was planned before the wall clock was set back
        for device, rounds in self._due_us.items():
            for period_s, at_us in rounds.items():
                if at_us > next_aligned_us(now_us, period_s):
                    self._plan(device, period_s, now_us)

    def _taken(self, device: str, now_us: int) -> Due | None:
        if self._is_dead(device):
            return None
        rounds = self._due_us[device]
        periods = frozenset(period_s for period_s, at_us in rounds.items() if at_us <= now_us)
        for period_s in periods:
            self._plan(device, period_s, next_aligned_us(now_us, period_s))
        return Due(device, periods) if periods else None

    def _is_stale(self, at_us: int, device: str, period_s: int) -> bool:
        return self._due_us[device][period_s] != at_us or self._is_dead(device)

    def _is_due(self, device: str, now_us: int) -> bool:
        rounds = self._due_us[device].values()
        return not self._is_dead(device) and any(at_us <= now_us for at_us in rounds)

    def _is_dead(self, device: str) -> bool:
        silence = self._silent.get(device)
        return silence is not None and silence.failures >= SILENT_AFTER

    def _deadline_s(self, device: str, at_us: int, period_s: int) -> int:
        bills = device in self.billing and at_us % (BILLING_S * MICROSECONDS) == 0
        return min(period_s, BILLING_DEADLINE_S) if bills else period_s

    def _probe_us(self, device: str) -> int:
        if not self._is_dead(device):
            return 1 << 63
        silence = self._silent[device]
        dead = [other for name, other in self._silent.items() if self._is_dead(name)]
        share_us = PROBE_SHARE * sum(other.cost_us for other in dead)
        doubled = min(silence.failures - SILENT_AFTER, 20)
        backoff_s = min(LAST_BACKOFF_S, min(self.periods[device]) << doubled)
        return silence.probed_us + max(share_us, backoff_s * MICROSECONDS)


def next_aligned_us(now_us: int, period_s: int) -> int:
    """Return the first multiple of the period after `now_us`, in wall time since the epoch."""
    period_us = period_s * MICROSECONDS
    return (now_us // period_us + 1) * period_us
