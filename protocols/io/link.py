"""The port of every Modbus link: one read at a time on one bus."""

from typing import Protocol, runtime_checkable


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


@runtime_checkable
class WritingLink(Protocol):
    """What the native backends give besides: one write at a time, sent once and never again."""

    async def write(
        self, unit_id: int, function: int, address: int, values: tuple[int, ...]
    ) -> None:
        """Write coils or registers (5, 6, 15, 16); LinkError, DeviceError or WireError."""
        ...
