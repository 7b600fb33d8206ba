"""How long a Modbus RTU frame takes on a serial wire, and the silence around it."""

from dataclasses import dataclass

_FAST_BAUD = 19200
_FAST_SILENCE_S = 0.00175


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A serial line: baud in bits per second, parity N, E or O, and how long a device takes."""

    baud: int = 9600
    bits: int = 8
    parity: str = "N"
    stop_bits: int = 1
    turnaround_s: float = 0.02
    gap_s: float = 0.0

    def __post_init__(self) -> None:
        if self.baud <= 0 or self.bits not in (7, 8) or self.stop_bits not in (1, 2):
            message = (
                f"no such wire: {self.baud} baud, {self.bits} bits, {self.stop_bits} stop bits"
            )
            raise ValueError(message)
        if self.parity not in ("N", "E", "O"):
            message = f"parity: {self.parity!r}: allowed are N, E, O"
            raise ValueError(message)

    @property
    def character_s(self) -> float:
        """Seconds for one character: start bit, data bits, parity bit if any, stop bits."""
        return (1 + self.bits + (self.parity != "N") + self.stop_bits) / self.baud

    @property
    def silence_s(self) -> float:
        """t3.5 that ends a frame; 1.75 ms above 19200 baud (Modbus over serial line, 2.5.1.1)."""
        return _FAST_SILENCE_S if self.baud > _FAST_BAUD else 3.5 * self.character_s

    def frame_s(self, length: int) -> float:
        """Seconds that a frame of `length` bytes occupies the wire, without silences."""
        return length * self.character_s

    def read_s(self, count: int, *, function: int = 3) -> float:
        """Seconds for one whole read of `count` registers (or bits for functions 1 and 2)."""
        data = (count + 7) // 8 if function in (1, 2) else 2 * count
        busy = self.frame_s(8) + self.turnaround_s + self.frame_s(5 + data)
        return busy + self.silence_s + max(self.silence_s, self.gap_s)
