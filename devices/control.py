"""What can be done to a device: which coil or register is written for which action."""

from typing import Literal, Self

from pydantic import Field, model_validator

from devices.data_point import Address
from devices.yaml_file import Strict
from protocols.commands import Action
from protocols.modbus.requests import WRITE_COIL, WRITE_COILS, WRITE_MANY

_LAST = 0xFFFF

# what is done to a device itself; the rest a gateway does by its own means
CONTROLLED = (
    Action.PULSE,
    Action.OPEN_VALVE,
    Action.CLOSE_VALVE,
    Action.SWITCH_ON,
    Action.SWITCH_OFF,
)


class Control(Strict):
    """One write, and what reads back when it has happened: the same values at the same place.

    A pulse also has what is written when it is over.
    """

    function: Literal[5, 6, 15, 16]
    address: Address
    values: tuple[int, ...] = Field(min_length=1, max_length=16)
    rest: tuple[int, ...] = Field(default=(), description="What is written when a pulse is over.")
    source: str = Field(min_length=1, description="Where it can be read that this is so.")

    @property
    def reads(self) -> int:
        """The function that reads back what was written."""
        return 1 if self.is_bits else 3

    @property
    def is_bits(self) -> bool:
        """Whether coils are written, and no registers."""
        return self.function in (WRITE_COIL, WRITE_COILS)

    @model_validator(mode="after")
    def _check(self) -> Self:
        most = 1 if self.is_bits else _LAST
        for key, values in (("values", self.values), ("rest", self.rest)):
            if not all(0 <= value <= most for value in values):
                message = f"{key}: {list(values)}: allowed are 0..{most}"
                raise ValueError(message)
        if self.function not in WRITE_MANY and len(self.values) > 1:
            message = f"values: {list(self.values)}: function {self.function} writes one"
            raise ValueError(message)
        if self.rest and (len(self.rest) != len(self.values) or self.rest == self.values):
            message = f"rest: {list(self.rest)}: allowed are as many values, and others"
            raise ValueError(message)
        if self.address + len(self.values) - 1 > _LAST:
            message = f"address: {self.address:#06x}: {len(self.values)} values go beyond 0xffff"
            raise ValueError(message)
        return self


def controls_fault(controls: dict[Action, Control]) -> str | None:
    """What is wrong with a profile's controls, None if nothing is."""
    for action, control in controls.items():
        if action not in CONTROLLED:
            return f"controls.{action}: allowed are {', '.join(CONTROLLED)}"
        if bool(control.rest) is not (action is Action.PULSE):
            return f"controls.{action}.rest: a pulse has it, and nothing else"
    return None
