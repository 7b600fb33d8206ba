"""Modbus RTU on a tty: true t3.5 silence before each request, and silence again after a failure."""

import asyncio
import fcntl
import os
import termios
import time
from contextlib import suppress

from protocols.errors import DeviceError, LinkError, ProtocolError, WireError
from protocols.io.pacing import sleep_until
from protocols.modbus.frames import Request, find_rtu, request_pdu, rtu_frame, rtu_reply_length
from protocols.modbus.wire import Wire

# USB adapters deliver a frame in pieces up to 16 ms apart; more than this is no pause in a frame.
_QUIET_S = 0.05


class ModbusRtuLink:
    """A link over one serial device or pty; it opens on demand and locks the device for itself."""

    def __init__(self, path: str, wire: Wire | None = None, *, timeout_s: float = 1.0) -> None:
        """`timeout_s` runs from the end of the request to the first moment of a whole answer."""
        self._path = path
        self._wire = wire or Wire()
        self._timeout_s = timeout_s
        self._quiet_s = max(_QUIET_S, self._wire.silence_s)
        self._turn = asyncio.Lock()
        self._fd: int | None = None
        self._buffer = bytearray()
        self._heard_at = 0.0
        self._unsettled = False
        self._request = Request(0, 3, 0)
        self._answer: asyncio.Future[tuple[int, ...]] | None = None
        self._quiet: asyncio.TimerHandle | None = None

    async def transact(
        self, unit_id: int, function: int, address: int, count: int
    ) -> tuple[int, ...]:
        """Words (or bits) of one read; LinkError, DeviceError or WireError."""
        async with self._turn:
            request = Request(unit_id, function, address, count)
            frame = rtu_frame(unit_id, request_pdu(request))
            fd = self._open() if self._fd is None else self._fd
            await self._silence(fd)
            self._buffer.clear()
            self._request = request
            self._unsettled = True
            words = await self._ask(fd, frame)
            self._unsettled = False
            return words

    async def close(self) -> None:
        """Release the device; the next transact opens it again."""
        self._shut()

    async def _ask(self, fd: int, frame: bytes) -> tuple[int, ...]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[int, ...]] = loop.create_future()
        self._answer = answer
        busy_s = self._wire.frame_s(len(frame) + rtu_reply_length(self._request))
        timer = loop.call_later(self._timeout_s + busy_s, self._expire)
        try:
            sent = os.write(fd, frame)
            if sent != len(frame):
                message = f"{self._path}: took {sent} of {len(frame)} bytes"
                raise LinkError(message)
            self._heard_at = time.monotonic() + self._wire.frame_s(len(frame))
            return await answer
        except DeviceError:
            self._unsettled = False
            raise
        except OSError as error:
            self._shut()
            message = f"{self._path}: {error.strerror}"
            raise LinkError(message) from error
        finally:
            timer.cancel()
            if self._quiet is not None:
                self._quiet.cancel()
            self._answer = None

    async def _silence(self, fd: int) -> None:
        """Wait for t3.5 on the wire; after a failure, for longer, so that a late answer is gone."""
        silence_s = self._wire.silence_s
        if self._unsettled:
            silence_s = self._quiet_s
            self._heard_at = max(self._heard_at, time.monotonic())
        while True:
            await sleep_until(self._heard_at + silence_s)
            if self._fd != fd:
                message = f"{self._path}: the line hung up"
                raise LinkError(message)
            # Bytes may lie there that the event loop, held up elsewhere, has not told of yet.
            self._on_bytes()
            if time.monotonic() >= self._heard_at + silence_s:
                return

    def _open(self) -> int:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            message = f"{self._path}: cannot be opened: {error.strerror}"
            raise LinkError(message) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _set_line(fd, self._wire)
        except (OSError, termios.error) as error:
            os.close(fd)
            message = f"{self._path}: no serial line of its own: {error}"
            raise LinkError(message) from error
        self._fd = fd
        self._unsettled = False
        self._heard_at = time.monotonic()
        asyncio.get_running_loop().add_reader(fd, self._on_bytes)
        return fd

    def _shut(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            with suppress(OSError):
                os.close(fd)
        self._fail(LinkError(f"{self._path}: closed"))

    def _on_bytes(self) -> None:
        if self._fd is None:
            return
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._hang_up(error.strerror or "gone")
            return
        if not data:
            self._hang_up("the line hung up")
            return
        self._heard_at = time.monotonic()
        answer = self._answer
        if answer is not None and not answer.done():
            self._buffer += data
            self._look(answer)

    def _look(self, answer: asyncio.Future[tuple[int, ...]]) -> None:
        try:
            words = find_rtu(self._buffer, self._request)
        except DeviceError as error:
            answer.set_exception(error)
            return
        if words is not None:
            answer.set_result(words)
            return
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(self._quiet_s, self._expire)

    def _hang_up(self, reason: str) -> None:
        self._fail(LinkError(f"{self._path}: {reason}"))
        self._shut()

    def _expire(self) -> None:
        unit_id = self._request.unit_id
        if self._buffer:
            shown = self._buffer[:64].hex(" ")
            self._fail(WireError(f"{self._path}: no answer of unit {unit_id} in: {shown}"))
        else:
            self._fail(LinkError(f"{self._path}: unit {unit_id} did not answer in time"))

    def _fail(self, error: ProtocolError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


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
