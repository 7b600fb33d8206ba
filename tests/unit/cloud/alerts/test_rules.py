"""Alert rules: hysteresis, duration, silence, and the quietest hour of the night."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.alerts.rules import (
    Change,
    NightFlow,
    Threshold,
    ThresholdState,
    cross,
    device_silent,
    gateway_silent,
    night_flow,
)

RULE = Threshold(Decimal(100), Decimal(90), 60)
SECOND_US = 1_000_000


def changes(*values: tuple[int, str], rule: Threshold = RULE) -> list[Change | None]:
    state, told = ThresholdState(), []
    for at_s, value in values:
        state, change = cross(rule, state, at_s * SECOND_US, Decimal(value))
        told.append(change)
    return told


def test_it_must_last() -> None:
    assert changes((0, "100"), (59, "100"), (60, "100")) == [None, None, "raise"]


def test_a_dip_begins_the_wait_anew() -> None:
    assert changes((0, "100"), (30, "99.99"), (59, "100"), (61, "100"), (119, "100")) == [
        None,
        None,
        None,
        None,
        "raise",
    ]


def test_without_a_duration_it_is_told_at_once() -> None:
    assert changes((0, "100"), rule=Threshold(Decimal(100), Decimal(90), 0)) == ["raise"]


def test_it_clears_only_below_the_lower_limit() -> None:
    assert changes((0, "100"), (60, "101"), (70, "90"), (80, "99"), (90, "89.9")) == [
        None,
        "raise",
        None,
        None,
        "clear",
    ]


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(80, 110)), max_size=40))
def test_raise_and_clear_alternate(steps: list[tuple[int, int]]) -> None:
    state, at_us, told = ThresholdState(), 0, list[str]()
    for wait_s, value in steps:
        at_us += wait_s * SECOND_US
        state, change = cross(RULE, state, at_us, Decimal(value))
        if change is not None:
            told.append(change)
    assert told == ["raise", "clear"] * (len(told) // 2) + ["raise"] * (len(told) % 2)


@pytest.mark.parametrize(
    ("last_seen_s", "silent"), [(None, False), (0, True), (49, True), (50, False), (200, False)]
)
def test_a_gateway_is_silent_after_150_seconds(last_seen_s: int | None, *, silent: bool) -> None:
    seen_us = None if last_seen_s is None else last_seen_s * SECOND_US
    assert gateway_silent(seen_us, 200 * SECOND_US) is silent


@pytest.mark.parametrize(
    ("newest_s", "silent"), [(None, False), (1000, False), (790, False), (789, True)]
)
def test_a_device_is_silent_beside_a_gateway_that_reads(
    newest_s: int | None, *, silent: bool
) -> None:
    newest_us = None if newest_s is None else newest_s * SECOND_US
    assert device_silent(newest_us, 1000 * SECOND_US, 60) is silent


@pytest.mark.parametrize(
    ("hours", "active", "change"),
    [
        (["0.3", "0.2", "0.4"], False, "raise"),
        (["0.3", "0.19", "0.4"], False, None),
        (["0.3", "0.2"], False, None),
        ([], True, None),
        (["0.3", "0.1", "0.4"], True, None),
        (["0.3", "0.09", "0.4"], True, "clear"),
        (["0.3", "0.3", "0.3"], True, None),
    ],
)
def test_night_flow(hours: list[str], *, active: bool, change: Change | None) -> None:
    rule = NightFlow(Decimal("0.2"), Decimal("0.1"))
    assert night_flow(rule, [Decimal(hour) for hour in hours], active=active) == change
