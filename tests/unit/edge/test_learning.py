"""What a gateway learns of a meter is used, kept, and forgotten when the meter may be another."""

import pytest

from devices.calibration import Limits
from devices.driver import Link
from devices.modbus_meter import ModbusMeter
from devices.profile import load_profile
from devices.virtual_clock import VirtualClock
from edge.learning import RELEARN_AFTER_US, Change, Learner
from protocols.errors import DeviceError, LinkError
from protocols.modbus.registers import encode
from protocols.modbus.wire import Wire
from tests.fixtures.delivery import START_US, OpenJournal

POINTS = ["voltage_l1", "voltage_l2", "voltage_l3", "current_l1", "current_l2", "energy_import"]
CLOCK = VirtualClock(START_US)


class Meter:
    """An SDM630 that answers 7 to reads of at most `longest` registers; else `code`, or silence."""

    def __init__(self, longest: int, code: int | None = 2, mode: float = 2.0) -> None:
        self.longest = longest
        self.code = code
        self.mode = mode
        self.asked: list[tuple[int, int]] = []

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        del unit_id, patience_s
        self.asked.append((address, count))
        if count > self.longest and self.code is None:
            raise LinkError("silence")
        if count > self.longest:
            raise DeviceError("refused", code=self.code or 0)
        value = self.mode if function == 3 else 7.0
        return encode(value, "float32", "ABCD") * (count // 2)

    async def close(self) -> None:
        return


def learner(profile: str, points: list[str], open_journal: OpenJournal | None = None) -> Learner:
    meter = ModbusMeter(load_profile(profile), 1, points)
    journal = None if open_journal is None else open_journal()
    return Learner("e-1", meter, wire=None, journal=journal)


async def polled(pupil: Learner, link: Link) -> int:
    """Poll until everything is answered; how many polls that took."""
    for number in range(1, 9):
        poll = await pupil.meter.poll(link, CLOCK)
        if not poll.refusals and not poll.failures:
            assert [sample.value for sample in poll.samples] == [7] * len(POINTS)
            return number
        await pupil.learn(link, poll)
    return pytest.fail("never learnt")


@pytest.mark.parametrize("code", [2, 3])
async def test_a_shorter_span_is_learnt_and_kept(code: int, open_journal: OpenJournal) -> None:
    link = Meter(4, code)
    pupil = learner("eastron-sdm630", POINTS, open_journal)
    assert await polled(pupil, link) == 2
    assert pupil.meter.limits.max_registers == 4
    link.asked.clear()
    again = learner("eastron-sdm630", POINTS, open_journal)
    assert await polled(again, link) == 1
    assert max(count for _, count in link.asked) == 4


async def test_silence_to_long_reads_is_a_limit_too() -> None:
    pupil = learner("eastron-sdm630", POINTS)
    # the first silence may be chance
    assert await polled(pupil, Meter(4, None)) == 3
    assert pupil.meter.limits.max_registers == 4


async def test_a_dead_meter_teaches_nothing() -> None:
    pupil, link = learner("eastron-sdm630", POINTS), Meter(0, None)
    for _ in range(5):
        await pupil.learn(link, await pupil.meter.poll(link, CLOCK))
    assert pupil.meter.limits == Limits()
    assert len(link.asked) == 6, "one short read, once"


async def test_a_busy_meter_teaches_nothing() -> None:
    pupil, link = learner("eastron-sdm630", POINTS), Meter(4, 6)
    await pupil.learn(link, await pupil.meter.poll(link, CLOCK))
    assert pupil.meter.limits == Limits()


async def test_a_meter_that_came_back_is_asked_for_more_once_an_hour(
    open_journal: OpenJournal,
) -> None:
    link = Meter(4)
    pupil = learner("eastron-sdm630", POINTS, open_journal)
    await polled(pupil, link)
    link.longest = 60
    await pupil.came_back(START_US)
    assert pupil.meter.limits == Limits()
    assert await polled(pupil, link) == 1
    link.longest = 4
    await polled(pupil, link)
    await pupil.came_back(START_US + RELEARN_AFTER_US - 1)
    assert pupil.meter.limits != Limits()


async def test_what_was_learnt_of_another_profile_is_forgotten(open_journal: OpenJournal) -> None:
    await polled(learner("eastron-sdm630", POINTS, open_journal), Meter(4))
    assert learner("eastron-sdm120", ["voltage"], open_journal).meter.limits == Limits()


async def test_a_changed_setting_is_noticed_across_runs(open_journal: OpenJournal) -> None:
    points = ["energy_import", "energy_total_mode"]
    link, pupil = Meter(60), learner("eastron-sdm120", points, open_journal)
    assert await pupil.changes((await pupil.meter.poll(link, CLOCK)).samples) == []
    link.mode = 1.0
    again = learner("eastron-sdm120", points, open_journal)
    samples = (await again.meter.poll(link, CLOCK)).samples
    assert await again.changes(samples) == [], "once may be an error of the meter"
    assert await again.changes(samples) == [Change("energy_total_mode", "2", "1")]
    assert await again.changes(samples) == []


async def test_a_slow_meter_gets_longer_reads() -> None:
    wire = Wire(baud=9600, turnaround_s=0.0)
    points = ["voltage", "power_factor"]
    meter = ModbusMeter(load_profile("eastron-sdm120"), 1, points, wire=wire)
    assert len(meter.blocks) == 2
    pupil = Learner("e-1", meter, wire=wire, journal=None)
    await pupil.answered(None)
    await pupil.answered(0.003)
    assert pupil.meter is meter
    await pupil.answered(0.4)
    assert len(pupil.meter.blocks) == 1
