"""A Modbus TCP gateway with simulated meters behind it, one per unit id."""

import asyncio
from collections.abc import Mapping

from devices.driver import Clock
from devices.simulated.meter import SimulatedMeter
from protocols.errors import LinkError, WireError
from protocols.modbus.frames import GATEWAY_NO_ANSWER, exception_pdu, tcp_frame, tcp_length

_HEADER = 7


class TcpServer:
    """Serves until closed; `port` is the real one once started."""

    def __init__(
        self, meters: Mapping[int, SimulatedMeter], clock: Clock, *, host: str, port: int
    ) -> None:
        self.host = host
        self.port = port
        self._meters = meters
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Transport] = set()

    async def start(self) -> None:
        """Listen; LinkError if the port cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Session(self._meters, self._clock, self._connections), self.host, self.port
            )
        except OSError as error:
            message = f"{self.host}:{self.port}: cannot listen: {error.strerror}"
            raise LinkError(message) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._server is not None:
            self._server.close()
            for transport in tuple(self._connections):
                transport.abort()
            await self._server.wait_closed()
            self._server = None


class _Session(asyncio.Protocol):
    """One client; requests may come whole, in pieces or several at once."""

    def __init__(
        self,
        meters: Mapping[int, SimulatedMeter],
        clock: Clock,
        connections: set[asyncio.Transport],
    ) -> None:
        self._meters = meters
        self._clock = clock
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._transport is not None:
            self._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        self._buffer += data
        try:
            while (length := tcp_length(self._buffer)) and len(self._buffer) >= length:
                frame, self._buffer = self._buffer[:length], self._buffer[length:]
                reply = self._reply(frame)
                if reply is not None:
                    transport.write(reply)
        except WireError:
            # Out of step with this client: only a new connection helps.
            transport.abort()

    def _reply(self, frame: bytes) -> bytes | None:
        unit_id, pdu = frame[_HEADER - 1], frame[_HEADER:]
        meter = self._meters.get(unit_id)
        if meter is None:
            reply: bytes | None = exception_pdu(pdu[0], GATEWAY_NO_ANSWER)
        else:
            reply = meter.reply(unit_id, pdu, self._clock.now_us())
        if reply is None:
            return None
        return tcp_frame(int.from_bytes(frame[:2], "big"), unit_id, reply)
