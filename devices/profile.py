"""A device profile: what one model of meter offers, at which registers, in which units."""

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from devices.control import Control, controls_fault
from devices.data_point import DataPoint, Forbidden, Function
from devices.fingerprint import Fingerprint
from devices.variant import Variant, applied
from devices.yaml_file import Strict, load_yaml
from protocols.commands import Action
from protocols.errors import ConfigError
from protocols.modbus.plan import MAX_REGISTERS, Block, Span
from protocols.modbus.registers import RegisterType, WordOrder, decode, to_count


class ProfileError(ConfigError):
    """A profile is unknown or its file is wrong."""


Medium = Literal["electric", "water"]
Evidence = Literal["maker-text", "two-sources", "one-source"]
FUNCTIONS: tuple[Function, ...] = (3, 4)


class Serial(Strict):
    """The serial line as the maker ships the meter."""

    baud: int = Field(gt=0)
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


class Rules(Strict):
    """What a request must respect; `holes` says which registers between points may be read."""

    even: bool = Field(default=False, description="Start and count of a read must be even.")
    min_gap_ms: int = Field(default=50, ge=0, le=10_000)
    holes: Literal["none", "known", "any"] = "known"


class Profile(Strict):
    """One model of meter."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="The file's name.")
    maker: str
    model: str
    medium: Medium
    source: tuple[str, ...] = Field(min_length=1, description="Where each fact can be read.")
    evidence: Evidence = Field(default="one-source", description="How well the map is known.")
    function: Function
    word_order: WordOrder = WordOrder.ABCD
    max_registers: int = Field(default=MAX_REGISTERS, ge=1, le=MAX_REGISTERS)
    timeout_ms: int | None = Field(
        default=None, ge=10, le=60_000, description="Least time to wait for a reply."
    )
    serial: Serial | None = None
    rules: Rules = Rules()
    forbidden: tuple[Forbidden, ...] = ()
    fingerprint: Fingerprint | None = None
    notes: tuple[str, ...] = ()
    points: dict[str, DataPoint] = Field(min_length=1)
    controls: dict[Action, Control] = Field(
        default={}, description="What can be done to it, where the gateway file allows it."
    )
    variants: dict[str, Variant] = {}

    def span(self, point: str) -> Span:
        """Registers of a point; KeyError if the profile has no such point."""
        wanted = self.points[point]
        return Span(wanted.function or self.function, wanted.address, wanted.word_count)

    def order(self, point: str) -> WordOrder:
        """Word order of a point: its own or the profile's."""
        return self.points[point].word_order or self.word_order

    def readable(self) -> list[Span] | None:
        """Registers that a block may touch besides the wanted ones; None for any."""
        if self.rules.holes == "any":
            return None
        known = [] if self.rules.holes == "none" else self.points
        return [self.span(point) for point in known]

    def alone(self) -> list[Span]:
        """Registers that only a request of their own reads."""
        return [self.span(point) for point in self.points if self.points[point].read_alone]

    def untouchable(self) -> list[Span]:
        """Registers that no block may touch."""
        return [
            Span(function, hole.address, hole.count)
            for hole in self.forbidden
            for function in FUNCTIONS
            if hole.function in (None, function)
        ]

    def identification(self) -> Block | None:
        """The read whose answer `recognises` judges; None if the profile has no fingerprint."""
        mark = self.fingerprint
        if mark is None:
            return None
        if mark.point is not None:
            span = self.span(mark.point)
            return Block(span.function, span.address, span.count)
        # the model has seen to it that a fingerprint without a point has all three
        return Block(mark.function or self.function, mark.address or 0, mark.count or 1)

    def recognises(self, words: tuple[int, ...]) -> bool:
        """Whether these words, the answer to `identification`, come from this model."""
        mark = self.fingerprint
        if mark is None or mark.point is None or mark.range is None:
            return mark is not None and mark.expects(words)
        point = self.points[mark.point]
        if len(words) != point.type.word_count or point.terms > 1:
            return False
        steps = to_count(
            decode(words, point.type, self.order(mark.point)),
            scale=point.scale,
            resolution_exponent=point.exponent,
            double=point.type is RegisterType.FLOAT64,
        )
        if steps is None:
            return False
        return mark.range.min <= Decimal(steps).scaleb(point.exponent) <= mark.range.max

    def variant(self, name: str) -> "Profile":
        """This profile with a variant's overrides; ProfileError if it has none of that name."""
        if name not in self.variants:
            known = ", ".join(self.variants) or "none: this profile has no variants"
            message = f"variant: {name!r}: allowed for {self.id} are {known}"
            raise ProfileError(message)
        base = self.model_dump_json(exclude_unset=True, exclude={"variants"})
        return Profile.model_validate_json(applied(base, self.variants[name]))

    @model_validator(mode="after")
    def _check(self) -> Self:
        forbidden = self.untouchable()
        for point_id in self.points:
            span = self.span(point_id)
            if self.rules.even and (span.address % 2 or span.count % 2):
                message = f"points.{point_id}.address: {span.address:#06x}: must be even here"
                raise ValueError(message)
            if span.count > self.max_registers:
                message = f"points.{point_id}: {span.count} registers, max_registers allows fewer"
                raise ValueError(message)
            if any(span.overlaps(hole) for hole in forbidden):
                message = f"points.{point_id}.address: {span.address:#06x}: is forbidden here"
                raise ValueError(message)
        mark = self.fingerprint
        if mark is not None and mark.point is not None and mark.point not in self.points:
            message = f"fingerprint.point: {mark.point!r}: allowed are {', '.join(self.points)}"
            raise ValueError(message)
        for name in self.variants:
            self._check_variant(name)
        if (fault := controls_fault(self.controls)) is not None:
            raise ValueError(fault)
        return self

    def _check_variant(self, name: str) -> None:
        try:
            self.variant(name)
        except ValidationError as error:
            faults = error.errors(include_url=False)
            told = "; ".join(
                ".".join([*map(str, fault["loc"]), f" {fault['msg']}"]) for fault in faults
            )
            message = f"variants.{name}: {told}"
            raise ValueError(message) from error
        except ValueError as error:
            message = f"variants.{name}: {error}"
            raise ValueError(message) from error


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
