"""Where a scan looks: serial line settings in the order of likelihood, and unit ids."""

import termios
from dataclasses import dataclass
from itertools import product
from typing import Literal, cast, get_args

from protocols.errors import ConfigError

Parity = Literal["N", "E", "O"]
StopBits = Literal[1, 2]


@dataclass(frozen=True, slots=True)
class LineSetting:
    """How characters lie on a serial line; 8 data bits always."""

    baud: int
    parity: Parity
    stop_bits: StopBits

    def __str__(self) -> str:
        return f"{self.baud}-8{self.parity}{self.stop_bits}"


LIKELY = (
    LineSetting(9600, "N", 1),
    LineSetting(9600, "E", 1),
    LineSetting(9600, "N", 2),
    LineSetting(2400, "N", 1),
    LineSetting(19200, "N", 1),
    LineSetting(19200, "E", 1),
    LineSetting(4800, "N", 1),
    LineSetting(115200, "N", 1),
)


def settings_to_try(bauds: str = "", parities: str = "", stop_bits: str = "") -> list[LineSetting]:
    """Line settings for three comma-separated options, empty for any, the likely ones first.

    Without options only the likely ones; ConfigError naming option, value and what is allowed.
    """
    if not (bauds or parities or stop_bits):
        return list(LIKELY)
    chosen = product(
        _bauds(bauds) or list(dict.fromkeys(line.baud for line in LIKELY)),
        _chosen("--parities", parities.upper(), get_args(Parity)) or ["N", "E"],
        _chosen("--stop-bits", stop_bits, tuple(map(str, get_args(StopBits)))) or ["1", "2"],
    )
    tried = [
        LineSetting(baud, cast("Parity", parity), cast("StopBits", int(stops)))
        for baud, parity, stops in dict.fromkeys(chosen)
        # nobody ships a parity bit and two stop bits: only where it was asked for
        if parity == "N" or stops == "1" or stop_bits
    ]
    return sorted(tried, key=lambda line: LIKELY.index(line) if line in LIKELY else len(LIKELY))


def unit_ids(text: str, *, least: int, most: int) -> list[int]:
    """Unit ids of text like "1-20,33", in its order, none twice; ConfigError."""
    found: list[int] = []
    for part in _parts(text):
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            message = f"--units: {part!r}: allowed are ids and ranges, like 1-20,33"
            raise ConfigError(message)
        ids = range(int(first), int(last or first) + 1)
        if not ids or ids[0] < least or ids[-1] > most:
            message = f"--units: {part!r}: allowed here are {least}..{most}, smaller id first"
            raise ConfigError(message)
        found += ids
    if not found:
        message = f"--units: {text!r}: allowed are ids and ranges, like 1-20,33"
        raise ConfigError(message)
    return list(dict.fromkeys(found))


def _bauds(text: str) -> list[int]:
    offered = sorted(
        int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdecimal()
    )
    offered = [baud for baud in offered if _SLOWEST <= baud <= _FASTEST]
    return [int(baud) for baud in _chosen("--bauds", text, tuple(map(str, offered)))]


def _chosen(option: str, text: str, allowed: tuple[str, ...]) -> list[str]:
    for part in _parts(text):
        if part not in allowed:
            message = f"{option}: {part!r}: allowed are {', '.join(allowed)}"
            raise ConfigError(message)
    return _parts(text)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


# as in the gateway file
_SLOWEST = 300
_FASTEST = 921_600
