"""A Modbus RTU line: a pty as slow as its baud rate, with simulated meters on it."""

import asyncio
import os
import pty
import termios
import time
import tty
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from devices.driver import Clock
from devices.simulated.faults import Fault
from devices.simulated.foreign_master import FOREIGN_PERIOD_S, foreign_frames
from devices.simulated.line_faults import PROMPT, LineFaults
from devices.simulated.meter import SimulatedMeter
from devices.simulated.pty_line import fits, set_line, wire_of_fault
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

    The meters understand nobody who has set the pty to another line than theirs. At the start it
    is set to the wire, so that a client that sets nothing is heard. A pty cannot tell N from E.
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
        faults: Sequence[Fault] = (),
    ) -> None:
        """`faults` are those of the bus itself."""
        self.path = path
        self.hurried = 0
        self._meters = meters
        self._clock = clock
        self._wire = wire
        self._ends: tuple[int, int] | None = None
        self._buffer = bytearray()
        self._began_at = 0.0
        self._idle_at = 0.0
        self._foreign_until = 0.0
        self._lines = tuple(fault for fault in faults if fault.kind == "line")
        self._foreign = tuple(fault for fault in faults if fault.kind == "foreign-master")
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the pty and point `path` to it; LinkError if a real file is in the way."""
        server, client = pty.openpty()
        # The client's end stays open here, else the pty hangs up between two clients.
        tty.setraw(client, termios.TCSANOW)
        set_line(client, self._wire)
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
        if self._foreign:
            self._start_task(self._share(), "foreign master")

    async def close(self) -> None:
        """Take the line away."""
        if self._ends is None:
            return
        (server, client), self._ends = self._ends, None
        asyncio.get_running_loop().remove_reader(server)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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
            now, wire = time.monotonic(), self._wire_now()
            if self._buffer and now - self._began_at > wire.frame_s(256):
                # The rest of a frame never came; a silence that long ends it.
                self._buffer.clear()
            if not fits(self._ends[0], wire):
                # Every bit is sampled in the wrong place: the meters hear no frame.
                self._buffer.clear()
                return
            if not self._buffer:
                self._began_at = now
                if now < self._idle_at + wire.silence_s:
                    self.hurried += 1
            self._buffer += data
            self._serve(wire)

    def _serve(self, wire: Wire) -> None:
        length = rtu_request_length(self._buffer)
        if length is None or len(self._buffer) < length:
            return
        frame = bytes(self._buffer[:length])
        self._buffer.clear()
        # A pty delivers at once what a wire would still be carrying: begin when the wire is done.
        request_ends = self._began_at + wire.frame_s(length)
        self._idle_at = max(self._idle_at, request_ends)
        if crc16(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
            return
        unit_id, pdu = frame[0], frame[1:-2]
        meter, at_us = self._meters.get(unit_id), self._clock.now_us()
        if meter is None or (meter.line and not meter.line.hears(at_us, self._began_at)):
            return
        reply = meter.reply(unit_id, pdu, at_us)
        if reply is None or reply == exception_pdu(pdu[0], GATEWAY_NO_ANSWER):
            # Nobody answers for a meter that is off a serial line.
            return
        self._answer(unit_id, reply, request_ends, at_us=at_us, line=meter.line, wire=wire)

    def _answer(
        self,
        unit_id: int,
        reply: bytes,
        request_ends: float,
        *,
        at_us: int,
        line: LineFaults | None,
        wire: Wire,
    ) -> None:
        timing = PROMPT if line is None else line.timing(at_us)
        answer = rtu_frame(unit_id, reply) if line is None else line.rtu(unit_id, reply, at_us)
        thinks_s = 0.0 if timing.quick else max(wire.silence_s, wire.turnaround_s)
        begins_at = request_ends + max(thinks_s, timing.after_s)
        if self._foreign_until > request_ends:
            begins_at = max(begins_at, self._foreign_until + wire.silence_s)
        ends_at = begins_at + wire.frame_s(len(answer))
        if not timing.after_s:
            # Whoever asks before this end is hurried; before a delayed reply the wire is silent.
            self._idle_at = max(self._idle_at, ends_at)
        if line is not None and not timing.late:
            line.replied(ends_at)
        self._start_task(self._send(answer, ends_at), f"rtu reply {unit_id}")

    async def _send(self, answer: bytes, ends_at: float) -> None:
        await sleep_until(ends_at)
        self._idle_at = max(self._idle_at, ends_at)
        if self._ends is not None:
            with suppress(OSError):
                os.write(self._ends[0], answer)

    async def _share(self) -> None:
        """Let another master ask its own unit between our exchanges, again and again."""
        number = 0
        while True:
            await asyncio.sleep(FOREIGN_PERIOD_S)
            if not any(fault.at(self._clock.now_us()) for fault in self._foreign):
                continue
            wire = self._wire_now()
            while True:
                rest_s = self._idle_at + wire.silence_s - time.monotonic()
                if rest_s <= 0 and not self._buffer:
                    break
                await asyncio.sleep(max(rest_s, wire.silence_s))
            asked, answered = foreign_frames(number)
            number += 1
            asked_at = time.monotonic() + wire.frame_s(len(asked))
            thinks_s = max(wire.silence_s, wire.turnaround_s)
            self._foreign_until = asked_at + thinks_s + wire.frame_s(len(answered))
            for frame, ends_at in ((asked, asked_at), (answered, self._foreign_until)):
                await sleep_until(ends_at)
                if self._ends is not None:
                    with suppress(OSError):
                        os.write(self._ends[0], frame)

    def _wire_now(self) -> Wire:
        if self._lines:
            at_us = self._clock.now_us()
            for fault in reversed(self._lines):
                if fault.at(at_us):
                    return wire_of_fault(fault, self._wire)
        return self._wire

    def _start_task(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
