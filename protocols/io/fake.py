"""The Modbus link in memory: canned answers, scripted failures, the same port and matcher."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from protocols.errors import DeviceError, LinkError, ProtocolError, WireError
from protocols.modbus.frames import (
    ILLEGAL_ADDRESS,
    WRITE_COIL,
    WRITE_COILS,
    Request,
    exception_pdu,
    find_rtu,
    reply_pdu,
    request_pdu,
    rtu_frame,
)


@dataclass(frozen=True, slots=True)
class HangUp:
    """The step of a script that takes the connection away."""


# What happens after a request, in order: seconds that pass, bytes of RTU frames, or the end.
Step = float | bytes | HangUp
Script = Callable[[Request], Iterable[Step]]


class FakeLink:
    """A link to units in memory; `asked` has every request, `connections` how often it opened."""

    def __init__(self, *, timeout_s: float = 1.0) -> None:
        self.asked: list[Request] = []
        self.connections = 0
        self.dropped = 0
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()
        self._open = False
        self._lost = asyncio.Event()
        self._words: dict[tuple[int, int, int], int] = {}
        self._failures: dict[tuple[int, int], ProtocolError] = {}
        self._scripts: deque[Script] = deque()

    def put(self, unit_id: int, function: int, address: int, *words: int) -> None:
        """Store words (or bits) of a unit; what was never stored is refused with exception 2."""
        for place, word in enumerate(words, address):
            self._words[unit_id, function, place] = word

    def fail_read(self, unit_id: int, address: int, error: ProtocolError | None = None) -> None:
        """Fail reads that begin at an address (silence unless told) until `restore_read`."""
        silence = LinkError(f"unit {unit_id} did not answer in time")
        self._failures[unit_id, address] = error or silence

    def restore_read(self, unit_id: int, address: int) -> None:
        """Let reads that begin at an address succeed again."""
        self._failures.pop((unit_id, address), None)

    def simulate_connection_lost(self) -> None:
        """Take the connection away: an open request fails now, the next one opens it again."""
        self._open = False
        self._lost.set()

    def script(self, *scripts: Script) -> None:
        """Answer the coming requests by these scripts, one each, instead of from memory."""
        self._scripts += scripts

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        """Words (or bits) of one read; LinkError, DeviceError or WireError."""
        async with self._turn:
            request = Request(unit_id, function, address, count)
            request_pdu(request)
            if not self._open:
                self.connections += 1
                self._open = True
                self._lost.clear()
            self.asked.append(request)
            failure = self._failures.get((unit_id, address))
            if failure is not None:
                raise failure
            script = self._scripts.popleft() if self._scripts else self._from_memory
            return await self._play(script(request), request, max(self._timeout_s, patience_s))

    async def write(
        self, unit_id: int, function: int, address: int, values: tuple[int, ...]
    ) -> None:
        """Store bits or words where reads of the same kind find them; refused where none are."""
        request = Request(unit_id, function, address, len(values), values)
        request_pdu(request)
        self.asked.append(request)
        reads = 1 if function in (WRITE_COIL, WRITE_COILS) else 3
        if (unit_id, reads, address) not in self._words:
            message = f"unit {unit_id} refused function {function} at {address:#06x}"
            raise DeviceError(message, code=ILLEGAL_ADDRESS)
        self.put(unit_id, reads, address, *values)

    async def close(self) -> None:
        """Drop the connection; the next transact opens it again."""
        self._open = False

    async def _play(
        self, steps: Iterable[Step], request: Request, timeout_s: float
    ) -> tuple[int, ...]:
        left_s, heard = timeout_s, b""
        late = False
        for step in steps:
            if isinstance(step, HangUp) and not late:
                self.simulate_connection_lost()
            elif isinstance(step, bytes) and late:
                self.dropped += len(step)
            elif isinstance(step, bytes):
                heard += step
                words = find_rtu(heard, request)
                if words is not None:
                    return words
            elif isinstance(step, float | int) and not late:
                late = step >= left_s
                await self._pass(min(step, left_s))
                left_s -= step
            self._check_connected()
        if not late:
            await self._pass(left_s)
            self._check_connected()
        if heard:
            message = f"no answer of unit {request.unit_id} in: {heard.hex(' ')}"
            raise WireError(message)
        message = f"unit {request.unit_id} did not answer in time"
        raise LinkError(message)

    async def _pass(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        except TimeoutError:
            return

    def _check_connected(self) -> None:
        if self._lost.is_set():
            message = "the connection was lost"
            raise LinkError(message)

    def _from_memory(self, request: Request) -> Iterable[Step]:
        places = range(request.address, request.address + request.count)
        keys = [(request.unit_id, request.function, place) for place in places]
        if all(key in self._words for key in keys):
            pdu = reply_pdu(request, tuple(self._words[key] for key in keys))
        else:
            pdu = exception_pdu(request.function, ILLEGAL_ADDRESS)
        return (rtu_frame(request.unit_id, pdu),)
