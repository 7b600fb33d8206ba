"""A Modbus TCP connection that asks one thing at a time and trusts only its exact answer."""

import asyncio
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from protocols.errors import DeviceError, LinkError, ProtocolError, WireError
from protocols.modbus.frames import (
    READ_REGISTERS,
    Request,
    match_tcp,
    request_pdu,
    tcp_answer,
    tcp_frame,
    tcp_length,
)


@dataclass(frozen=True, slots=True)
class _Question:
    """A request, its frame without the transaction id, and what its right answer looks like."""

    request: Request
    frame: bytes
    head: bytes
    words: struct.Struct
    length: int


class ModbusTcpLink:
    """A link to one endpoint; opens on demand, closes whenever an answer is late or not its own."""

    def __init__(
        self, host: str, port: int, *, timeout_s: float = 1.0, any_transaction: bool = False
    ) -> None:
        """`any_transaction` is for gateways that never echo the transaction id."""
        self._any_transaction = any_transaction
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()
        self._connection: _Connection | None = None
        self._transaction_id = 0

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        """Words (or bits) of one read; LinkError, DeviceError or WireError.

        The answer may take the endpoint's timeout, or `patience_s` where that is longer.
        """
        question = _prepared(unit_id, function, address, count)
        return await self._ask(question, max(self._timeout_s, patience_s))

    async def write(
        self, unit_id: int, function: int, address: int, values: tuple[int, ...]
    ) -> None:
        """Write once; LinkError, DeviceError or WireError, and then it may have happened."""
        request = Request(unit_id, function, address, len(values), values)
        frame = tcp_frame(0, unit_id, request_pdu(request))[2:]
        await self._ask(_Question(request, frame, b"", struct.Struct(""), 0), self._timeout_s)

    async def close(self) -> None:
        """Close the connection; the next transact opens a new one."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    async def _ask(self, question: _Question, timeout_s: float) -> tuple[int, ...]:
        async with self._turn:
            connection = self._connection
            if connection is None or connection.lost:
                connection = self._connection = await self._open()
            self._transaction_id = transaction_id = (self._transaction_id + 1) & 0xFFFF
            try:
                return await connection.ask(question, transaction_id, timeout_s)
            except DeviceError:
                raise
            except BaseException:
                # Also when cancelled: a late answer must never meet the next question.
                connection.drop()
                raise

    async def _open(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(any_transaction=self._any_transaction),
                    self._host,
                    self._port,
                )
        except (OSError, TimeoutError) as error:
            reason = "timed out" if isinstance(error, TimeoutError) else error
            message = f"{self._host}:{self._port}: no connection: {reason}"
            raise LinkError(message) from error
        return connection


class _Connection(asyncio.Protocol):
    """One TCP connection with at most one question open."""

    def __init__(self, *, any_transaction: bool) -> None:
        self.lost = False
        self._any_transaction = any_transaction
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, ...]] | None = None
        self._question = _prepared(0, 3, 0, 1)
        self._transaction_id = 0
        self._buffer = b""
        self._deadline_s = 0.0
        self._watch: asyncio.TimerHandle | None = None

    async def ask(
        self, question: _Question, transaction_id: int, timeout_s: float
    ) -> tuple[int, ...]:
        """The answer to one question within timeout_s; LinkError, DeviceError or WireError."""
        if self._transport is None or self.lost:
            message = "the connection is gone"
            raise LinkError(message)
        self._question, self._transaction_id = question, transaction_id
        answer: asyncio.Future[tuple[int, ...]] = self._loop.create_future()
        self._answer = answer
        self._deadline_s = self._loop.time() + timeout_s
        if self._watch is not None and self._watch.when() > self._deadline_s:
            self._watch.cancel()
            self._watch = None
        if self._watch is None:
            self._watch = self._loop.call_at(self._deadline_s, self._expire)
        self._transport.write(transaction_id.to_bytes(2, "big") + question.frame)
        try:
            return await answer
        finally:
            self._answer = None

    def drop(self) -> None:
        """Close at once, without waiting for anything."""
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are none of asyncio's classes
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the open question that nobody will answer."""
        self.lost = True
        self._fail(LinkError(f"the connection was closed: {exc or 'by the other end'}"))

    def data_received(self, data: bytes) -> None:
        """Take bytes; a whole frame settles the open question, anything else closes."""
        if self._buffer:
            data = self._buffer + data
        answer = self._answer
        if answer is None or answer.done():
            # Bytes nobody asked for: the next answer could be theirs.
            self.drop()
            return
        question = self._question
        if (
            len(data) == question.length
            and data[2:_WORDS_AT] == question.head
            and data[0] << 8 | data[1] == self._transaction_id
        ):
            self._buffer = b""
            answer.set_result(question.words.unpack_from(data, _WORDS_AT))
            return
        try:
            length = tcp_length(data)
            if length is None or len(data) < length:
                self._buffer = data
                return
            self._buffer = b""
            # Whoever is asked only after this connection's last answer can't be late on it.
            own = self._any_transaction
            number = int.from_bytes(data[:2], "big") if own else self._transaction_id
            answer.set_result(match_tcp(data, question.request, number))
        except (DeviceError, WireError) as error:
            answer.set_exception(error)

    def _expire(self) -> None:
        # One timer looks after many questions: starting one for each costs more than the question.
        self._watch = None
        if self._answer is None:
            return
        if self._loop.time() < self._deadline_s:
            self._watch = self._loop.call_at(self._deadline_s, self._expire)
            return
        heard = f", only {len(self._buffer)} bytes" if self._buffer else ""
        unit_id = self._question.request.unit_id
        self._fail(LinkError(f"unit {unit_id} did not answer in time{heard}"))

    def _fail(self, error: ProtocolError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


@lru_cache(maxsize=4096)
def _prepared(unit_id: int, function: int, address: int, count: int) -> _Question:
    # A gateway asks the same few hundred questions for ever.
    request = Request(unit_id, function, address, count)
    frame = tcp_frame(0, unit_id, request_pdu(request))[2:]
    if function not in READ_REGISTERS:
        return _Question(request, frame, b"", struct.Struct(""), 0)
    head, words = tcp_answer(request)
    return _Question(request, frame, head, words, _WORDS_AT + words.size)


# MBAP header, function and byte count come before the words.
_WORDS_AT = 9
