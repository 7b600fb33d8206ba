"""When the gateway believes its own wall time."""

import pytest

from edge import clock
from edge.clock import AGREED_US, SystemClock


@pytest.fixture
def undisciplined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "is_disciplined", lambda: False)


@pytest.mark.usefixtures("undisciplined")
def test_the_cloud_makes_it_certain() -> None:
    ours = SystemClock()
    assert not ours.is_certain()
    assert ours.compare(ours.now_us() - 100 * AGREED_US) > AGREED_US
    assert not ours.is_certain()
    assert abs(ours.compare(ours.now_us())) < AGREED_US
    assert ours.is_certain()


@pytest.mark.usefixtures("undisciplined")
def test_an_answer_that_waited_takes_nothing_back_but_one_from_the_future_does() -> None:
    ours = SystemClock()
    ours.compare(ours.now_us())
    ours.compare(ours.now_us() - 30_000_000)
    assert ours.is_certain()
    ours.compare(ours.now_us() + 30_000_000)
    assert not ours.is_certain()


@pytest.mark.usefixtures("undisciplined")
def test_a_step_of_the_clock_makes_it_uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = SystemClock()
    ours.compare(ours.now_us())
    really = SystemClock.now_us
    monkeypatch.setattr(SystemClock, "now_us", lambda self: really(self) + 2 * AGREED_US)
    assert not ours.is_certain()


@pytest.mark.usefixtures("undisciplined")
def test_a_late_answer_does_not_confirm_a_clock_that_stepped_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, at_us, step_us = SystemClock(), 0, 0
    monkeypatch.setattr(SystemClock, "monotonic_us", lambda _: at_us)
    monkeypatch.setattr(SystemClock, "now_us", lambda _: 10**15 + at_us + step_us)
    ours.compare(10**15)
    at_us, step_us = 10_000_000, -3 * AGREED_US
    for late_us in (3 * AGREED_US, 3 * AGREED_US, AGREED_US):
        ours.compare(10**15 + at_us - late_us)
        assert not ours.is_certain()
    # what was best is old, and the cloud says again what our clock says
    at_us = 1_000_000_000
    ours.compare(10**15 + at_us + step_us)
    assert ours.is_certain()


@pytest.mark.usefixtures("undisciplined")
def test_the_operator_may_vouch_for_it() -> None:
    assert SystemClock(trusted=True).is_certain()


def test_a_disciplined_kernel_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "is_disciplined", lambda: True)
    assert SystemClock().is_certain()


def test_the_cloud_can_dispute_what_the_kernel_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "is_disciplined", lambda: True)
    ours = SystemClock()
    ours.compare(ours.now_us() + 100 * AGREED_US)
    assert not ours.is_certain()
    ours.compare(ours.now_us())
    assert ours.is_certain()


def test_the_kernel_can_be_asked() -> None:
    assert clock.is_disciplined() in (True, False)


@pytest.mark.usefixtures("undisciplined")
def test_the_answer_that_took_the_shortest_way_tells_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, at_us = SystemClock(), 0
    monkeypatch.setattr(SystemClock, "monotonic_us", lambda _: at_us)
    began_us = ours.now_us() - 10**15
    for seconds, late_s in ((10, 4), (20, 1), (30, 9), (700, 2)):
        at_us = seconds * 1_000_000
        ours.compare(began_us + at_us - late_s * 1_000_000)
        fix = ours.fix()
        assert fix is not None
        wanted_s = {10: 4, 20: 1, 30: 1, 700: 2}[seconds]
        assert fix.wall_us - fix.monotonic_us == began_us - wanted_s * 1_000_000
