"""The Modbus link by pymodbus' asyncio clients, its answers judged by the matcher of ours."""

import asyncio
import time
from collections.abc import Callable

from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException
from pymodbus.pdu import ModbusPDU

from protocols.errors import DeviceError, LinkError, WireError
from protocols.io.backends import read_request
from protocols.io.pacing import sleep_until
from protocols.modbus.frames import Request, match_pdu, rtu_reply_length
from protocols.modbus.wire import Wire

Client = AsyncModbusTcpClient | AsyncModbusSerialClient


def open_tcp(host: str, port: int, *, timeout_s: float) -> "PymodbusLink":
    """A link to a TCP endpoint, opened when first used."""

    def client() -> Client:
        return AsyncModbusTcpClient(
            host, port=port, timeout=timeout_s + _LATER_S, retries=0, reconnect_delay=0
        )

    return PymodbusLink(f"{host}:{port}", client, timeout_s=timeout_s)


def open_rtu(path: str, wire: Wire, *, timeout_s: float) -> "PymodbusLink":
    """A link over a serial device, opened when first used and locked against others."""

    def client() -> Client:
        return AsyncModbusSerialClient(
            path,
            framer=FramerType.RTU,
            baudrate=wire.baud,
            bytesize=wire.bits,
            parity=wire.parity,
            stopbits=wire.stop_bits,
            timeout=timeout_s + wire.frame_s(_LONGEST) + _LATER_S,
            retries=0,
            reconnect_delay=0,
        )

    return PymodbusLink(path, client, timeout_s=timeout_s, wire=wire)


class PymodbusLink:
    """A link with a fresh client after every failure, so that no late answer finds a question."""

    def __init__(
        self,
        where: str,
        client: Callable[[], Client],
        *,
        timeout_s: float,
        wire: Wire | None = None,
    ) -> None:
        self._where = where
        self._make = client
        self._timeout_s = timeout_s
        self._wire = wire
        self._turn = asyncio.Lock()
        self._client: Client | None = None
        self._quiet_until = 0.0

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        """Words (or bits) of one read; LinkError, DeviceError or WireError."""
        async with self._turn:
            request = read_request(unit_id, function, address, count)
            busy_s = 0.0
            if self._wire is not None:
                busy_s = self._wire.frame_s(_QUESTION + rtu_reply_length(request))
            try:
                client = await self._connected()
                async with asyncio.timeout(max(self._timeout_s, patience_s) + busy_s):
                    reply = await _ask(client, request)
                return self._judge(reply, request)
            except DeviceError:
                raise
            except TimeoutError as error:
                self._drop()
                message = f"{self._where}: unit {unit_id} did not answer in time"
                raise LinkError(message) from error
            except ConnectionException as error:
                self._drop()
                message = f"{self._where}: {error}"
                raise LinkError(message) from error
            except ModbusException as error:
                self._drop()
                message = f"{self._where}: {error}"
                raise WireError(message) from error
            except BaseException:
                # Also when cancelled: a late answer must never meet the next question.
                self._drop()
                raise

    async def close(self) -> None:
        """Release the bus; the next transact opens it again."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _connected(self) -> Client:
        client = self._client
        if client is not None and client.connected:
            return client
        await self.close()
        # pymodbus empties the line when it opens it; what comes late must have come by then.
        await sleep_until(self._quiet_until)
        client = self._client = self._make()
        try:
            async with asyncio.timeout(self._timeout_s):
                connected = await client.connect()
        except TimeoutError:
            connected = False
        if not connected:
            message = f"{self._where}: no connection"
            raise LinkError(message)
        return client

    def _judge(self, reply: ModbusPDU, request: Request) -> tuple[int, ...]:
        if self._wire is None and reply.transaction_id == 0:
            # pymodbus takes an answer numbered 0 for any question; it never asks with 0.
            message = f"{self._where}: an answer without a transaction id"
            raise WireError(message)
        return match_pdu(bytes((reply.function_code,)) + reply.encode(), request)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()
        if self._wire is not None:
            self._quiet_until = time.monotonic() + max(_QUIET_S, self._wire.silence_s)


async def _ask(client: Client, request: Request) -> ModbusPDU:
    asks = (
        client.read_coils,
        client.read_discrete_inputs,
        client.read_holding_registers,
        client.read_input_registers,
    )
    ask = asks[request.function - 1]
    return await ask(request.address, count=request.count, device_id=request.unit_id)


# Its own timeout must never be the first: it would count towards closing the connection.
_LATER_S = 60.0
_QUESTION = 8
_LONGEST = _QUESTION + 256
_QUIET_S = 0.05
