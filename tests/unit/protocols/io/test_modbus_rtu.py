"""The native RTU link on a pty whose other end misbehaves on purpose."""

import asyncio
import os
import pty
import termios
import time
import tty
from collections.abc import Callable, Iterator

import pytest

from protocols.errors import DeviceError, LinkError, WireError
from protocols.io.modbus_rtu import ModbusRtuLink
from protocols.modbus.frames import exception_pdu, parse_rtu_request, reply_pdu, rtu_frame
from protocols.modbus.wire import Wire

# What the meter puts on the wire for a request frame: (delay in seconds, bytes), in order.
Behaviour = Callable[[bytes], list[tuple[float, bytes]]]
FAST = Wire(baud=115200)


class Line:
    """One end of a pty; notes when each request came and when its last answer byte went."""

    def __init__(self) -> None:
        self.end, self._client = pty.openpty()
        tty.setraw(self._client, termios.TCSANOW)
        self.path = os.ttyname(self._client)
        self.behaviour: Behaviour = good
        self.asked_at: list[float] = []
        self.answered_at: list[float] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        asyncio.get_running_loop().add_reader(self.end, self._on_bytes)

    def close(self) -> None:
        os.close(self.end)
        os.close(self._client)

    def _on_bytes(self) -> None:
        frame = os.read(self.end, 256)
        self.asked_at.append(time.monotonic())
        task = asyncio.get_running_loop().create_task(self._answer(self.behaviour(frame)))
        self._tasks.add(task)

    async def _answer(self, pieces: list[tuple[float, bytes]]) -> None:
        for delay_s, data in pieces:
            await asyncio.sleep(delay_s)
            self.answered_at.append(time.monotonic())
            os.write(self.end, data)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def answer(frame: bytes) -> bytes:
    request = parse_rtu_request(frame)
    return rtu_frame(request.unit_id, reply_pdu(request, tuple(range(1, request.count + 1))))


def good(frame: bytes) -> list[tuple[float, bytes]]:
    return [(0, answer(frame))]


def in_pieces(frame: bytes) -> list[tuple[float, bytes]]:
    return [(0.001, bytes((byte,))) for byte in answer(frame)]


def after_noise(frame: bytes) -> list[tuple[float, bytes]]:
    foreign = rtu_frame(9, bytes((3, 2, 0, 0)))
    return [(0, b"\x00" + foreign), (0.001, answer(frame))]


def spoiled(frame: bytes) -> list[tuple[float, bytes]]:
    return [(0, answer(frame)[:-1] + b"\x00")]


def mute(frame: bytes) -> list[tuple[float, bytes]]:
    del frame
    return []


def late(frame: bytes) -> list[tuple[float, bytes]]:
    return [(0.13, answer(frame))]


@pytest.mark.parametrize("behaviour", [good, in_pieces, after_noise])
async def test_words_arrive(line: Line, behaviour: Behaviour) -> None:
    line.listen()
    line.behaviour = behaviour
    link = ModbusRtuLink(line.path, FAST)
    assert await link.transact(1, 3, 0, 3) == (1, 2, 3)
    assert await link.transact(1, 4, 0, 1) == (1,)
    await link.close()


async def test_the_wire_is_silent_before_each_request(line: Line) -> None:
    line.listen()
    wire = Wire(baud=1200)
    link = ModbusRtuLink(line.path, wire)
    for _ in range(4):
        await link.transact(1, 3, 0, 1)
    await link.close()
    gaps = [a - b for a, b in zip(line.asked_at[1:], line.answered_at, strict=False)]
    assert len(gaps) == 3
    assert min(gaps) >= wire.silence_s


@pytest.mark.parametrize(("behaviour", "error"), [(spoiled, WireError), (mute, LinkError)])
async def test_no_valid_answer(line: Line, behaviour: Behaviour, error: type[Exception]) -> None:
    line.listen()
    line.behaviour = behaviour
    link = ModbusRtuLink(line.path, FAST, timeout_s=0.1)
    with pytest.raises(error):
        await link.transact(1, 3, 0, 2)
    line.behaviour = good
    assert await link.transact(1, 3, 0, 2) == (1, 2)
    await link.close()


async def test_a_late_answer_is_not_the_next_ones(line: Line) -> None:
    line.listen()
    line.behaviour = late
    link = ModbusRtuLink(line.path, FAST, timeout_s=0.1)
    with pytest.raises(LinkError):
        await link.transact(1, 3, 0x100, 2)
    line.behaviour = good
    # The late words of 0x100 arrive while the link waits for silence.
    asked = len(line.asked_at)
    assert await link.transact(1, 3, 0x200, 2) == (1, 2)
    assert line.asked_at[asked] > line.answered_at[0]
    await link.close()


async def test_a_refusal_is_the_devices(line: Line) -> None:
    line.listen()
    line.behaviour = lambda frame: [(0, rtu_frame(frame[0], exception_pdu(frame[1], 2)))]
    link = ModbusRtuLink(line.path, FAST)
    with pytest.raises(DeviceError) as caught:
        await link.transact(1, 3, 0, 2)
    assert caught.value.code == 2
    await link.close()


async def test_one_owner_per_line(line: Line) -> None:
    line.listen()
    first, second = ModbusRtuLink(line.path, FAST), ModbusRtuLink(line.path, FAST)
    await first.transact(1, 3, 0, 1)
    with pytest.raises(LinkError, match="no serial line of its own"):
        await second.transact(1, 3, 0, 1)
    await first.close()
    assert await second.transact(1, 3, 0, 1) == (1,)
    await second.close()


async def test_no_such_device(tmp_path: object) -> None:
    with pytest.raises(LinkError, match="cannot be opened"):
        await ModbusRtuLink(f"{tmp_path}/none").transact(1, 3, 0, 1)
