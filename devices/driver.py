"""The one port of a driver: samples out, through a link, stamped by a clock."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from protocols.errors import DeviceError, LinkError, WireError
from protocols.io.link import ModbusLink
from protocols.modbus.plan import Block

Quality = Literal["good", "missing", "suspect", "out_of_range", "stale"]


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One reading as the device gave it: value = count * 10**exponent in `uom`, with its words.

    `count` is None exactly if the quality is missing; `words` are empty if the device refused.
    """

    point: str
    count: int | None
    exponent: int
    uom: str
    quality: Quality
    words: tuple[int, ...]
    at_us: int
    monotonic_us: int
    billing: bool

    @property
    def value(self) -> Decimal | None:
        """The exact value in `uom`, None if missing."""
        return None if self.count is None else Decimal(self.count).scaleb(self.exponent)


@dataclass(frozen=True, slots=True)
class Poll:
    """What one poll gave: samples, and the blocks that were refused or met by silence or noise."""

    samples: list[Sample]
    refusals: dict[Block, DeviceError]
    failures: dict[Block, LinkError | WireError]


class Clock(Protocol):
    """Where instants come from."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...

    def monotonic_us(self) -> int:
        """Microseconds that never jump, from an arbitrary start."""
        ...


# What a driver reads through.
Link = ModbusLink


class Driver(Protocol):
    """One installed device that can be read."""

    async def read(self, link: Link, clock: Clock) -> list[Sample]:
        """One sample per configured point; LinkError, DeviceError or WireError if there is none."""
        ...
