"""A Modbus RTU line: a pty as slow as its baud rate, with simulated meters on it."""

import asyncio
import os
import pty
import termios
import time
import tty
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from devices.driver import Clock
from devices.simulated.meter import SimulatedMeter
from protocols.errors import LinkError
from protocols.io.pacing import sleep_until
from protocols.modbus.frames import (
    GATEWAY_NO_ANSWER,
    crc16,
    exception_pdu,
    rtu_frame,
    rtu_request_length,
)
from protocols.modbus.wire import Wire


class RtuServer:
    """Serves until closed; `path` is a symlink to the client's end of the pty.

    `hurried` counts requests that began before the wire had been silent for t3.5; a real meter
    would have taken them for the rest of the frame before.
    """

    def __init__(
        self,
        meters: Mapping[int, SimulatedMeter],
        clock: Clock,
        *,
        path: Path,
        wire: Wire,
    ) -> None:
        self.path = path
        self.hurried = 0
        self._meters = meters
        self._clock = clock
        self._wire = wire
        self._ends: tuple[int, int] | None = None
        self._buffer = bytearray()
        self._began_at = 0.0
        self._idle_at = 0.0
        self._reply: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the pty and point `path` to it; LinkError if a real file is in the way."""
        server, client = pty.openpty()
        # The client's end stays open here, else the pty hangs up between two clients.
        tty.setraw(client, termios.TCSANOW)
        os.set_blocking(server, False)
        try:
            if self.path.is_symlink():
                self.path.unlink()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.symlink_to(os.ttyname(client))
        except OSError as error:
            os.close(server)
            os.close(client)
            message = f"{self.path}: cannot be made: {error.strerror}"
            raise LinkError(message) from error
        self._ends = (server, client)
        asyncio.get_running_loop().add_reader(server, self._on_bytes)

    async def close(self) -> None:
        """Take the line away."""
        if self._ends is None:
            return
        (server, client), self._ends = self._ends, None
        asyncio.get_running_loop().remove_reader(server)
        if self._reply is not None:
            self._reply.cancel()
            with suppress(asyncio.CancelledError):
                await self._reply
        with suppress(OSError):
            if self.path.is_symlink() and os.readlink(self.path) == os.ttyname(client):  # noqa: PTH115 - compared as text
                self.path.unlink()
        os.close(server)
        os.close(client)

    def _on_bytes(self) -> None:
        if self._ends is None:
            return
        with suppress(BlockingIOError):
            data = os.read(self._ends[0], 4096)
            now = time.monotonic()
            if self._buffer and now - self._began_at > self._wire.frame_s(256):
                # The rest of a frame never came; a silence that long ends it.
                self._buffer.clear()
            if not self._buffer:
                self._began_at = now
                if now < self._idle_at + self._wire.silence_s:
                    self.hurried += 1
            self._buffer += data
            self._serve()

    def _serve(self) -> None:
        length = rtu_request_length(self._buffer)
        if length is None or len(self._buffer) < length:
            return
        frame = bytes(self._buffer[:length])
        self._buffer.clear()
        # A pty delivers at once what a wire would still be carrying: begin when the wire is done.
        request_ends = self._began_at + self._wire.frame_s(length)
        self._idle_at = max(self._idle_at, request_ends)
        if crc16(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
            return
        unit_id, pdu = frame[0], frame[1:-2]
        meter = self._meters.get(unit_id)
        reply = None if meter is None else meter.reply(unit_id, pdu, self._clock.now_us())
        if reply is None or reply == exception_pdu(pdu[0], GATEWAY_NO_ANSWER):
            # Nobody answers for a meter that is off a serial line.
            return
        answer = rtu_frame(unit_id, reply)
        ends_at = (
            request_ends
            + max(self._wire.silence_s, self._wire.turnaround_s)
            + self._wire.frame_s(len(answer))
        )
        self._idle_at = ends_at
        self._reply = asyncio.get_running_loop().create_task(
            self._send(answer, ends_at), name=f"rtu reply {unit_id}"
        )

    async def _send(self, answer: bytes, ends_at: float) -> None:
        await sleep_until(ends_at)
        if self._ends is not None:
            with suppress(OSError):
                os.write(self._ends[0], answer)
