"""A device profile: what one model of meter offers, at which registers, in which units."""

from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from devices.yaml_file import Strict, load_yaml
from protocols.errors import ConfigError
from protocols.modbus.plan import MAX_REGISTERS, Span
from protocols.modbus.registers import RegisterType, WordOrder


class ProfileError(ConfigError):
    """A profile is unknown or its file is wrong."""


Medium = Literal["electric", "water"]
Multiplier = Literal["ct", "pt"]


def _address(value: object) -> object:
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


Address = Annotated[int, BeforeValidator(_address), Field(ge=0, le=0xFFFF)]
Bits = Annotated[int, BeforeValidator(_address), Field(ge=0, lt=1 << 64)]
DecimalText = Annotated[Decimal, BeforeValidator(_decimal_text), Field(allow_inf_nan=False)]


class PointName(Strict):
    """What people call the quantity."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


class ValueRange(Strict):
    """Smallest and largest plausible value in the point's uom, before multipliers."""

    min: DecimalText
    max: DecimalText


class DataPoint(Strict):
    """One decodable quantity: value = raw * scale in `uom`, counted in steps of `resolution`."""

    name: PointName
    address: Address
    type: RegisterType
    uom: str
    resolution: DecimalText
    function: Literal[3, 4] | None = None
    word_order: WordOrder | None = None
    scale: DecimalText = Decimal(1)
    billing: bool = False
    multiply_by: tuple[Multiplier, ...] = ()
    sentinels: tuple[Bits, ...] = ()
    range: ValueRange | None = None
    note: str | None = None

    @property
    def exponent(self) -> int:
        """Exponent of the count: value = count * 10**exponent."""
        return self.resolution.adjusted()

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


class Serial(Strict):
    """The serial line as the maker ships the meter."""

    baud: int = Field(gt=0)
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


class Rules(Strict):
    """What a request must respect; `holes` says which registers between points may be read."""

    even: bool = False
    min_gap_ms: int = Field(default=50, ge=0, le=10_000)
    holes: Literal["none", "known", "any"] = "known"


class Profile(Strict):
    """One model of meter."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    maker: str
    model: str
    medium: Medium
    source: tuple[str, ...] = Field(min_length=1)
    function: Literal[3, 4]
    word_order: WordOrder = WordOrder.ABCD
    max_registers: int = Field(default=MAX_REGISTERS, ge=1, le=MAX_REGISTERS)
    serial: Serial | None = None
    rules: Rules = Rules()
    notes: tuple[str, ...] = ()
    points: dict[str, DataPoint] = Field(min_length=1)

    def span(self, point: str) -> Span:
        """Registers of a point; KeyError if the profile has no such point."""
        wanted = self.points[point]
        return Span(wanted.function or self.function, wanted.address, wanted.type.word_count)

    def order(self, point: str) -> WordOrder:
        """Word order of a point: its own or the profile's."""
        return self.points[point].word_order or self.word_order

    def readable(self) -> list[Span] | None:
        """Registers that a block may touch besides the wanted ones; None for any."""
        if self.rules.holes == "any":
            return None
        return [] if self.rules.holes == "none" else [self.span(point) for point in self.points]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for point_id in self.points:
            span = self.span(point_id)
            if self.rules.even and (span.address % 2 or span.count % 2):
                message = f"points.{point_id}.address: {span.address:#06x}: must be even here"
                raise ValueError(message)
            if span.count > self.max_registers:
                message = f"points.{point_id}: {span.count} registers, max_registers allows fewer"
                raise ValueError(message)
        return self


def profiles_folder() -> Path:
    """Where the profiles lie: packaged beside this module, else in the checkout."""
    here = Path(__file__).resolve().parent
    packaged = here / "firmware-configs" / "profiles"
    return packaged if packaged.is_dir() else here.parent / "firmware-configs" / "profiles"


def profile_ids() -> list[str]:
    """Ids of all profiles that ship with the program, sorted."""
    return sorted(path.stem for path in profiles_folder().glob("*.yaml"))


def load_profile(id_or_path: str | Path) -> Profile:
    """A profile by id, or by path of a YAML file; ProfileError naming file, key, value, allowed."""
    if isinstance(id_or_path, Path) or id_or_path.endswith((".yaml", ".yml")):
        return _read(Path(id_or_path))
    return _shipped(id_or_path)


@cache
def _shipped(profile_id: str) -> Profile:
    known = profile_ids()
    if profile_id not in known:
        message = f"profile: {profile_id!r}: allowed are {', '.join(known)}, or a path"
        raise ProfileError(message)
    path = profiles_folder() / f"{profile_id}.yaml"
    profile = _read(path)
    if profile.id != profile_id:
        message = f"{path}: id: {profile.id!r}: must be the file's name"
        raise ProfileError(message)
    return profile


def _read(path: Path) -> Profile:
    try:
        return load_yaml(path, Profile)
    except ConfigError as error:
        raise ProfileError(*error.faults) from error
