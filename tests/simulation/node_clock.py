"""The clock of a simulated machine: shipped code on virtual time."""

from typing import TYPE_CHECKING

from edge.clock import SystemClock

if TYPE_CHECKING:
    from tests.simulation.world import World

_SECOND_US = 1_000_000
_LONGEST_UPTIME_US = 10_000_000 * _SECOND_US


class NodeClock(SystemClock):
    """The shipped clock on wall time that may jump, and monotonic time that begins at each boot."""

    def __init__(self, world: "World", jumped_us: int = 0) -> None:
        super().__init__()
        self._world = world
        self.jumped_us = jumped_us
        self.booted_s = world.loop.now_s
        # a program starts again more often than its machine does
        self._uptime_us = world.more.randrange(_LONGEST_UPTIME_US) if world.plan.undated else 0

    def now_us(self) -> int:
        """Return wall time."""
        return self._world.true_us() + self.jumped_us

    def monotonic_us(self) -> int:
        """Return microseconds since some instant before the boot."""
        passed_s = (self._world.loop.now_s - self.booted_s) * self._world.plan.pace
        return int(passed_s * _SECOND_US) + self._uptime_us
