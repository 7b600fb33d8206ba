"""The Modbus link by minimalmodbus: blocking, so it has one worker thread of its own per bus."""

import asyncio
import termios
import time
from concurrent.futures import ThreadPoolExecutor

import minimalmodbus
import serial

from protocols.errors import LinkError, WireError
from protocols.io.backends import read_request
from protocols.modbus.frames import (
    EXCEPTIONS,
    READ_BITS,
    Request,
    exception_pdu,
    match_pdu,
    rtu_reply_length,
)
from protocols.modbus.wire import Wire


def open_rtu(path: str, wire: Wire, *, timeout_s: float) -> "MinimalmodbusLink":
    """A link over a serial device, opened when first used and locked against others."""
    return MinimalmodbusLink(path, wire, timeout_s=timeout_s)


class MinimalmodbusLink:
    """A link whose bus stays taken until the thread is back, even if the caller was cancelled."""

    def __init__(self, path: str, wire: Wire, *, timeout_s: float) -> None:
        self._path = path
        self._wire = wire
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()
        self._worker: ThreadPoolExecutor | None = None
        # What follows belongs to the worker thread alone.
        self._serial: serial.Serial | None = None
        self._instrument: minimalmodbus.Instrument | None = None
        self._quiet_until = 0.0

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        """Words (or bits) of one read; LinkError, DeviceError or WireError."""
        request = read_request(unit_id, function, address, count)
        if unit_id == 0:
            message = f"{self._path}: unit 0 is everybody, and nobody answers for everybody"
            raise LinkError(message)
        await self._turn.acquire()
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="minimalmodbus")
        loop = asyncio.get_running_loop()
        answer = loop.run_in_executor(self._worker, self._ask, request, patience_s)
        answer.add_done_callback(lambda _: self._turn.release())
        # A thread can't be cancelled: the caller goes, the turn stays taken until it returns.
        return await asyncio.shield(answer)

    async def close(self) -> None:
        """Release the bus once the thread is back; the next transact opens it again."""
        async with self._turn:
            worker, self._worker = self._worker, None
            if worker is not None:
                await asyncio.get_running_loop().run_in_executor(worker, self._shut)
                worker.shutdown(wait=False)

    def _ask(self, request: Request, patience_s: float) -> tuple[int, ...]:
        time.sleep(max(0.0, self._quiet_until - time.monotonic()))
        try:
            return self._read(request, patience_s)
        except minimalmodbus.SlaveReportedException as error:
            # It tells the code by its words only; our matcher makes the DeviceError of it.
            return match_pdu(exception_pdu(request.function, _code(str(error))), request)
        except minimalmodbus.NoResponseError as error:
            self._settle()
            message = f"{self._path}: unit {request.unit_id} did not answer in time"
            raise LinkError(message) from error
        except minimalmodbus.ModbusException as error:
            self._settle()
            message = f"{self._path}: {error}"
            raise WireError(message) from error
        except (OSError, termios.error) as error:
            self._settle()
            self._shut()
            message = f"{self._path}: {error}"
            raise LinkError(message) from error

    def _read(self, request: Request, patience_s: float) -> tuple[int, ...]:
        instrument = self._instrument or self._open()
        instrument.address = request.unit_id
        busy_s = self._wire.frame_s(_QUESTION + rtu_reply_length(request))
        timeout_s = max(self._timeout_s, patience_s) + busy_s
        if instrument.serial.timeout != timeout_s:
            instrument.serial.timeout = timeout_s
        read = instrument.read_bits if request.function in READ_BITS else instrument.read_registers
        return tuple(read(request.address, request.count, functioncode=request.function))

    def _open(self) -> minimalmodbus.Instrument:
        # Its own way to open a port shares one object between all who name the same path.
        self._serial = serial.Serial(
            self._path,
            baudrate=self._wire.baud,
            bytesize=self._wire.bits,
            parity=self._wire.parity,
            stopbits=self._wire.stop_bits,
            exclusive=True,
        )
        self._instrument = minimalmodbus.Instrument(self._serial, 1)
        return self._instrument

    def _settle(self) -> None:
        # It empties the line before it asks; what comes late must have come by then.
        self._quiet_until = time.monotonic() + max(_QUIET_S, self._wire.silence_s)

    def _shut(self) -> None:
        port, self._serial, self._instrument = self._serial, None, None
        if port is not None:
            port.close()


def _code(message: str) -> int:
    for code, words in _WORDS.items():
        if message == f"Slave reported {words}":
            return code
    return int(message.rsplit(" ", 1)[-1])


_QUESTION = 8
_QUIET_S = 0.05
# Where its words for an exception code are not ours.
_WORDS = EXCEPTIONS | {11: "gateway target device failed to respond"}
