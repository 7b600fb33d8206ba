"""A meter's plan and the samples it makes."""

import math
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.driver import Sample
from devices.modbus_meter import ModbusMeter
from devices.point_decoder import decode_words
from devices.profile import load_profile, profiles_folder
from devices.virtual_clock import VirtualClock
from protocols.errors import ConfigError, DeviceError, LinkError
from protocols.modbus.plan import Block
from protocols.modbus.registers import decode, encode, to_count
from protocols.modbus.wire import Wire

CLOCK = VirtualClock(1_700_000_000_000_000)


def meter_of(profile: str, *points: str, **multipliers: str) -> ModbusMeter:
    ratios = {name: Decimal(ratio) for name, ratio in multipliers.items()}
    return ModbusMeter(load_profile(profile), 5, points, ratios)


class Script:
    """Answers from a table of blocks; an exception in it is raised."""

    def __init__(self, answers: dict[int, tuple[int, ...] | Exception]) -> None:
        self.answers = answers
        self.asked: list[tuple[int, int, int, int]] = []

    def answer(self, unit_id: int, function: int, address: int, count: int) -> tuple[int, ...]:
        self.asked.append((unit_id, function, address, count))
        answer = self.answers[address]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        del patience_s
        return self.answer(unit_id, function, address, count)

    async def close(self) -> None:
        pass


def test_the_plan_follows_the_profile() -> None:
    assert meter_of("xintai-water", "total_positive", "flow_rate").blocks == (Block(3, 1, 6),)
    # 62 registers from power to energy are more than this meter gives at once.
    assert len(meter_of("eastron-sdm120", "energy_import", "active_power").blocks) == 2
    slow = ModbusMeter(
        load_profile("eastron-sdm630"), 1, ["voltage_l1", "energy_import"], wire=Wire(baud=1200)
    )
    assert slow.blocks == (Block(4, 0, 2), Block(4, 72, 2))


async def test_read_stamps_each_answer_and_keeps_the_words() -> None:
    meter = meter_of("eastron-sdm630", "energy_import")
    script = Script({0x48: (0x4780, 0x0001)})
    expected = Sample(
        "energy_import",
        6553601,
        -2,
        "kWh",
        "good",
        (0x4780, 0x0001),
        CLOCK.at_us,
        CLOCK.at_us,
        True,  # noqa: FBT003 - the last field says it is billed
    )
    assert await meter.read(script, CLOCK) == [expected]
    assert meter.read_now(script.answer, CLOCK) == [expected]
    assert expected.value == Decimal("65536.01")
    assert script.asked == [(5, 4, 0x48, 2)] * 2


def test_power_is_multiplied_and_the_register_is_not() -> None:
    meter = meter_of("acrel-adl400", "energy_import", "active_power", ct="40", pt="1")
    script = Script({0x0A: (0, 12345), 0x16A: (0xFFFF, 0xFFFE)})
    energy, power = meter.read_now(script.answer, CLOCK)
    assert (energy.count, energy.exponent) == (12345, -2)
    assert (power.count, power.uom) == (-80, "W")


@pytest.mark.parametrize(
    ("words", "count", "quality"),
    [
        ((0xFFFF, 0xFFFF), None, "missing"),
        ((0xFFFF, 0xFFFE), 4294967294, "good"),
    ],
)
def test_a_sentinel_is_missing(words: tuple[int, ...], count: int | None, quality: str) -> None:
    (sample,) = meter_of("acrel-adl400", "energy_import").read_now(
        Script({0x0A: words}).answer, CLOCK
    )
    assert (sample.count, sample.quality, sample.words) == (count, quality, words)


@pytest.mark.parametrize(
    ("raw", "quality"),
    [(230.0, "good"), (30.0, "out_of_range"), (math.nan, "missing"), (math.inf, "missing")],
)
def test_qualities_of_a_float(raw: float, quality: str) -> None:
    words = encode(raw, "float32", "ABCD")
    (sample,) = meter_of("eastron-sdm120", "voltage").read_now(Script({0: words}).answer, CLOCK)
    assert sample.quality == quality
    assert (sample.count is None) == (quality == "missing")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_fast_way_counts_as_the_exact_one(raw: float) -> None:
    words = encode(raw, "float32", "ABCD")
    (sample,) = meter_of("chint-dtsu666", "active_power", ct="3").read_now(
        Script({0x2012: words}).answer, CLOCK
    )
    assert sample.count == to_count(raw, scale=Decimal("0.3"), resolution_exponent=0)


@given(st.integers(0, 2**31), st.sampled_from([0, 1, -1]))
def test_exact_halves_too(half: int, nudge: int) -> None:
    words = encode(half + 0.5, "float32", "ABCD")
    bits = (words[0] << 16 | words[1]) + nudge
    words = (bits >> 16, bits & 0xFFFF)
    (sample,) = meter_of("eastron-sdm120", "active_power").read_now(
        Script({0x0C: words}).answer, CLOCK
    )
    raw = decode(words, "float32", "ABCD")
    assert sample.count == to_count(raw, scale=Decimal(1), resolution_exponent=0)


async def test_one_refused_block_is_missing_and_all_refused_is_an_error() -> None:
    meter = meter_of("eastron-sdm120", "energy_import", "voltage")
    refusal = DeviceError("no", code=2)
    first, second = (block.address for block in meter.blocks)
    script = Script({first: refusal, second: encode(1.5, "float32", "ABCD")})
    voltage, energy = await meter.read(script, CLOCK)
    assert (voltage.quality, voltage.words) == ("missing", ())
    assert energy.value == Decimal("1.50")
    with pytest.raises(DeviceError):
        await meter.read(Script({first: refusal, second: refusal}), CLOCK)
    silence = Script({first: LinkError("nobody"), second: (0, 0)})
    with pytest.raises(LinkError):
        await meter.read(silence, CLOCK)
    assert len(silence.asked) == 1


def test_unknown_points_and_multipliers_are_refused() -> None:
    with pytest.raises(ConfigError, match="'colour': allowed for xintai-water are total_positive"):
        meter_of("xintai-water", "colour")
    with pytest.raises(ConfigError, match="multipliers: 'vt': allowed are ct, pt"):
        meter_of("acrel-adl400", "active_power", vt="1")
    with pytest.raises(ConfigError, match=r"multipliers.ct: 0: allowed are numbers above 0"):
        meter_of("acrel-adl400", "active_power", ct="0")


def test_the_identification_of_an_em340_has_its_own_request() -> None:
    meter = meter_of("carlo-gavazzi-em340", "voltage_l1", "identification", "current_l1")
    assert meter.blocks == (Block(4, 0, 2), Block(4, 0x0B, 1), Block(4, 0x0C, 2))
    assert meter.patience_s == 0.6
    (_, identification, _) = meter.blocks
    (sample,) = meter.decode(identification, (341,), at_us=0, monotonic_us=0)
    assert (sample.point, sample.count) == ("identification", 341)


def test_words_of_a_longer_read_say_nothing_of_a_register_that_is_read_alone() -> None:
    profile = load_profile("carlo-gavazzi-em340")
    words = (0x090A, 0) + (0,) * 9 + (0x0155,)
    assert [sample.point for sample in decode_words(profile, 4, 0, words)] == [
        "voltage_l1",
        "voltage_l2",
        "voltage_l3",
    ]
    assert [sample.count for sample in decode_words(profile, 4, 0x0B, (0x0155,))] == [341]
    assert decode_words(profile, 3, 0, words) == []


def test_each_point_comes_from_one_block_even_where_registers_overlap(tmp_path: Path) -> None:
    text = (profiles_folder() / "carlo-gavazzi-em340.yaml").read_text(encoding="utf-8")
    entry = "points:\n  voltage_l31: {name: {zh: 线电压, en: L3-L1}, address: 0x000A, type: int32,"
    entry += ' scale: "0.1", uom: V, resolution: "0.1"}\n'
    path = tmp_path / "em340.yaml"
    path.write_text(text.replace("points:\n", entry, 1), encoding="utf-8")
    meter = ModbusMeter(load_profile(path), 1, ["voltage_l31", "identification"])
    assert meter.blocks == (Block(4, 0x0A, 2), Block(4, 0x0B, 1))
    script = Script({0x0A: (4001, 0), 0x0B: (341,)})
    counts = {sample.point: sample.count for sample in meter.read_now(script.answer, CLOCK)}
    assert counts == {"voltage_l31": 4001, "identification": 341}


V230 = encode(230.0, "float32", "ABCD")


async def test_only_what_is_due_is_read() -> None:
    meter = ModbusMeter(
        load_profile("eastron-sdm630"),
        1,
        ["voltage_l1", "energy_import"],
        periods={"voltage_l1": (10,), "energy_import": (60, 900)},
    )
    link = Script({0: V230, 0x48: V230})
    for due, points in (
        ({10}, ["voltage_l1"]),
        ({60}, ["energy_import"]),
        ({10, 60, 900}, ["voltage_l1", "energy_import"]),
    ):
        poll = await meter.poll(link, CLOCK, frozenset(due))
        assert not poll.failures
        assert sorted(sample.point for sample in poll.samples) == sorted(points)


async def test_a_silent_block_takes_no_other_away() -> None:
    meter = meter_of("eastron-sdm630", "voltage_l1", "energy_import_l1")
    poll = await meter.poll(Script({0: V230, 0x15A: LinkError("silence")}), CLOCK)
    assert [sample.point for sample in poll.samples] == ["voltage_l1"]
    assert [block.address for block in poll.failures] == [0x15A]


@pytest.mark.parametrize(
    ("counts", "read"), [([100, 100], 1.0), ([100, 7, 100], 1.0), ([100, 99, 7, 3], None)]
)
async def test_a_double_read_believes_two_that_agree(counts: list[int], read: float | None) -> None:
    class Moving(Script):
        """Answers one count after the other."""

        def answer(self, unit_id: int, function: int, address: int, count: int) -> tuple[int, ...]:
            self.answers[0x48] = encode(counts[len(self.asked)] / 100, "float32", "ABCD")
            return super().answer(unit_id, function, address, count)

    meter = ModbusMeter(load_profile("eastron-sdm120"), 1, ["energy_import"], double_read=True)
    poll = await meter.poll(Moving({}), CLOCK)
    assert [float(sample.value or 0) for sample in poll.samples] == ([] if read is None else [read])
    assert bool(poll.failures) == (read is None)
