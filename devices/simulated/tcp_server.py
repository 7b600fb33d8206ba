"""A Modbus TCP gateway with simulated meters behind it, one per unit id."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devices.driver import Clock
from devices.simulated.faults import Fault
from devices.simulated.line_faults import PROMPT
from devices.simulated.meter import SimulatedMeter
from protocols.errors import LinkError, WireError
from protocols.modbus.frames import (
    GATEWAY_NO_ANSWER,
    crc16,
    exception_pdu,
    rtu_frame,
    rtu_request_length,
    tcp_frame,
    tcp_length,
)

_HEADER = 7
# Two replies never go at the same instant, so that the event loop keeps their order.
_TICK_S = 1e-6


class TcpServer:
    """Serves until closed; `port` is the real one once started."""

    def __init__(
        self,
        meters: Mapping[int, SimulatedMeter],
        clock: Clock,
        *,
        host: str,
        port: int,
        faults: Sequence[Fault] = (),
    ) -> None:
        """`faults` are those of the bus itself."""
        self.host = host
        self.port = port
        self._gateway = _Gateway(
            meters, clock, tuple(fault for fault in faults if fault.kind == "rtu-framing")
        )
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; LinkError if the port cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Session(self._gateway), self.host, self.port
            )
        except OSError as error:
            message = f"{self.host}:{self.port}: cannot listen: {error.strerror}"
            raise LinkError(message) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._server is not None:
            self._server.close()
            for session in tuple(self._gateway.sessions):
                session.drop()
            await self._server.wait_closed()
            self._server = None


@dataclass(frozen=True, slots=True)
class _Gateway:
    """What all sessions share; `framings` say when it speaks RTU frames instead of MBAP."""

    meters: Mapping[int, SimulatedMeter]
    clock: Clock
    framings: tuple[Fault, ...]
    sessions: "set[_Session]" = field(default_factory=set)


class _Session(asyncio.Protocol):
    """One client; requests may come whole, in pieces or several at once."""

    def __init__(self, gateway: _Gateway) -> None:
        self._gateway = gateway
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._waiting: dict[float, asyncio.TimerHandle] = {}
        self._ordered: set[float] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._gateway.sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
        self._ordered.clear()
        self._gateway.sessions.discard(self)

    def drop(self) -> None:
        """Close at once; what has not been sent never will be."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        at_us = self._gateway.clock.now_us()
        if any(fault.at(at_us) for fault in self._gateway.framings):
            self._take_rtu()
            return
        try:
            while (length := tcp_length(self._buffer)) and len(self._buffer) >= length:
                frame, self._buffer = self._buffer[:length], self._buffer[length:]
                transaction_id = int.from_bytes(frame[:2], "big")
                self._answer(frame[_HEADER - 1], frame[_HEADER:], transaction_id)
        except WireError:
            # Out of step with this client: only a new connection helps.
            self.drop()

    def _take_rtu(self) -> None:
        while (length := rtu_request_length(self._buffer)) and len(self._buffer) >= length:
            frame, self._buffer = self._buffer[:length], self._buffer[length:]
            if crc16(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
                # The converter hands on what it hears; no meter makes sense of the rest either.
                self._buffer = b""
                return
            self._answer(frame[0], frame[1:-2], None)

    def _answer(self, unit_id: int, pdu: bytes, transaction_id: int | None) -> None:
        """Send a unit's reply when it is due; without a transaction id as an RTU frame."""
        meter, at_us = self._gateway.meters.get(unit_id), self._gateway.clock.now_us()
        line = None if meter is None else meter.line
        if line is not None and not line.hears(at_us, self._loop.time()):
            return
        nobody = exception_pdu(pdu[0], GATEWAY_NO_ANSWER)
        reply = nobody if meter is None else meter.reply(unit_id, pdu, at_us)
        if reply is None or (transaction_id is None and reply == nobody):
            # A converter that only carries RTU frames says nothing for a meter that is not there.
            return
        timing = PROMPT if line is None else line.timing(at_us)
        if transaction_id is None:
            frame = rtu_frame(unit_id, reply) if line is None else line.rtu(unit_id, reply, at_us)
        elif line is None:
            frame = tcp_frame(transaction_id, unit_id, reply)
        else:
            frame = line.tcp(transaction_id, unit_id, reply, at_us)
        due_s = self._send(frame, after_s=timing.after_s, overtaken=timing.late)
        if line is not None and not timing.late:
            line.replied(due_s)

    def _send(self, frame: bytes, *, after_s: float, overtaken: bool) -> float:
        """Write now or when due, behind what waits, unless that may overtake; when that is."""
        due_s = self._loop.time() + after_s
        if not overtaken and self._ordered:
            due_s = max(due_s, max(self._ordered) + _TICK_S)
        elif not after_s:
            self._write(frame)
            return due_s
        while due_s in self._waiting:
            due_s += _TICK_S
        if not overtaken:
            self._ordered.add(due_s)
        self._waiting[due_s] = self._loop.call_at(due_s, self._write_waiting, due_s, frame)
        return due_s

    def _write_waiting(self, due_s: float, frame: bytes) -> None:
        self._waiting.pop(due_s, None)
        self._ordered.discard(due_s)
        self._write(frame)

    def _write(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frame)
