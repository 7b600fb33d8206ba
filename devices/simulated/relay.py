"""The coils and registers that a simulated device's controls write, counting what was written."""

from collections.abc import Mapping

from devices.control import Control
from protocols.commands import Action
from protocols.errors import DeviceError
from protocols.modbus.frames import (
    ILLEGAL_ADDRESS,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_MANY,
    WRITE_ONE,
    Request,
)

_COILS, _REGISTERS = 1, 3


class Relay:
    """Holds what was written last; `rises` counts how often something was set that was not.

    `sticks` is a relay whose contact is welded: it takes every write and changes nothing.
    """

    def __init__(self, controls: Mapping[Action, Control]) -> None:
        self.rises = 0
        self.writes = 0
        self.sticks = False
        self._held: dict[tuple[int, int], int] = {
            (control.reads, control.address + place): 0
            for control in controls.values()
            for place in range(len(control.values))
        }

    def takes(self, request: Request) -> bool:
        """Whether this request is a write, which then has happened; DeviceError elsewhere."""
        if request.function not in WRITE_ONE and request.function not in WRITE_MANY:
            return False
        kind = _COILS if request.function in (WRITE_COIL, WRITE_COILS) else _REGISTERS
        places = [(kind, request.address + place) for place in range(request.count)]
        if not all(place in self._held for place in places):
            message = f"nothing is written at {request.address:#06x}"
            raise DeviceError(message, code=ILLEGAL_ADDRESS)
        self.writes += 1
        for place, value in zip(places, request.values, strict=True):
            self.rises += value > self._held[place]
            if not self.sticks:
                self._held[place] = value
        return True

    def reads(self, request: Request) -> tuple[int, ...] | None:
        """Return what a read of nothing but our places gives, None for any other request."""
        if request.function not in (_COILS, _REGISTERS):
            return None
        places = [(request.function, request.address + place) for place in range(request.count)]
        held = [self._held.get(place) for place in places]
        return tuple(value for value in held if value is not None) if None not in held else None
