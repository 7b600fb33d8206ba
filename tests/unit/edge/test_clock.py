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
