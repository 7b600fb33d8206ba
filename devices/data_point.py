"""What a profile says of registers: its data points, and those that no read may touch."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from devices.yaml_file import Strict
from protocols.modbus.registers import RegisterType, WordOrder

Multiplier = Literal["ct", "pt"]
Function = Literal[3, 4]

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^(0[xX][0-9A-Fa-f]+|0|[1-9]\d*)$"


def _whole(value: object) -> object:
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            return value
    return value


def _decimal_text(value: object) -> object:
    try:
        return Decimal(value) if isinstance(value, str) else _refuse(value)
    except InvalidOperation:
        return _refuse(value)


def _refuse(value: object) -> object:
    message = f'{value!r} is no number written as text, like "0.01"'
    raise ValueError(message)


def _whole_schema(most: int) -> WithJsonSchema:
    number = {"type": "integer", "minimum": 0, "maximum": most}
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": _WHOLE}]})


Address = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=0xFFFF), _whole_schema(0xFFFF)]
Bits = Annotated[
    int, BeforeValidator(_whole), Field(ge=0, lt=1 << 64), _whole_schema((1 << 64) - 1)
]
DecimalText = Annotated[
    Decimal,
    BeforeValidator(_decimal_text),
    Field(allow_inf_nan=False),
    WithJsonSchema({"type": "string", "pattern": _NUMBER}),
]


class PointName(Strict):
    """What people call the quantity."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


class ValueRange(Strict):
    """Smallest and largest plausible value in the point's uom, before multipliers."""

    min: DecimalText
    max: DecimalText

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min > self.max:
            message = f"min {self.min} is above max {self.max}"
            raise ValueError(message)
        return self


class DataPoint(Strict):
    """One decodable quantity: value = raw * scale in `uom`, counted in steps of `resolution`."""

    name: PointName
    address: Address = Field(description="Wire address of the first register, counted from 0.")
    type: RegisterType
    uom: str = Field(description="Unit of measure; empty for a bare number.")
    resolution: DecimalText = Field(description='A power of ten as text, like "0.01".')
    function: Function | None = Field(
        default=None, description="Read function, where it is not the profile's."
    )
    word_order: WordOrder | None = Field(
        default=None, description="Byte order on the wire, where it is not the profile's."
    )
    terms: int = Field(
        default=1,
        ge=1,
        le=12,
        description="So many values of this type, one behind the other, that add up to the point.",
    )
    scale: DecimalText = Decimal(1)
    billing: bool = Field(default=False, description="This register is what bills are made from.")
    multiply_by: tuple[Multiplier, ...] = Field(
        default=(), description="Transformer ratios that the value still has to be multiplied by."
    )
    watched: bool = Field(
        default=False,
        description="A setting of the meter that changes what it counts: a change is an alarm.",
    )
    read_alone: bool = Field(
        default=False,
        description="Only a request for exactly these registers gives this value.",
    )
    sentinels: tuple[Bits, ...] = Field(
        default=(), description="Bit patterns that mean: not available."
    )
    range: ValueRange | None = None
    note: str | None = None

    @property
    def exponent(self) -> int:
        """Exponent of the count: value = count * 10**exponent."""
        return self.resolution.adjusted()

    @property
    def word_count(self) -> int:
        """Registers that the point takes."""
        return self.terms * self.type.word_count

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.resolution != Decimal(1).scaleb(self.exponent):
            message = f'resolution {self.resolution}: allowed are powers of ten, like "0.01"'
            raise ValueError(message)
        if self.scale <= 0:
            message = f"scale {self.scale}: allowed are numbers above 0"
            raise ValueError(message)
        if self.billing and self.multiply_by:
            message = (
                "multiply_by: a billing register stays as the meter shows it, use no multiplier"
            )
            raise ValueError(message)
        bits = 16 * self.type.word_count
        if any(sentinel >> bits for sentinel in self.sentinels):
            message = f"sentinels: allowed are bit patterns of {bits} bits"
            raise ValueError(message)
        return self


class Forbidden(Strict):
    """Registers that no read may touch."""

    address: Address
    count: int = Field(ge=1, le=0x10000)
    function: Function | None = Field(default=None, description="Only this one; default: both.")
    reason: str = Field(min_length=1)
