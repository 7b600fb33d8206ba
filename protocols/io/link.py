"""The port of every Modbus link: one read at a time on one bus."""

from typing import Protocol


class ModbusLink(Protocol):
    """What every backend gives: one read at a time on one bus."""

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        """Words (or bits) of one read; LinkError, DeviceError or WireError.

        The answer may take the bus's timeout, or `patience_s` where that is longer.
        """
        ...

    async def close(self) -> None:
        """Release the bus; the next transact opens it again."""
        ...
