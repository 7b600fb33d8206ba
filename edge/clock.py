"""The gateway's clock, and whether its wall time can be believed."""

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devices.driver import Clock

# Two clocks of one machine room agree this well; a Pi without a battery is off by hours.
AGREED_US = 2_000_000
# How long an answer of the kernel is believed.
_ASKED_AGAIN_S = 10.0
# The best answer of so long is kept: quartz drifts by less than 0.1 s meanwhile.
_BEST_OF_US = 600 * 1_000_000
# How old an answer may be before it means that ours is wrong.
_LATE_US = 600 * 1_000_000
# adjtimex(2): the clock is not disciplined by anybody.
_TIME_ERROR = 5
_TIMEX_BYTES = 512


class GatewayClock(Clock, Protocol):
    """A clock that knows whether it is right."""

    def is_certain(self) -> bool:
        """Whether readings may be dated by the wall time."""
        ...


@dataclass(frozen=True, slots=True)
class ClockFix:
    """The true time of one instant of this boot: `wall_us` at `monotonic_us`, and who says so."""

    monotonic_us: int
    wall_us: int
    error_us: int
    source: str


class SystemClock:
    """Wall and monotonic time of this machine, and whether the wall time can be believed.

    It can if the operator says so (`trusted`), if the kernel's clock is disciplined (NTP, PTP) and
    the cloud does not disagree, or if the cloud's time agreed and the clock was not stepped since.
    """

    def __init__(self, *, trusted: bool = False) -> None:
        self._trusted = trusted
        self._agreed_us: int | None = None
        self._right_us: int | None = None
        self._disputed = False
        self._told: ClockFix | None = None
        self._asked_s = -_ASKED_AGAIN_S
        self._disciplined = False

    def now_us(self) -> int:
        """Return wall time in microseconds since the epoch."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Return monotonic time in microseconds since some fixed instant of this boot."""
        return time.monotonic_ns() // 1000

    def is_certain(self) -> bool:
        """Whether readings may be dated by the wall time."""
        if self._trusted:
            return True
        if self._agreed_us is not None:
            stepped_us = abs(self.now_us() - self.monotonic_us() - self._agreed_us)
            return stepped_us <= AGREED_US
        if self._disputed:
            return False
        now_s = time.monotonic()
        if now_s - self._asked_s >= _ASKED_AGAIN_S:
            self._asked_s = now_s
            self._disciplined = is_disciplined()
        return self._disciplined

    def compare(self, server_us: int) -> int:
        """Take the cloud's time; return by how many microseconds ours is ahead of it."""
        now_us, monotonic_us = self.now_us(), self.monotonic_us()
        told = _better(self._told, ClockFix(monotonic_us, server_us, AGREED_US, "cloud"))
        self._told = told
        offset_us = now_us - monotonic_us
        if self._right_us is not None and abs(offset_us - self._right_us) > AGREED_US:
            # an answer that waited agrees with a clock that stepped back as far: the best decides
            server_us = told.wall_us + monotonic_us - told.monotonic_us
        ahead_us = now_us - server_us
        if abs(ahead_us) <= AGREED_US:
            self._agreed_us = self._right_us = offset_us
            self._disputed = False
        elif not 0 < ahead_us <= _LATE_US:
            # an answer may have waited on its way, but it cannot come from the future
            self._agreed_us = None
            self._disputed = True
        return ahead_us

    def true_us(self) -> int:
        """Return the time as far as it is known: what is kept for days must not hang on a jump."""
        fix = self.fix()
        return (
            self.now_us() if fix is None else fix.wall_us + self.monotonic_us() - fix.monotonic_us
        )

    def fix(self) -> ClockFix | None:
        """Return the true time as far as it is known: ours where it is certain, else the cloud's.

        The cloud's is as old as its last answer, and late by as long as that took.
        """
        if not self.is_certain():
            return self._told
        source = "operator" if self._trusted else "cloud" if self._agreed_us else "kernel"
        error_us = 0 if source == "operator" else AGREED_US
        return ClockFix(self.monotonic_us(), self.now_us(), error_us, source)


def _better(held: ClockFix | None, told: ClockFix) -> ClockFix:
    # an answer is never early, only late: the one that puts our boot latest took the shortest way
    if held is None or told.monotonic_us - held.monotonic_us > _BEST_OF_US:
        return told
    later = told.wall_us - told.monotonic_us >= held.wall_us - held.monotonic_us
    return told if later else held


def is_disciplined() -> bool:
    """Whether the kernel says that something keeps its clock right; False where it can't say."""
    if Path("/run/systemd/timesync/synchronized").exists():
        return True
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (AttributeError, OSError):
        return False
    state = int(adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    return 0 <= state < _TIME_ERROR
