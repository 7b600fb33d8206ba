"""Question and answer in RTU frames: silences kept, late answers told from the right ones."""

import asyncio
import time
from contextlib import suppress
from typing import Protocol

from protocols.errors import DeviceError, LinkError, ProtocolError, WireError
from protocols.io.line_counts import LineCounts
from protocols.io.pacing import sleep_until
from protocols.modbus.debts import Debts
from protocols.modbus.frames import Request, find_rtu, request_pdu, rtu_frame, rtu_reply_length
from protocols.modbus.overheard import overheard
from protocols.modbus.wire import Wire

# USB adapters deliver a frame in pieces up to 16 ms apart; more than this is no pause in a frame.
_QUIET_S = 0.05
_LONGEST_FRAME = 256
_REFUSAL_BYTES = 5
# How often words that a late answer might have given are read again until two agree.
_READINGS = 3
_LONGEST_REST_S = 1.0


class Ear(Protocol):
    """Who listens on a line."""

    def heard(self, data: bytes) -> None:
        """Take bytes that came over the line."""
        ...

    def hung_up(self, reason: str) -> None:
        """Take note that the line is gone."""
        ...


class Line(Protocol):
    """What carries the frames: a tty, or a connection to a serial server."""

    name: str

    @property
    def is_open(self) -> bool:
        """Whether bytes can be sent."""
        ...

    async def open(self, ear: Ear) -> None:
        """Open for one owner; LinkError."""
        ...

    def send(self, frame: bytes) -> None:
        """Send a whole frame; LinkError."""
        ...

    def listen(self) -> None:
        """Tell the ear of bytes that have come but that the event loop has not told of yet."""
        ...

    def close(self) -> None:
        """Release the line at once."""
        ...


class RtuDialogue:
    """One question at a time over a line; `counts` says what else was heard on it."""

    def __init__(self, line: Line, wire: Wire, *, timeout_s: float) -> None:
        """`timeout_s` runs from the end of the request to the first moment of a whole answer."""
        self.counts = LineCounts()
        self._line = line
        self._wire = wire
        self._timeout_s = timeout_s
        self._quiet_s = max(_QUIET_S, wire.silence_s)
        self._turn = asyncio.Lock()
        self._debts = Debts()
        self._slowest_s: dict[int, float] = {}
        self._buffer = bytearray()
        self._heard_at = 0.0
        self._sent_at = 0.0
        self._drain_s = 0.0
        self._request = Request(0, 3, 0)
        self._answer: asyncio.Future[tuple[int, ...]] | None = None
        self._quiet: asyncio.TimerHandle | None = None

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        """Words (or bits) of one read; LinkError, DeviceError or WireError.

        The answer may take the bus's timeout, or `patience_s` where that is longer.
        """
        async with self._turn:
            request = Request(unit_id, function, address, count)
            request_pdu(request)
            timeout_s = max(self._timeout_s, patience_s)
            now_s = time.monotonic()
            if self._debts.is_doubtful(request, now_s):
                return await self._ask_in_doubt(request, timeout_s)
            try:
                return await self._ask(request, timeout_s)
            except DeviceError:
                # a refusal may be late too, then this one's answer is still to come
                if self._debts.count(unit_id, now_s):
                    self._debts.owe(request, now_s)
                raise

    async def write(
        self, unit_id: int, function: int, address: int, values: tuple[int, ...]
    ) -> None:
        """Write once; LinkError, DeviceError or WireError, and then it may have happened."""
        request = Request(unit_id, function, address, len(values), values)
        request_pdu(request)
        async with self._turn:
            await self._ask(request, self._timeout_s)

    async def close(self) -> None:
        """Release the line; the next transact opens it again."""
        self._line.close()
        self._fail(LinkError(f"{self._line.name}: closed"))

    def heard(self, data: bytes) -> None:
        """Take bytes from the line."""
        self._heard_at = time.monotonic()
        self._buffer += data
        answer = self._answer
        if answer is not None and not answer.done():
            self._look(answer)
        elif len(self._buffer) > 2 * _LONGEST_FRAME:
            self._take_stock()

    def hung_up(self, reason: str) -> None:
        """Tell the open question that nobody will answer."""
        self._fail(LinkError(f"{self._line.name}: {reason}"))

    async def _ask_in_doubt(self, request: Request, timeout_s: float) -> tuple[int, ...]:
        now_s = time.monotonic()
        owed = self._debts.count(request.unit_id, now_s)
        # whoever failed before may need a longer rest between two questions
        rest_s = min(_LONGEST_REST_S, self._quiet_s * 2 ** max(1, owed))
        shorter = self._debts.settling(request, now_s)
        for _ in range(owed + (shorter is not None) if owed else 0):
            settled = False
            with suppress(DeviceError):
                await self._ask(shorter or request, timeout_s)
                settled = shorter is not None
            await asyncio.sleep(rest_s)
            if settled:
                break
        if shorter is not None:
            self._debts.settle(request.unit_id)
        words = await self._ask(request, timeout_s)
        for _ in range(_READINGS):
            if not self._debts.is_doubtful(request, time.monotonic()):
                return words
            await asyncio.sleep(rest_s)
            before, words = words, await self._ask(request, timeout_s)
            if words == before:
                return words
        message = f"{self._line.name}: unit {request.unit_id} answers differently after a late one"
        raise WireError(message)

    async def _ask(self, request: Request, timeout_s: float) -> tuple[int, ...]:
        if not self._line.is_open:
            await self._line.open(self)
            self._heard_at, self._drain_s = time.monotonic(), 0.0
        await self._silence()
        self._take_stock()
        self._request = request
        asked_s = time.monotonic()
        self.counts.asked += 1
        try:
            words = await self._exchange(request, timeout_s)
        except DeviceError:
            self._take_stock(_REFUSAL_BYTES)
            self.counts.answered += 1
            raise
        except BaseException:
            # also when cancelled: the answer may still come
            self._debts.owe(request, asked_s)
            self._drain_s = max(self._quiet_s, self._slowest_s.get(request.unit_id, 0.0))
            raise
        self.counts.answered += 1
        if not self._debts.is_doubtful(request, asked_s):
            self._debts.settle(request.unit_id)
        return words

    async def _exchange(self, request: Request, timeout_s: float) -> tuple[int, ...]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[int, ...]] = loop.create_future()
        frame = rtu_frame(request.unit_id, request_pdu(request))
        busy_s = self._wire.frame_s(len(frame) + rtu_reply_length(request))
        self._sent_at = sent_at = time.monotonic() + self._wire.frame_s(len(frame))
        self._line.send(frame)
        self._answer, self._heard_at = answer, sent_at
        timer = loop.call_later(timeout_s + busy_s, self._expire)
        try:
            words = await answer
        finally:
            timer.cancel()
            if self._quiet is not None:
                self._quiet.cancel()
            self._answer = None
        self._take_stock(rtu_reply_length(request))
        self._note_pace(request.unit_id, self._heard_at - sent_at)
        return words

    async def _silence(self) -> None:
        """Wait for t3.5 on the wire; after a failure for longer, so that a late answer is gone."""
        silence_s = self._wire.silence_s
        if self._drain_s:
            silence_s, self._drain_s = self._drain_s, 0.0
            self._heard_at = max(self._heard_at, time.monotonic())
        while True:
            await sleep_until(self._heard_at + silence_s)
            if not self._line.is_open:
                message = f"{self._line.name}: the line hung up"
                raise LinkError(message)
            # bytes may lie there that the event loop, held up elsewhere, has not told of yet
            self._line.listen()
            if time.monotonic() >= self._heard_at + silence_s:
                return

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
        self._quiet = asyncio.get_running_loop().call_later(self._quiet_s, self._pause)

    def _pause(self) -> None:
        """Give up a question that got half an answer; another master's frames are none."""
        if overheard(bytes(self._buffer)).stray:
            self._expire()

    def _take_stock(self, answer_bytes: int = 0) -> None:
        """Count what was heard besides answers, and forget it."""
        if len(self._buffer) == answer_bytes:
            self._buffer.clear()
            return
        said = overheard(bytes(self._buffer))
        self._buffer.clear()
        self.counts.stray += said.stray
        asked = self._request.unit_id
        for found in said.frames:
            mine = found.unit_id == asked
            if mine and answer_bytes:
                continue
            if self._debts.pay(found.unit_id, found.pdu):
                self.counts.late += 1
                if mine:
                    self._note_pace(asked, self._heard_at - self._sent_at)
            elif not mine:
                self.counts.foreign += 1

    def _note_pace(self, unit_id: int, seconds: float) -> None:
        self._slowest_s[unit_id] = max(seconds, self._slowest_s.get(unit_id, 0.0))

    def _expire(self) -> None:
        unit_id = self._request.unit_id
        if self._buffer:
            self.counts.spoiled += 1
            by_unit = self.counts.spoiled_by_unit
            by_unit[unit_id] = by_unit.get(unit_id, 0) + 1
            shown = self._buffer[:64].hex(" ")
            self._fail(WireError(f"{self._line.name}: no answer of unit {unit_id} in: {shown}"))
        else:
            self.counts.silent += 1
            self._fail(LinkError(f"{self._line.name}: unit {unit_id} did not answer in time"))

    def _fail(self, error: ProtocolError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
