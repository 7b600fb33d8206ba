"""A simulated meter: its profile's registers, filled from its sources at any instant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from struct import Struct

from devices.profile import Profile
from devices.simulated.faults import Fault
from devices.simulated.quantities import Source
from protocols.errors import DeviceError, LinkError, WireError
from protocols.modbus.frames import (
    GATEWAY_NO_ANSWER,
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    READ_REGISTERS,
    Request,
    exception_pdu,
    parse_request_pdu,
    reply_pdu,
)
from protocols.modbus.registers import codecs


@dataclass(frozen=True, slots=True)
class _Register:
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

    def read(self, at_us: int) -> tuple[int, ...]:
        raw = self.source(at_us) * self.numerator
        number = raw / self.denominator if self.is_float else raw // self.denominator
        return self.words.unpack(self.value.pack(number))


@dataclass(frozen=True, slots=True)
class _View:
    """Which registers fill one block; `only` where the block is exactly one point."""

    count: int
    parts: tuple[tuple[_Register, int, int, int], ...]
    only: _Register | None


class SimulatedMeter:
    """Answers reads as the real meter of its profile would, misbehaving where a fault says so."""

    def __init__(
        self,
        device: str,
        profile: Profile,
        sources: Mapping[str, Source],
        *,
        faults: Sequence[Fault] = (),
    ) -> None:
        """`sources` gives each of the profile's points its count at an instant."""
        self.device = device
        self.profile = profile
        self.faults = tuple(faults)
        self._registers = tuple(_register(profile, point, sources[point]) for point in sources)
        self._views: dict[tuple[int, int, int], _View] = {}
        self._zeroed: dict[Fault, set[tuple[int, int, int]]] = {}

    def words(self, function: int, address: int, count: int, at_us: int) -> tuple[int, ...]:
        """Register words at an instant; DeviceError if it refuses, LinkError if it is mute."""
        key = (function, address, count)
        active = [fault for fault in self.faults if fault.at(at_us)] if self.faults else ()
        for fault in active:
            at_us = self._suffer(fault, at_us)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._look(function, address, count)
        if any(fault.kind == "zero-once" and self._zero(fault, key) for fault in active):
            return (0,) * count
        if view.only is not None:
            return view.only.read(at_us)
        words = [0] * view.count
        for register, place, first, last in view.parts:
            words[place : place + last - first] = register.read(at_us)[first:last]
        return tuple(words)

    def reply(self, unit_id: int, pdu: bytes, at_us: int) -> bytes | None:
        """The reply PDU to a request PDU, None if the meter says nothing."""
        try:
            request = parse_request_pdu(unit_id, pdu)
            return reply_pdu(request, self._read(request, at_us))
        except DeviceError as error:
            return exception_pdu(pdu[0] if pdu else 0, error.code)
        except (LinkError, WireError):
            return None

    def _read(self, request: Request, at_us: int) -> tuple[int, ...]:
        return self.words(request.function, request.address, request.count, at_us)

    def _look(self, function: int, address: int, count: int) -> _View:
        if function not in READ_REGISTERS:
            # Writes reset totals and move valves in these meters; here nothing can be written.
            raise DeviceError("only registers can be read", code=ILLEGAL_FUNCTION)
        rules = self.profile.rules
        if rules.even and (address % 2 or count % 2):
            raise DeviceError("start and count must be even", code=ILLEGAL_ADDRESS)
        if count > self.profile.max_registers:
            raise DeviceError("too many registers", code=ILLEGAL_VALUE)
        end = address + count
        inside = [
            register
            for register in self._registers
            if register.function == function and register.start < end and address < register.end
        ]
        known = {a for register in inside for a in range(register.start, register.end)}
        # Meters that let holes be read answer them with 0, but not a range they know nothing of.
        complete = known.issuperset(range(address, end))
        if not inside or not (complete or rules.holes == "any"):
            raise DeviceError("no such register", code=ILLEGAL_ADDRESS)
        parts = tuple(
            (
                register,
                max(register.start, address) - address,
                max(register.start, address) - register.start,
                min(register.end, end) - register.start,
            )
            for register in inside
        )
        first = inside[0]
        only = first if (first.start, first.end) == (address, end) else None
        return _View(count, parts, only)

    def _suffer(self, fault: Fault, at_us: int) -> int:
        if fault.kind == "offline":
            raise DeviceError(f"{self.device} is offline", code=GATEWAY_NO_ANSWER)
        if fault.kind == "silent":
            raise LinkError(f"{self.device} is silent")
        return fault.from_us if fault.kind == "stuck" else at_us

    def _zero(self, fault: Fault, key: tuple[int, int, int]) -> bool:
        # One poll is every block once: when a block comes again, the next poll has begun.
        seen = self._zeroed.setdefault(fault, set())
        if key in seen or (0, 0, 0) in seen:
            seen.add((0, 0, 0))
            return False
        seen.add(key)
        return True


def _register(profile: Profile, point_id: str, source: Source) -> _Register:
    point, span = profile.points[point_id], profile.span(point_id)
    raw_per_count = Fraction(10) ** point.exponent / Fraction(point.scale)
    words, value = codecs(point.type, profile.order(point_id))
    return _Register(
        span.function,
        span.address,
        span.end,
        source,
        raw_per_count.numerator,
        raw_per_count.denominator,
        point.type.is_float,
        words,
        value,
    )
