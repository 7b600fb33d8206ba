"""The line settings of a pty, as its client set them and as a wire wants them."""

import termios
from dataclasses import replace

from devices.simulated.faults import Fault
from protocols.modbus.wire import Wire


def set_line(fd: int, wire: Wire) -> None:
    """Leave the pty as if its client had set this wire; a baud unknown to termios is passed over.

    A client that sets nothing (socat, a test that writes bytes) finds the line right.
    """
    settings = termios.tcgetattr(fd)
    settings[2] &= ~(termios.PARENB | termios.PARODD | termios.CSTOPB)
    if wire.parity != "N":
        settings[2] |= termios.PARENB
    if wire.parity == "O":
        settings[2] |= termios.PARODD
    if wire.stop_bits > 1:
        settings[2] |= termios.CSTOPB
    speed = _speed(wire)
    if speed is not None:
        settings[4] = settings[5] = speed
    termios.tcsetattr(fd, termios.TCSANOW, settings)


def fits(fd: int, wire: Wire) -> bool:
    """Whether the pty's client has set this wire: baud, stop bits, and odd parity or not.

    A pty drops PARENB (Linux drivers/tty/pty.c), so even parity and none are the same here.
    """
    settings = termios.tcgetattr(fd)
    speed = _speed(wire)
    return (
        speed in (None, settings[4])
        and bool(settings[2] & termios.CSTOPB) == (wire.stop_bits > 1)
        and bool(settings[2] & termios.PARODD) == (wire.parity == "O")
    )


def wire_of_fault(fault: Fault, wire: Wire) -> Wire:
    """The wire that a `line` fault names (19200E1), otherwise as the given one."""
    baud, parity, stop_bits = fault.name[:-2], fault.name[-2], fault.name[-1]
    return replace(wire, baud=int(baud), parity=parity, stop_bits=int(stop_bits))


def told_apart(one: Wire, other: Wire) -> bool:
    """Whether a pty shows a difference between the two lines."""
    return _visible(one) != _visible(other)


def _visible(wire: Wire) -> tuple[int, bool, int]:
    return wire.baud, wire.parity == "O", wire.stop_bits


def _speed(wire: Wire) -> int | None:
    speed: int | None = getattr(termios, f"B{wire.baud}", None)
    return speed
