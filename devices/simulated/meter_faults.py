"""What a misbehaving meter says: other words than its registers hold, and other refusals."""

from collections.abc import Sequence
from dataclasses import replace

from devices.data_point import DataPoint
from devices.simulated.faults import Fault
from devices.simulated.load import fraction
from devices.simulated.register_map import Limits, PointRegister, RegisterMap, View
from protocols.errors import ConfigError, DeviceError, LinkError
from protocols.modbus.frames import (
    GATEWAY_NO_ANSWER,
    ILLEGAL_FUNCTION,
    READ_REGISTERS,
    WRITE_MANY,
    WRITE_ONE,
    Request,
)
from protocols.modbus.registers import RegisterType, WordOrder, codecs

_GARBAGE_FROM, _GARBAGE_TO = 1e5, 3.6e8
_THIRD = 3
_Key = tuple[int, int, int]


class MeterFaults:
    """The faults of one meter that change its words; of two of a kind in force the later holds."""

    def __init__(
        self, device: str, registers: RegisterMap, faults: Sequence[Fault], *, seed: int
    ) -> None:
        """ConfigError if a fault speaks of points that the meter has not."""
        self.writes = 0
        self._device = device
        self._map = registers
        self._faults = tuple(faults)
        self._seed = seed
        self._cleared = False
        self._polls: dict[Fault, _Polls] = {}
        self._reads: dict[tuple[Fault, str], int] = {}
        for fault in faults:
            _check(device, fault, registers.registers)

    def check_awake(self, at_us: int) -> None:
        """Pass if the meter answers at all; LinkError, or DeviceError of the gateway before it."""
        for fault in self._faults:
            if fault.at(at_us):
                if fault.kind == "offline":
                    raise DeviceError(f"{self._device} is offline", code=GATEWAY_NO_ANSWER)
                if fault.kind == "silent":
                    raise LinkError(f"{self._device} is silent")

    def takes(self, request: Request, at_us: int) -> bool:
        """Whether the meter accepts this request as a write, which then has happened."""
        writes = request.function in WRITE_ONE or request.function in WRITE_MANY
        if not writes or "writable" not in self._active(at_us):
            return False
        self.writes += 1
        self._cleared = True
        return True

    def words(self, function: int, address: int, count: int, at_us: int) -> tuple[int, ...]:
        """Register words at an instant; DeviceError if it refuses, LinkError if it is mute."""
        self.check_awake(at_us)
        active = self._active(at_us)
        if "span-silent" in active and count > active["span-silent"].number:
            raise LinkError(f"{self._device} is silent to {count} registers")
        if "zeros" in active:
            if function not in READ_REGISTERS:
                raise DeviceError("only registers can be read", code=ILLEGAL_FUNCTION)
            return (0,) * count
        view = self._view(function, address, count, active)
        if "stuck" in active:
            at_us = active["stuck"].from_us
        # every fault counts its polls, also those that another one hides
        polls = {
            kind: self._poll(fault, (function, address, count))
            for kind, fault in active.items()
            if kind in _BY_POLL
        }
        if polls.get("zero-once") == 0:
            return (0,) * count
        words = [0] * view.count
        for register, place, first, last in view.parts:
            shown = self._shown(register, at_us, active, polls)
            words[place : place + last - first] = shown[first:last]
        return tuple(words)

    def _active(self, at_us: int) -> dict[str, Fault]:
        return {fault.kind: fault for fault in self._faults if fault.at(at_us)}

    def _view(self, function: int, address: int, count: int, active: dict[str, Fault]) -> View:
        limits = self._limits(active)
        if "odd-shifted" in active and function in READ_REGISTERS:
            if address % 2 or count % 2:
                return self._map.any_view(function, address + 1, count)
            limits = replace(limits, even=False)
        return self._map.view(function, address, count, limits)

    def _limits(self, active: dict[str, Fault]) -> Limits:
        limits = self._map.limits
        if "span" in active:
            limits = replace(limits, most=min(limits.most, active["span"].number))
        alone = [f.number for f in self._faults if f.kind == "alone" and f in active.values()]
        return Limits(
            even=limits.even or "odd-refused" in active,
            holes=limits.holes and "no-holes" not in active,
            most=limits.most,
            alone=frozenset(alone),
        )

    def _poll(self, fault: Fault, key: _Key) -> int:
        return self._polls.setdefault(fault, _Polls()).number(key)

    def _shown(
        self,
        register: PointRegister,
        at_us: int,
        active: dict[str, Fault],
        polls: dict[str, int],
    ) -> tuple[int, ...]:
        order, point = register.order, register.point
        if "word-order" in active and point.word_order is None:
            order = WordOrder(active["word-order"].name)
        if "not-available" in active:
            return _pattern(_absent(point), point.type, order)
        for kind, chosen in _FIXED.items():
            if kind in active and chosen(register.id, point):
                return _encoded(active[kind].number, point.type, order)
        if polls.get("garbage", 0) % _THIRD == _THIRD - 1:
            return _encoded(self._absurd(register, polls["garbage"]), point.type, order)
        if point.billing:
            raw = self._billed(register, at_us, active, polls)
        else:
            raw = register.raw(register.source(at_us))
        return _encoded(raw, point.type, order)

    def _billed(
        self,
        register: PointRegister,
        at_us: int,
        active: dict[str, Fault],
        polls: dict[str, int],
    ) -> float:
        if self._cleared:
            return 0
        count = register.source(at_us)
        if polls.get("step-back") == 0:
            count -= active["step-back"].number
        bits = self._low_bits(active["differing"], register) if "differing" in active else 0
        if register.is_float:
            # the low bits of a float's pattern would lie below its resolution
            return register.raw(count ^ bits)
        return int(register.raw(count)) ^ bits

    def _absurd(self, register: PointRegister, poll: int) -> float:
        share = fraction(self._seed, self._device, f"garbage {register.id} {poll}")
        value = _GARBAGE_FROM * (_GARBAGE_TO / _GARBAGE_FROM) ** share
        raw: float = value / float(register.point.scale)
        return raw

    def _low_bits(self, fault: Fault, register: PointRegister) -> int:
        key = (fault, register.id)
        read = self._reads[key] = self._reads.get(key, 0) + 1
        if read % 2:
            return 0
        return 1 + int(7 * fraction(self._seed, self._device, f"differing {register.id} {read}"))


class _Polls:
    """Counts polls: one poll is every block once; when a block comes again, the next has begun."""

    def __init__(self) -> None:
        self._number = 0
        self._seen: set[_Key] = set()

    def number(self, key: _Key) -> int:
        """The number of the poll, from 0, that a read of this block belongs to."""
        if key in self._seen:
            self._number += 1
            self._seen.clear()
        self._seen.add(key)
        return self._number


def _check(device: str, fault: Fault, registers: Sequence[PointRegister]) -> None:
    place = f"--fault: {device}={fault.kind}:{fault.number}"
    if fault.kind == "alone" and all(fault.number != r.start for r in registers):
        starts = ", ".join(sorted({f"{register.start:#06x}" for register in registers}))
        message = f"{place}: no point begins at {fault.number:#06x}: allowed are {starts}"
        raise ConfigError(message)
    chosen = _FIXED.get(fault.kind)
    if chosen is None:
        return
    points = [register for register in registers if chosen(register.id, register.point)]
    if not points:
        message = f"{place}: allowed only for a profile that has {_SOUGHT[fault.kind]}"
        raise ConfigError(message)
    for register in points:
        least, most = _bounds(register.point.type)
        if not register.is_float and not least <= fault.number <= most:
            message = f"{place}: allowed for {register.id} are {least}..{most}"
            raise ConfigError(message)


def _is_ratio(point_id: str, point: DataPoint) -> bool:
    del point
    return point_id in ("ct", "pt") or point_id.startswith(("ct_", "pt_"))


def _is_watched(point_id: str, point: DataPoint) -> bool:
    del point_id
    return point.watched


def _absent(point: DataPoint) -> int:
    if point.sentinels:
        return point.sentinels[0]
    return _NAN.get(point.type, (1 << 16 * point.type.word_count) - 1)


def _pattern(bits: int, type_: RegisterType, order: WordOrder) -> tuple[int, ...]:
    words, value = codecs(_UNSIGNED[type_.word_count], order)
    return words.unpack(value.pack(bits))


def _encoded(raw: float, type_: RegisterType, order: WordOrder) -> tuple[int, ...]:
    words, value = codecs(type_, order)
    if not type_.is_float:
        least, most = _bounds(type_)
        raw = min(max(int(raw), least), most)
    return words.unpack(value.pack(raw))


def _bounds(type_: RegisterType) -> tuple[int, int]:
    bits = 16 * type_.word_count
    if type_.value.startswith("u"):
        return 0, (1 << bits) - 1
    return -(1 << bits - 1), (1 << bits - 1) - 1


_BY_POLL = ("zero-once", "step-back", "garbage")
_FIXED = {"ratio": _is_ratio, "setting": _is_watched}
_SOUGHT = {"ratio": "a point ct, pt, ct_... or pt_...", "setting": "watched points"}
_NAN = {RegisterType.FLOAT32: 0x7FC0_0000, RegisterType.FLOAT64: 0x7FF8_0000_0000_0000}
_UNSIGNED = {1: RegisterType.UINT16, 2: RegisterType.UINT32, 4: RegisterType.UINT64}
