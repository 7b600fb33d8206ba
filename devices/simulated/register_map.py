"""Where the points of a simulated meter lie, and which blocks it lets be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from struct import Struct

from devices.data_point import DataPoint
from devices.profile import Profile
from devices.simulated.quantities import Source
from protocols.errors import DeviceError
from protocols.modbus.frames import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    READ_REGISTERS,
)
from protocols.modbus.registers import WordOrder, codecs


@dataclass(frozen=True, slots=True)
class PointRegister:
    """One point's place on the wire and the way from its count to its words."""

    function: int
    start: int
    end: int
    source: Source
    numerator: int
    denominator: int
    is_float: bool
    words: Struct
    value: Struct
    id: str
    point: DataPoint
    order: WordOrder

    def read(self, at_us: int) -> tuple[int, ...]:
        """The words at an instant."""
        raw = self.source(at_us) * self.numerator
        number = raw / self.denominator if self.is_float else raw // self.denominator
        return self.words.unpack(self.value.pack(number))

    def raw(self, count: int) -> float:
        """What the register holds for a count: an integer unless the type is a float."""
        raw = count * self.numerator
        return raw / self.denominator if self.is_float else raw // self.denominator


@dataclass(frozen=True, slots=True)
class View:
    """Which registers fill one block; `only` where the block is exactly one point."""

    count: int
    parts: tuple[tuple[PointRegister, int, int, int], ...]
    only: PointRegister | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a meter refuses: odd reads, registers between points, long blocks, company."""

    even: bool
    holes: bool
    most: int
    alone: frozenset[int]


class RegisterMap:
    """The registers of one meter and the views on them, each made once."""

    def __init__(self, profile: Profile, sources: Mapping[str, Source]) -> None:
        """`sources` gives each of the profile's points its count at an instant."""
        # a sum has no registers of its own: it is what the points at its place say
        own = [point for point in sources if profile.points[point].terms == 1]
        self.registers = tuple(_register(profile, point, sources[point]) for point in own)
        self.limits = Limits(
            even=profile.rules.even,
            holes=profile.rules.holes == "any",
            most=profile.max_registers,
            alone=frozenset(),
        )
        self._forbidden = profile.untouchable()
        self._views: dict[tuple[int, int, int, Limits], View] = {}

    def view(self, function: int, address: int, count: int, limits: Limits) -> View:
        """The registers that answer a read; DeviceError if the meter refuses it."""
        key = (function, address, count, limits)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._look(function, address, count, limits)
        return view

    def any_view(self, function: int, address: int, count: int) -> View:
        """The registers in a block, whatever the meter's rules say of it."""
        return _view(address, count, self._inside(function, address, address + count))

    def _look(self, function: int, address: int, count: int, limits: Limits) -> View:
        if function not in READ_REGISTERS:
            # Writes reset totals and move valves in these meters; here nothing can be written.
            raise DeviceError("only registers can be read", code=ILLEGAL_FUNCTION)
        if limits.even and (address % 2 or count % 2):
            raise DeviceError("start and count must be even", code=ILLEGAL_ADDRESS)
        if count > limits.most:
            raise DeviceError("too many registers", code=ILLEGAL_VALUE)
        end = address + count
        if any(
            hole.function == function and hole.address < end and address < hole.end
            for hole in self._forbidden
        ):
            raise DeviceError("a forbidden register", code=ILLEGAL_ADDRESS)
        inside = self._inside(function, address, end)
        apart = [r for r in inside if r.point.read_alone or r.start in limits.alone]
        exact = [r for r in apart if (r.start, r.end) == (address, end)]
        inside = exact or [r for r in inside if r not in apart]
        known = {a for register in inside for a in range(register.start, register.end)}
        for register in apart:
            # Its registers may lie in a longer block only as those of another point.
            touched = range(max(register.start, address), min(register.end, end))
            if not known.issuperset(touched):
                raise DeviceError("a register that is read alone", code=ILLEGAL_ADDRESS)
        # Meters that let holes be read answer them with 0, but not a range they know nothing of.
        if not inside or not (limits.holes or known.issuperset(range(address, end))):
            raise DeviceError("no such register", code=ILLEGAL_ADDRESS)
        return _view(address, count, inside)

    def _inside(self, function: int, address: int, end: int) -> list[PointRegister]:
        return [
            register
            for register in self.registers
            if register.function == function and register.start < end and address < register.end
        ]


def _view(address: int, count: int, inside: list[PointRegister]) -> View:
    end = address + count
    parts = tuple(
        (
            register,
            max(register.start, address) - address,
            max(register.start, address) - register.start,
            min(register.end, end) - register.start,
        )
        for register in inside
    )
    whole = inside and (inside[0].start, inside[0].end) == (address, end)
    return View(count, parts, inside[0] if whole else None)


def _register(profile: Profile, point_id: str, source: Source) -> PointRegister:
    point, span, order = profile.points[point_id], profile.span(point_id), profile.order(point_id)
    raw_per_count = Fraction(10) ** point.exponent / Fraction(point.scale)
    words, value = codecs(point.type, order)
    return PointRegister(
        span.function,
        span.address,
        span.end,
        source,
        raw_per_count.numerator,
        raw_per_count.denominator,
        point.type.is_float,
        words,
        value,
        point_id,
        point,
        order,
    )
