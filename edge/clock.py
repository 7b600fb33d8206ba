"""Clocks of the gateway: the system's, and one that is moved by hand."""

import time


class SystemClock:
    """Wall and monotonic time of this machine."""

    def now_us(self) -> int:
        """Return wall time in microseconds since the epoch."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Return monotonic time in microseconds since some fixed instant of this boot."""
        return time.monotonic_ns() // 1000


class VirtualClock:
    """A clock that stands still until it is moved, for polling a recorded past."""

    def __init__(self, at_us: int) -> None:
        self.at_us = at_us

    def now_us(self) -> int:
        """Return the instant the clock was moved to."""
        return self.at_us

    def monotonic_us(self) -> int:
        """Return the same instant: a virtual clock never steps."""
        return self.at_us
