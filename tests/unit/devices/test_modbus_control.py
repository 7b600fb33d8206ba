"""A control is written once and read back; a pulse always ends."""

import asyncio

import pytest
from pydantic import ValidationError

from devices.control import Control, controls_fault
from devices.modbus_control import apply
from protocols.commands import Action
from protocols.errors import DeviceError, WireError
from protocols.io.fake import FakeLink

VALVE = Control(function=5, address=1, values=(1,), source="manual")
RELAY = Control(function=5, address=2, values=(1,), rest=(0,), source="manual")
WORDS = Control(function=16, address=0x10, values=(7, 9), source="manual")


async def test_writes_and_reads_back() -> None:
    link = FakeLink()
    link.put(1, 1, 1, 0)
    link.put(1, 3, 0x10, 0, 0)
    assert await apply(link, 1, VALVE) == "reads 1"
    assert await apply(link, 1, WORDS) == "reads 7 9"
    assert [request.function for request in link.asked] == [5, 1, 16, 3]


class Stuck(FakeLink):
    """Takes writes and keeps its value."""

    async def write(
        self, unit_id: int, function: int, address: int, values: tuple[int, ...]
    ) -> None:
        """Do nothing."""


async def test_what_reads_otherwise_has_failed() -> None:
    link = Stuck()
    link.put(1, 1, 1, 0)
    with pytest.raises(WireError, match="reads 0 after 1 was written"):
        await apply(link, 1, VALVE)


async def test_a_refusal_is_told_and_not_repeated() -> None:
    link = FakeLink()
    with pytest.raises(DeviceError):
        await apply(link, 1, VALVE)
    assert len(link.asked) == 1


async def test_a_pulse_is_held_and_ends_also_when_nobody_waits_for_it() -> None:
    link = FakeLink()
    link.put(1, 1, 2, 0)
    assert await apply(link, 1, RELAY, pulse_ms=20) == "held for 20 ms, reads 0"
    assert [request.values for request in link.asked] == [(1,), (0,), ()]
    task = asyncio.create_task(apply(link, 1, RELAY, pulse_ms=50))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await link.transact(1, 1, 2, 1)) == (0,)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"values": (2,)}, "allowed are 0..1"),
        ({"values": (1, 0)}, "function 5 writes one"),
        ({"rest": (1,)}, "rest"),
        ({"function": 16, "address": 0xFFFF, "values": (1, 2)}, "beyond 0xffff"),
    ],
)
def test_a_wrong_control_is_refused(changed: dict[str, object], what: str) -> None:
    whole = {"function": 5, "address": 1, "values": (1,), "source": "manual"} | changed
    with pytest.raises(ValidationError, match=what):
        Control.model_validate(whole)


def test_a_pulse_has_a_rest_and_nothing_else_has() -> None:
    assert controls_fault({Action.PULSE: RELAY, Action.OPEN_VALVE: VALVE}) is None
    assert "rest" in str(controls_fault({Action.PULSE: VALVE}))
    assert "rest" in str(controls_fault({Action.OPEN_VALVE: RELAY}))
    assert "allowed are" in str(controls_fault({Action.OPEN_DOOR: VALVE}))
