"""A clock that is moved by hand: for polling a recorded past, and for tests."""


class VirtualClock:
    """Stands at `at_us` until somebody moves it."""

    def __init__(self, at_us: int) -> None:
        self.at_us = at_us

    def now_us(self) -> int:
        """The instant it was set to, microseconds since the epoch, UTC."""
        return self.at_us

    def monotonic_us(self) -> int:
        """The same instant: virtual time never jumps back."""
        return self.at_us

    def is_certain(self) -> bool:
        """Its time is what it was set to."""
        return True
