"""How a misbehaving meter sends: when its replies come, and what its frames look like."""

from collections.abc import Sequence
from dataclasses import dataclass

from devices.simulated.faults import Fault
from devices.simulated.load import fraction
from protocols.modbus.frames import rtu_frame, tcp_frame

_MUTE_S = 3.0
_REQUESTS_TO_REBOOT = 3
_SAFE_BYTES = 9
# At 2 % the sampling point leaves the bit within a frame; this is how much likelier per byte.
_FLIP_PER_BYTE = 0.02
_FLIP_MOST = 0.9


@dataclass(frozen=True, slots=True)
class Timing:
    """When a reply begins: `after_s` from the request's end; a late one lets others overtake."""

    after_s: float = 0.0
    late: bool = False
    quick: bool = False


PROMPT = Timing()


class LineFaults:
    """The faults of one meter that change timing and frames; servers ask it around each reply.

    `at_us` is site time, which says which faults are in force; instants in `_s` are of one
    monotonic clock, real seconds.
    """

    def __init__(self, device: str, faults: Sequence[Fault], *, seed: int) -> None:
        self._device = device
        self._faults = tuple(faults)
        self._seed = seed
        self._replies = 0
        self._was_late: set[Fault] = set()
        self._replied_at_s = float("-inf")
        self._asked_at_s = float("-inf")
        self._run = 0
        self._mute_until_s = float("-inf")

    def hears(self, at_us: int, arrived_s: float) -> bool:
        """Whether the meter takes notice of a request that arrives now; call it once for each."""
        active = self._active(at_us)
        if "reboots" in active and not self._stays_up(active["reboots"], arrived_s):
            return False
        pause = active.get("pause")
        return pause is None or arrived_s >= self._replied_at_s + pause.number / 1000

    def timing(self, at_us: int) -> Timing:
        """When the reply that is now ready is to begin."""
        active = self._active(at_us)
        late = active.get("late")
        if late is not None and late not in self._was_late:
            self._was_late.add(late)
            return Timing(after_s=late.number / 1000, late=True)
        after_s = active["slow"].number / 1000 if "slow" in active else 0.0
        return Timing(after_s=after_s, quick="quick" in active)

    def replied(self, ends_s: float) -> None:
        """Note when a reply ends, or will end."""
        self._replied_at_s = max(self._replied_at_s, ends_s)

    def rtu(self, unit_id: int, pdu: bytes, at_us: int) -> bytes:
        """The bytes that arrive on a serial line for one reply."""
        active = self._active(at_us)
        self._replies += 1
        frame = rtu_frame(self._unit(unit_id, active), pdu)
        if "duplicate" in active:
            frame = self._mixed(frame)
        if "spoiled" in active:
            frame = frame[:-2] + bytes((frame[-2] ^ 0xFF, frame[-1] ^ 0xFF))
        if "drift" in active:
            frame = self._drifted(frame)
        return b"\0" + frame if "stray-byte" in active else frame

    def tcp(self, transaction_id: int, unit_id: int, pdu: bytes, at_us: int) -> bytes:
        """The bytes that arrive on a TCP connection for one reply."""
        active = self._active(at_us)
        self._replies += 1
        if "wrong-transaction" in active:
            transaction_id = (transaction_id + 1) & 0xFFFF
        if "no-transaction" in active:
            transaction_id = 0
        frame = tcp_frame(transaction_id, self._unit(unit_id, active), pdu)
        return frame[:-1] if "spoiled" in active else frame

    def _active(self, at_us: int) -> dict[str, Fault]:
        return {fault.kind: fault for fault in self._faults if fault.at(at_us)}

    def _stays_up(self, fault: Fault, arrived_s: float) -> bool:
        if arrived_s < self._mute_until_s:
            return False
        hasty = arrived_s - self._asked_at_s < fault.number / 1000
        self._run = self._run + 1 if hasty else 1
        self._asked_at_s = arrived_s
        if self._run < _REQUESTS_TO_REBOOT:
            return True
        self._run, self._asked_at_s = 0, float("-inf")
        self._mute_until_s = arrived_s + _MUTE_S
        return False

    def _unit(self, unit_id: int, active: dict[str, Fault]) -> int:
        return (unit_id + 1) & 0xFF if "wrong-unit" in active else unit_id

    def _mixed(self, frame: bytes) -> bytes:
        """Both meters' frames as the line carries them: a 0 of either one wins over a 1."""
        data = bytes(
            byte ^ int(256 * self._chance(f"other {place}"))
            for place, byte in enumerate(frame[3:-2])
        )
        other = rtu_frame(frame[0], frame[1:3] + data)
        later = 1 + int(3 * self._chance("later"))
        first, second = frame + b"\xff" * later, b"\xff" * later + other
        return bytes(one & two for one, two in zip(first, second, strict=True))

    def _drifted(self, frame: bytes) -> bytes:
        drifted = bytearray(frame)
        if len(frame) > _SAFE_BYTES:
            for place in range(_SAFE_BYTES, len(frame)):
                likely = min(_FLIP_MOST, (place - _SAFE_BYTES + 1) * _FLIP_PER_BYTE)
                chance = self._chance(f"drift {place}")
                if chance < likely:
                    # the last bits of a byte are sampled furthest from its start bit
                    drifted[place] ^= 0x80 if chance < likely / 2 else 0x40
        return bytes(drifted)

    def _chance(self, topic: str) -> float:
        return fraction(self._seed, self._device, f"reply {self._replies} {topic}")
