"""Modbus RTU on a tty, which is locked for one owner."""

import asyncio
import fcntl
import os
import termios
from contextlib import suppress

from protocols.errors import LinkError
from protocols.io.rtu_dialogue import Ear, RtuDialogue
from protocols.modbus.wire import Wire


class ModbusRtuLink(RtuDialogue):
    """A link over one serial device or pty; it opens on demand."""

    def __init__(self, path: str, wire: Wire | None = None, *, timeout_s: float = 1.0) -> None:
        """`timeout_s` runs from the end of the request to the first moment of a whole answer."""
        wire = wire or Wire()
        super().__init__(_Tty(path, wire), wire, timeout_s=timeout_s)


class _Tty:
    """A serial device, raw, without blocking."""

    def __init__(self, path: str, wire: Wire) -> None:
        self.name = path
        self._wire = wire
        self._ear: Ear | None = None
        self._fd: int | None = None

    @property
    def is_open(self) -> bool:
        return self._fd is not None

    async def open(self, ear: Ear) -> None:
        """Open and lock the device; LinkError."""
        try:
            fd = os.open(self.name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            message = f"{self.name}: cannot be opened: {error.strerror}"
            raise LinkError(message) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _set_line(fd, self._wire)
        except (OSError, termios.error) as error:
            os.close(fd)
            message = f"{self.name}: no serial line of its own: {error}"
            raise LinkError(message) from error
        self._fd, self._ear = fd, ear
        asyncio.get_running_loop().add_reader(fd, self.listen)

    def send(self, frame: bytes) -> None:
        """Give the device a whole frame; LinkError."""
        try:
            sent = -1 if self._fd is None else os.write(self._fd, frame)
        except OSError as error:
            self.close()
            message = f"{self.name}: {error.strerror}"
            raise LinkError(message) from error
        if sent != len(frame):
            message = f"{self.name}: took {sent} of {len(frame)} bytes"
            raise LinkError(message)

    def listen(self) -> None:
        """Tell what the device has received."""
        if self._fd is None or self._ear is None:
            return
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._hang_up(error.strerror or "gone")
            return
        if data:
            self._ear.heard(data)
        else:
            self._hang_up("the line hung up")

    def close(self) -> None:
        """Release the device."""
        fd, self._fd = self._fd, None
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            with suppress(OSError):
                os.close(fd)

    def _hang_up(self, reason: str) -> None:
        self.close()
        if self._ear is not None:
            self._ear.hung_up(reason)


def _set_line(fd: int, wire: Wire) -> None:
    speed = getattr(termios, f"B{wire.baud}", None)
    if speed is None:
        message = f"{wire.baud} baud is not offered here"
        raise OSError(message)
    size = termios.CS8 if wire.bits == 8 else termios.CS7  # noqa: PLR2004 - Wire allows 7 and 8
    control = termios.CREAD | termios.CLOCAL | size
    if wire.parity != "N":
        control |= termios.PARENB
    if wire.parity == "O":
        control |= termios.PARODD
    if wire.stop_bits > 1:
        control |= termios.CSTOPB
    characters = termios.tcgetattr(fd)[6]
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    # Raw in every sense: no echo, no line editing, no flow control, no translation.
    termios.tcsetattr(fd, termios.TCSANOW, [0, 0, control, 0, speed, speed, characters])
    termios.tcflush(fd, termios.TCIOFLUSH)
