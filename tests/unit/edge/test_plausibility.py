"""Qualities that only a history gives: falls, leaps, and values that stand still."""

from decimal import Decimal

from devices.driver import Sample
from edge.plausibility import CONFIRMED_AFTER, STALE_READS, Fall, Plausibility

MINUTE_US = 60_000_000


def register(count: int | None, minute: int = 0) -> Sample:
    """A billed register in steps of 0.01 kWh."""
    quality = "missing" if count is None else "good"
    at_us = minute * MINUTE_US
    return Sample("energy_import", count, -2, "kWh", quality, (0, 1), at_us, at_us, billing=True)


def voltage(count: int, minute: int) -> Sample:
    at_us = minute * MINUTE_US
    return Sample("voltage", count, -1, "V", "good", (1,), at_us, at_us, billing=False)


def qualities(judge: Plausibility, counts: list[int | None]) -> tuple[list[str], list[Fall]]:
    told, falls = [], []
    for minute, count in enumerate(counts):
        samples, fell = judge.judge([register(count, minute)])
        told.append(samples[0].quality)
        falls += fell
        assert samples[0].count == count, "a value was changed"
    return told, falls


def test_a_zero_between_two_reads_bills_nothing() -> None:
    # documented: 40482.83, 0.0, 40482.83
    told, falls = qualities(Plausibility(), [4_048_283, 0, 4_048_283, 4_048_290])
    assert told == ["good", "suspect", "good", "good"]
    assert falls == []


def test_a_step_back_is_no_event() -> None:
    told, falls = qualities(Plausibility(), [202_928, 202_927, 202_928])
    assert (told, falls) == (["good", "suspect", "good"], [])
    # a home without use: the register stays one step lower for good
    told, falls = qualities(Plausibility(), [202_928] + [202_927] * CONFIRMED_AFTER)
    assert told == ["good", "suspect", "suspect", "good"]
    assert falls == []


def test_a_register_that_stays_low_is_believed_and_told_once() -> None:
    told, falls = qualities(Plausibility(), [500_000, 0, 1, 2, 3, None, 4])
    assert told == ["good", "suspect", "suspect", "good", "good", "missing", "good"]
    assert falls == [Fall("energy_import", 500_000, 2, -2)]


def test_noise_never_confirms_itself() -> None:
    told, _ = qualities(Plausibility(), [500_000, 7, 3, 400_000, 2, 1, 500_001])
    assert told == ["good", "suspect", "suspect", "suspect", "suspect", "suspect", "good"]


def test_a_leap_is_suspect_where_the_most_is_known() -> None:
    # 7 kW is 0.1167 kWh a minute; documented: 53.7 MWh within one
    told, falls = qualities(Plausibility(Decimal(7)), [100, 111, 5_370_111, 130, 141])
    assert told == ["good", "good", "suspect", "good", "good"]
    assert falls == []
    # without a bound of its own only what no meter can count
    assert qualities(Plausibility(), [100, 10_111])[0] == ["good", "good"]
    assert qualities(Plausibility(), [100, 5_370_111, 130])[0] == ["good", "suspect", "good"]


def test_voltage_that_stands_still_makes_its_device_stale() -> None:
    judge, told = Plausibility(), []
    for minute in range(200):
        at = 2300 if minute >= 20 else 2300 + minute % 3
        samples, _ = judge.judge([register(1000 + minute, minute), voltage(at, minute)])
        told.append({sample.quality for sample in samples})
    first = told.index({"stale"})
    assert first == 20 + 60
    assert all(quality == {"stale"} for quality in told[first:])
    samples, _ = judge.judge([register(2000, 200), voltage(2301, 200)])
    assert {sample.quality for sample in samples} == {"good"}


def test_a_register_that_stands_still_is_a_home_without_use() -> None:
    told, _ = qualities(Plausibility(), [100] * (STALE_READS * 10))
    assert set(told) == {"good"}
