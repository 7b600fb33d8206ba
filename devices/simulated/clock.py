"""The site's own time: it starts at an anchor and runs as fast as the demo wants."""

import time


class SimClock:
    """Site time = anchor + (monotonic - origin) * speed; given these three, equal everywhere.

    The origin is on CLOCK_MONOTONIC, which all processes of a machine share.
    """

    def __init__(
        self,
        speed: float = 1.0,
        *,
        anchor_us: int | None = None,
        origin_us: int | None = None,
    ) -> None:
        """Without anchor and origin, site time is the wall's now."""
        if speed <= 0:
            message = f"speed {speed}: allowed are numbers above 0"
            raise ValueError(message)
        self.speed = speed
        self.origin_us = time.monotonic_ns() // 1000 if origin_us is None else origin_us
        self.anchor_us = time.time_ns() // 1000 if anchor_us is None else anchor_us

    def now_us(self) -> int:
        """Site time in microseconds since the epoch, UTC."""
        return self.anchor_us + self._run_us()

    def monotonic_us(self) -> int:
        """Microseconds that never jump, at the site's speed."""
        return self.origin_us + self._run_us()

    def _run_us(self) -> int:
        return int((time.monotonic_ns() // 1000 - self.origin_us) * self.speed)
