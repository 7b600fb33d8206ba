"""The simulated meters without any wire: answers at once, at the instant of a given clock."""

from collections.abc import Mapping

from devices.driver import Clock
from devices.simulated.meter import SimulatedMeter
from protocols.errors import LinkError


class MemoryLink:
    """A link to the meters of one bus; `answer` is its synchronous, unpaced form."""

    def __init__(self, meters: Mapping[int, SimulatedMeter], clock: Clock) -> None:
        """`meters` by unit id, as `Site.on_bus` gives them."""
        self._meters = meters
        self._now_us = clock.now_us

    def answer(self, unit_id: int, function: int, address: int, count: int) -> tuple[int, ...]:
        """Words of one read at the clock's now; LinkError, DeviceError."""
        meter = self._meters.get(unit_id)
        if meter is None:
            message = f"no meter with unit id {unit_id}"
            raise LinkError(message)
        return meter.words(function, address, count, self._now_us())

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        """As `answer`."""
        del patience_s
        return self.answer(unit_id, function, address, count)

    async def close(self) -> None:
        """Nothing is held."""
