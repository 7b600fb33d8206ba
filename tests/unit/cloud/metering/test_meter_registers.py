"""Consumption of a meter point: telescoping, rollover, replacement, missing reads."""

from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.metering.registers import (
    BackwardsRegisterError,
    Install,
    MissingReadError,
    OverlappingInstallsError,
    RegisterRead,
    at_boundary,
    clean,
    difference,
    interval_reads,
    meter_point_consumption,
)

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
CAPACITY = 10_000
History = tuple[Install, list[RegisterRead], list[int]]


def meter(**changes: object) -> Install:
    """Give an install with sensible values, changed as asked."""
    values: dict[str, object] = {
        "meter_id": "M1",
        "exponent": -2,
        "capacity": CAPACITY,
        "max_per_hour": 500,
        "installed_at_us": 0,
        "start_count": 0,
    }
    return Install(**(values | changes))  # type: ignore[arg-type]  # values of a test


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A meter, its true reads (which may roll over) and the true running total at each read."""
    start_count = draw(st.integers(0, CAPACITY - 1))
    steps = draw(
        st.lists(st.tuples(st.integers(1, 8 * 60), st.integers(0, 40)), min_size=2, max_size=40)
    )
    install = meter(start_count=start_count)
    reads, totals, at_us, total = [], [], 0, 0
    for minutes, percent in steps:
        at_us += minutes * MINUTE_US
        total += 500 * minutes * percent // 6000
        reads.append(RegisterRead(at_us, (start_count + total) % CAPACITY))
        totals.append(total)
    return install, reads, totals


@given(histories(), st.randoms())
def test_intervals_of_a_span_add_up_to_its_consumption(history: History, random: Random) -> None:
    install, reads, totals = history
    first, last = reads[0].read_at_us, reads[-1].read_at_us
    inner = sorted({random.randint(first, last) for _ in range(6)} - {first, last})
    boundaries = [first, *inner, last]
    intervals = interval_reads(reads, boundaries, install=install)
    assert sum(interval.counts for interval in intervals) == totals[-1] - totals[0]
    assert all(interval.counts >= 0 for interval in intervals)
    assert all(a.end is b.start for a, b in pairwise(intervals))
    whole = meter_point_consumption([(install, reads)], first, last)
    assert whole.quantity == Decimal(totals[-1] - totals[0]).scaleb(-2)
    assert not whole.estimated


@given(histories(), st.randoms())
def test_adjoining_spans_share_their_boundary(history: History, random: Random) -> None:
    install, reads, totals = history
    last = reads[-1].read_at_us
    cut = random.randint(1, last - 1)
    before = meter_point_consumption([(install, reads)], 0, cut)
    after = meter_point_consumption([(install, reads)], cut, last)
    assert before.quantity + after.quantity == Decimal(totals[-1]).scaleb(-2)


@given(histories(), st.randoms())
def test_order_and_repetition_do_not_matter(history: History, random: Random) -> None:
    install, reads, _ = history
    shuffled = reads + random.choices(reads, k=5)
    random.shuffle(shuffled)
    kept, verdicts = clean(shuffled, install)
    assert kept == reads
    assert [verdict.rule for verdict in verdicts] == ["duplicate"] * 5
    span = (0, reads[-1].read_at_us)
    assert meter_point_consumption([(install, shuffled)], *span) == meter_point_consumption(
        [(install, reads)], *span
    )


@given(histories(), st.integers(0, 38))
def test_a_false_zero_is_never_billed(history: History, position: int) -> None:
    install, reads, totals = history
    at = min(position, len(reads) - 2)
    halfway = (reads[at].read_at_us + reads[at + 1].read_at_us) // 2
    spoiled = [*reads, RegisterRead(halfway, 0)]
    whole = meter_point_consumption([(install, spoiled)], 0, reads[-1].read_at_us)
    assert whole.quantity == Decimal(totals[-1]).scaleb(-2)


def test_a_false_zero_near_the_capacity_is_no_rollover() -> None:
    install = meter(start_count=9_900)
    counts = [9_950, 0, 9_960, 9_970]
    reads = [RegisterRead(HOUR_US * n, count) for n, count in enumerate(counts, 1)]
    kept, verdicts = clean(reads, install)
    assert [read.count for read in kept] == [9_950, 9_960, 9_970]
    assert [(verdict.rule, verdict.read.count) for verdict in verdicts] == [("false-zero", 0)]


def test_a_fall_by_one_step_is_ignored() -> None:
    install = meter()
    counts = [100, 101, 100, 101, 103]
    kept, verdicts = clean([RegisterRead(HOUR_US * n, c) for n, c in enumerate(counts, 1)], install)
    assert [read.count for read in kept] == [100, 101, 101, 103]
    assert [verdict.rule for verdict in verdicts] == ["backwards-small"]


@pytest.mark.parametrize("max_per_hour", [500, None])
def test_a_spike_that_comes_back_is_set_aside(max_per_hour: int | None) -> None:
    install = meter(max_per_hour=max_per_hour, capacity=None)
    counts = [100, 110, 5_374, 120, 130]
    kept, verdicts = clean([RegisterRead(HOUR_US * n, c) for n, c in enumerate(counts, 1)], install)
    assert [read.count for read in kept] == [100, 110, 120, 130]
    assert [(verdict.rule, verdict.read.count) for verdict in verdicts] == [("spike", 5_374)]


def test_a_lasting_fall_bills_nothing_until_somebody_records_the_reset() -> None:
    install = meter(start_count=4_000)
    counts = [4_100, 4_200, 7, 17, 27]
    reads = [RegisterRead(HOUR_US * (n + 1), c) for n, c in enumerate(counts)]
    kept, verdicts = clean(reads, install)
    assert [read.count for read in kept] == [4_100, 4_200]
    assert [verdict.rule for verdict in verdicts] == ["backwards"] * 3
    with pytest.raises(MissingReadError) as caught:
        meter_point_consumption([(install, reads)], 0, 5 * HOUR_US)
    assert caught.value.boundary_us == 5 * HOUR_US


def test_reads_that_contradict_each_other_are_both_set_aside() -> None:
    reads = [RegisterRead(HOUR_US, 10), RegisterRead(HOUR_US, 12), RegisterRead(2 * HOUR_US, 20)]
    kept, verdicts = clean(reads, meter())
    assert kept == [reads[2]]
    assert [verdict.rule for verdict in verdicts] == ["conflicting", "conflicting"]


def test_a_real_read_outranks_an_estimate_of_the_same_instant() -> None:
    real, guess = RegisterRead(HOUR_US, 10), RegisterRead(HOUR_US, 12, estimated=True)
    kept, verdicts = clean([guess, real], meter())
    assert kept == [real]
    assert [verdict.read for verdict in verdicts] == [guess]


def test_reads_outside_the_install_or_the_register_are_set_aside() -> None:
    install = meter(installed_at_us=HOUR_US, removed_at_us=3 * HOUR_US, end_count=50)
    reads = [
        RegisterRead(0, 1),
        RegisterRead(2 * HOUR_US, CAPACITY),
        RegisterRead(4 * HOUR_US, 60),
    ]
    kept, verdicts = clean(reads, install)
    assert kept == []
    assert [verdict.rule for verdict in verdicts] == [
        "outside-install",
        "out-of-range",
        "outside-install",
    ]


@pytest.mark.parametrize(
    ("start", "end", "capacity", "max_counts", "expected"),
    [(5, 9, None, None, 4), (9_990, 5, CAPACITY, 15, 15), (0, 0, CAPACITY, 0, 0)],
)
def test_difference(
    start: int, end: int, capacity: int | None, max_counts: int | None, expected: int
) -> None:
    assert difference(start, end, capacity=capacity, max_counts=max_counts) == expected


@pytest.mark.parametrize(
    ("capacity", "max_counts", "why"),
    [(None, 100, "no capacity"), (CAPACITY, 14, "15 counts"), (CAPACITY, None, "max_per_hour")],
)
def test_a_fall_that_is_no_rollover_names_both_reads(
    capacity: int | None, max_counts: int | None, why: str
) -> None:
    with pytest.raises(BackwardsRegisterError, match=rf"9990 to 5.*{why}") as caught:
        difference(9_990, 5, capacity=capacity, max_counts=max_counts)
    assert (caught.value.start, caught.value.end) == (9_990, 5)


def test_a_poll_stamped_seconds_later_is_the_boundary_read() -> None:
    reads = [RegisterRead(0, 100), RegisterRead(HOUR_US + 4_000_000, 160)]
    edge = at_boundary(reads, HOUR_US)
    assert edge is not None
    assert (edge.count, edge.read_at_us, edge.estimated) == (160, [HOUR_US + 4_000_000], False)


def test_between_reads_the_register_is_interpolated_and_flagged() -> None:
    reads = [RegisterRead(0, 100), RegisterRead(3 * HOUR_US, 110)]
    edge = at_boundary(reads, HOUR_US)
    assert edge is not None
    assert (edge.count, edge.read_at_us, edge.estimated) == (103, [0, 3 * HOUR_US], True)
    assert at_boundary(reads, 3 * HOUR_US + 1) is None
    assert at_boundary(reads, -2 * MINUTE_US) is None


def test_interpolation_crosses_a_rollover() -> None:
    install = meter(start_count=9_900)
    reads = [RegisterRead(0, 9_900), RegisterRead(2 * HOUR_US, 100)]
    intervals = interval_reads(
        reads, [0, HOUR_US // 2, HOUR_US * 3 // 2, 2 * HOUR_US], install=install
    )
    assert [interval.counts for interval in intervals] == [50, 100, 50]
    assert [interval.estimated for interval in intervals] == [True, True, True]


def test_minute_intervals_do_not_borrow_the_next_boundary() -> None:
    reads = [RegisterRead(0, 0), RegisterRead(2 * MINUTE_US, 10)]
    intervals = interval_reads(reads, [0, MINUTE_US, 2 * MINUTE_US])
    assert [interval.counts for interval in intervals] == [5, 5]


@given(
    used_old=st.integers(0, 900),
    used_new=st.integers(0, 900),
    multipliers=st.tuples(st.sampled_from(["1", "40", "1.5"]), st.sampled_from(["1", "30"])),
)
def test_a_replaced_meter_counts_to_its_end_and_the_new_one_from_its_start(
    used_old: int, used_new: int, multipliers: tuple[str, str]
) -> None:
    old = meter(
        start_count=9_500,
        multiplier=Decimal(multipliers[0]),
        removed_at_us=10 * HOUR_US,
        end_count=(9_500 + used_old) % CAPACITY,
    )
    new = meter(
        meter_id="M2",
        exponent=-1,
        multiplier=Decimal(multipliers[1]),
        installed_at_us=11 * HOUR_US,
        start_count=3,
    )
    new_reads = [RegisterRead(20 * HOUR_US + 1, 3 + used_new)]
    whole = meter_point_consumption([(new, new_reads), (old, [])], 0, 20 * HOUR_US)
    expected = Decimal(used_old) * Decimal(multipliers[0]) / 100
    expected += Decimal(used_new) * Decimal(multipliers[1]) / 10
    assert whole.quantity == expected
    assert [part.install.meter_id for part in whole.parts] == ["M1", "M2"]
    assert [part.counts for part in whole.parts] == [used_old, used_new]


def test_a_missing_closing_read_is_an_error_with_its_boundary() -> None:
    reads = [RegisterRead(HOUR_US, 10)]
    with pytest.raises(MissingReadError) as caught:
        meter_point_consumption([(meter(), reads)], 0, 2 * HOUR_US)
    assert caught.value.boundary_us == 2 * HOUR_US


def test_a_removal_without_its_count_is_an_error() -> None:
    install = meter(removed_at_us=HOUR_US)
    with pytest.raises(MissingReadError, match="no removal count"):
        meter_point_consumption([(install, [])], 0, HOUR_US)


@pytest.mark.parametrize(("start_hours", "end_hours"), [(0, 90), (20, 120)])
def test_a_span_without_a_meter_is_never_zero(start_hours: int, end_hours: int) -> None:
    install = meter(installed_at_us=10 * HOUR_US, removed_at_us=100 * HOUR_US, end_count=5)
    reads = [RegisterRead(90 * HOUR_US, 4)]
    with pytest.raises(MissingReadError, match="no meter"):
        meter_point_consumption([(install, reads)], start_hours * HOUR_US, end_hours * HOUR_US)


def test_two_meters_at_once_are_refused() -> None:
    with pytest.raises(OverlappingInstallsError, match="M2"):
        meter_point_consumption(
            [(meter(), []), (meter(meter_id="M2", installed_at_us=HOUR_US), [])], 0, 2 * HOUR_US
        )


def test_a_fitters_count_below_the_last_poll_names_the_two_reads() -> None:
    install = meter(removed_at_us=2 * HOUR_US, end_count=90)
    with pytest.raises(BackwardsRegisterError, match=r"from 100 .* to 90 "):
        meter_point_consumption([(install, [RegisterRead(HOUR_US, 100)])], 0, 2 * HOUR_US)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"multiplier": Decimal(0)}, "multiplier"),
        ({"start_count": CAPACITY}, "start_count"),
        ({"removed_at_us": -1}, "removed_at_us"),
        ({"capacity": 0}, "capacity"),
    ],
)
def test_an_impossible_install_is_refused(changes: dict[str, object], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        meter(**changes)
