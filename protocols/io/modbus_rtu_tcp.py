"""Modbus RTU frames over TCP, as transparent serial servers carry them."""

import asyncio

from protocols.errors import LinkError
from protocols.io.rtu_dialogue import Ear, RtuDialogue
from protocols.modbus.wire import Wire

# What the far line's silence is, nobody here can hear: the slowest common speed is safe.
_FAR_WIRE = Wire(baud=9600)


class ModbusRtuTcpLink(RtuDialogue):
    """A link to the serial line behind one TCP endpoint; it opens on demand."""

    def __init__(
        self, host: str, port: int, *, wire: Wire | None = None, timeout_s: float = 1.0
    ) -> None:
        """`wire` is the line behind the server, so that its frames' time is waited for."""
        super().__init__(
            _Socket(host, port, timeout_s=timeout_s), wire or _FAR_WIRE, timeout_s=timeout_s
        )


class _Socket(asyncio.Protocol):
    """A TCP connection that carries bytes of a serial line."""

    def __init__(self, host: str, port: int, *, timeout_s: float) -> None:
        self.name = f"{host}:{port}"
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._ear: Ear | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    async def open(self, ear: Ear) -> None:
        """Connect; LinkError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                self._transport, _ = await loop.create_connection(
                    lambda: self, self._host, self._port
                )
        except (OSError, TimeoutError) as error:
            reason = "timed out" if isinstance(error, TimeoutError) else error
            message = f"{self.name}: no connection: {reason}"
            raise LinkError(message) from error
        self._ear = ear

    def send(self, frame: bytes) -> None:
        """Send a whole frame; LinkError."""
        if self._transport is None:
            message = f"{self.name}: the connection is gone"
            raise LinkError(message)
        self._transport.write(frame)

    def listen(self) -> None:
        """Nothing to do: the event loop reads sockets before it runs timers."""

    def close(self) -> None:
        """Close at once."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Tell what came."""
        if self._ear is not None:
            self._ear.heard(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the connection is gone, unless a newer one has taken its place."""
        if self._transport is None or not self._transport.is_closing():
            return
        self._transport = None
        if self._ear is not None:
            self._ear.hung_up(f"the connection was closed: {exc or 'by the other end'}")
