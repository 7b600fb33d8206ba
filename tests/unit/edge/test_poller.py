"""The owner of a bus: what it reads is recorded, and silence is told once."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from devices.driver import Link, Sample
from devices.modbus_meter import ModbusMeter
from devices.profile import load_profile
from devices.virtual_clock import VirtualClock
from edge.learning import Learner
from edge.poller import SILENT_AFTER, BusPoller, PolledDevice, to_reading
from edge.recorder import Recorder
from edge.schedule import Schedule
from protocols.delivery import batch
from protocols.delivery.records import MAX_COUNT, Event, Quality, Reading
from protocols.errors import LinkError
from protocols.io.pacing import PacedLink
from protocols.modbus.registers import encode
from tests.fixtures.delivery import START_US, OpenJournal

SAMPLE = Sample("energy_import", 1234, -2, "kWh", "good", (1, 2), 5, 6, billing=True)


class FakeLink:
    """Answers 7 kWh, or nobody answers."""

    def __init__(self) -> None:
        self.silent = False
        self.closed = False

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        assert patience_s == 0
        assert (unit_id, function, address, count) == (1, 4, 0x48, 2)
        if self.silent:
            raise LinkError("nobody answers")
        return encode(7.0, "float32", "ABCD")

    async def close(self) -> None:
        self.closed = True


class Collected(Recorder):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.events: list[Event] = []

    def add(self, readings: Sequence[Reading]) -> None:
        self.readings.extend(readings)

    async def note(self, event: Event) -> None:
        self.events.append(event)


def poller(link: FakeLink, recorder: Recorder) -> BusPoller:
    meter = ModbusMeter(load_profile("eastron-sdm120"), 1, ["energy_import"])
    clock, schedule = VirtualClock(START_US), Schedule({"e-1": (60,)})
    device = PolledDevice(Learner("e-1", meter, wire=None, journal=None))
    return BusPoller(
        "tcp-1", PacedLink(link), {"e-1": device}, schedule=schedule, clock=clock, recorder=recorder
    )


async def test_a_read_is_recorded_with_its_words() -> None:
    recorder = Collected()
    await poller(FakeLink(), recorder).poll("e-1")
    (row,) = recorder.readings
    assert (row.device, row.point, row.count, row.exponent) == ("e-1", "energy_import", 700, -2)
    assert row.words == bytes.fromhex("40e00000")
    assert row.read_at_us == START_US


async def test_silence_and_return_are_told_once() -> None:
    link, recorder = FakeLink(), Collected()
    owner = poller(link, recorder)
    link.silent = True
    for _ in range(SILENT_AFTER + 2):
        await owner.poll("e-1")
    link.silent = False
    await owner.poll("e-1")
    await owner.poll("e-1")
    assert [(event.device, event.kind) for event in recorder.events] == [
        ("e-1", "device_silent"),
        ("e-1", "device_back"),
    ]
    assert len(recorder.readings) == 2


async def test_one_lost_answer_tells_nothing() -> None:
    link, recorder = FakeLink(), Collected()
    owner = poller(link, recorder)
    for silent in (True, False) * 5:
        link.silent = silent
        await owner.poll("e-1")
    assert recorder.events == []


def test_words_travel_only_where_the_point_is_billed() -> None:
    assert to_reading("e-1", SAMPLE).words == b"\0\x01\0\x02"
    assert to_reading("e-1", replace(SAMPLE, billing=False)).words == b""


@pytest.mark.parametrize("count", [MAX_COUNT + 1, -MAX_COUNT - 1, 10**40])
def test_noise_that_no_column_holds_is_no_value(count: int, open_journal: OpenJournal) -> None:
    row = to_reading("e-1", replace(SAMPLE, count=count))
    assert (row.count, row.quality) == (None, Quality.OUT_OF_RANGE)
    assert row.words == b"\0\x01\0\x02"
    journal = open_journal()
    journal.append(1, [row], seal_at_us=START_US)
    assert journal.status(1).next == 2


def test_the_widest_counts_can_be_sealed() -> None:
    rows = [to_reading("e-1", replace(SAMPLE, count=count)) for count in (MAX_COUNT, -MAX_COUNT)]
    assert batch.records(batch.decode(batch.encode(rows, bytes(32)))) == rows


async def test_a_command_has_the_bus_before_any_poll() -> None:
    link, recorder = FakeLink(), Collected()
    owner = poller(link, recorder)

    async def command(bus: Link) -> tuple[int, ...]:
        assert recorder.readings == []
        return await bus.transact(1, 4, 0x48, 2)

    waiting = asyncio.create_task(owner.first(command))
    await asyncio.sleep(0)
    running = asyncio.create_task(owner.run())
    assert await asyncio.wait_for(waiting, 5) == encode(7.0, "float32", "ABCD")

    async def failing(bus: Link) -> None:
        del bus
        raise LinkError("nobody answers")

    with pytest.raises(LinkError):
        # the bus sleeps until the next minute: a command wakes it
        await asyncio.wait_for(owner.first(failing), 5)
    running.cancel()
    await asyncio.wait({running})
    assert link.closed
    assert len(recorder.readings) == 1


def test_what_is_read_by_a_clock_that_is_not_certain_is_undated() -> None:
    assert to_reading("e-1", SAMPLE, certain=False).quality == Quality.TIME_UNCERTAIN
    doubtful = replace(SAMPLE, quality="suspect")
    assert to_reading("e-1", doubtful, certain=False).quality == Quality.SUSPECT_UNDATED
