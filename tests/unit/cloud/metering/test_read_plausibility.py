"""What somebody who reads a meter is told at once."""

import pytest

from cloud.metering.installs import Install, RegisterRead
from cloud.metering.plausibility import Answer, Neighbours, judge
from cloud.metering.shapes import History

DAY_US = 24 * 3_600_000_000
USUAL = History(mean=(100, DAY_US))
LIMITED = {"capacity": 100_000, "max_per_hour": 1_000}


def answer(count: int, *, day: int = 10, after: int | None = None, **changes: object) -> str:
    values: dict[str, object] = {"meter_id": "M", "exponent": 0, "installed_at_us": 0}
    install = Install(**(values | {"start_count": 0} | changes))  # type: ignore[arg-type]  # values of a test
    around = Neighbours(
        RegisterRead(5 * DAY_US, 99_000),
        None if after is None else RegisterRead(12 * DAY_US, after),
    )
    read = RegisterRead(day * DAY_US, count)
    judged = judge(read, install, around, history=USUAL, now_us=20 * DAY_US)
    assert bool(judged.reason) == (judged.answer is not Answer.ACCEPT)
    return f"{judged.answer}: {judged.reason}"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(99_480), "accept: "),
        (answer(101_000), "ask: count: 101000: 2000 used, usual are 500 (history-mean)"),
        (answer(99_010), "ask: count: 99010: only 10 used"),
        (answer(98_000), "refuse: count: 98000: the read before shows 99000"),
        (answer(500, **LIMITED), "ask: count: 500: did it roll over from 99000?"),
        (answer(90_000, **LIMITED), "ask: count: 90000: did it roll over"),
        (answer(90_000, **(LIMITED | {"max_per_hour": 10})), "refuse: count: 90000"),
        (answer(100_000, **LIMITED), "refuse: count: 100000: allowed is from 0, below 100000"),
        (answer(-1), "refuse: count: -1"),
        (answer(99_500, max_per_hour=1), "refuse: count: 99500: 500 used, the meter can do 121"),
        (answer(99_500, after=99_400), "refuse: count: 99500: a later read shows 99400"),
        (answer(99_500, day=12, after=99_600), "refuse: read_at"),
        (answer(99_500, day=21), "refuse: read_at"),
    ],
)
def test_an_answer_with_its_reason(said: str, why: str) -> None:
    assert said.startswith(why)


def test_without_a_meter_there_is_nothing_to_read() -> None:
    judged = judge(RegisterRead(5, 5), None, None, history=USUAL, now_us=20)
    assert not judged.may_stand
    assert "no meter stood" in judged.reason


def test_without_a_history_the_register_alone_decides() -> None:
    install = Install(meter_id="M", exponent=0, installed_at_us=0, start_count=0)
    around = Neighbours(install.start_read, None)
    read = RegisterRead(DAY_US, 10**6)
    assert judge(read, install, around, history=History(), now_us=DAY_US).answer is Answer.ACCEPT
