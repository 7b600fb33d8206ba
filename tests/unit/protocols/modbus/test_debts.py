"""Late answers on a line without addresses: whatever is believed was really read."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from protocols.modbus.debts import OVERTAKE_S, REMEMBER_S, Debts
from protocols.modbus.frames import Request, reply_pdu, request_pdu, rtu_frame, rtu_reply_length
from protocols.modbus.overheard import overheard

READ = Request(1, 3, 0x100, 4)


def test_an_answer_of_the_same_length_is_doubted_until_one_of_another_length_came() -> None:
    debts = Debts()
    assert not debts.is_doubtful(READ, 0.0)
    debts.owe(READ, 0.0)
    assert debts.is_doubtful(READ, 1.0)
    assert not debts.is_doubtful(Request(1, 3, 0x100, 5), 1.0)
    assert not debts.is_doubtful(Request(1, 4, 0x100, 4), 1.0)
    assert not debts.is_doubtful(Request(2, 3, 0x100, 4), 1.0)
    debts.settle(1)
    assert debts.count(1, 1.0) == 0
    assert debts.is_doubtful(READ, 1.0), "another answer may still overtake it"
    assert not debts.is_doubtful(READ, OVERTAKE_S)


def test_nothing_is_owed_for_ever() -> None:
    debts = Debts()
    debts.owe(READ, 0.0)
    assert debts.count(1, REMEMBER_S - 1) == 1
    assert debts.count(1, REMEMBER_S) == 0
    assert not debts.is_doubtful(READ, REMEMBER_S)


def test_an_overheard_answer_pays() -> None:
    debts = Debts()
    debts.owe(READ, 0.0)
    assert not debts.pay(1, reply_pdu(Request(1, 3, 0, 5), (1, 2, 3, 4, 5)))
    assert not debts.pay(2, reply_pdu(READ, (1, 2, 3, 4)))
    assert debts.pay(1, reply_pdu(READ, (1, 2, 3, 4)))
    assert not debts.is_doubtful(READ, 0.0)
    debts.owe(READ, 0.0)
    assert debts.pay(1, bytes((0x83, 2)))
    assert not debts.is_doubtful(READ, 0.0)


@given(st.lists(st.integers(1, 6), max_size=6), st.integers(1, 6))
def test_the_settling_read_has_a_length_that_nobody_owes(owed: list[int], count: int) -> None:
    debts = Debts()
    for number in owed:
        debts.owe(Request(1, 3, 0, number), 0.0)
    shorter = debts.settling(Request(1, 3, 50, count), 0.0)
    free = set(range(1, count)) - set(owed)
    if shorter is None:
        assert not free
        return
    assert shorter.count in free
    assert (shorter.address, shorter.function) == (50, 3)
    assert not debts.is_doubtful(shorter, 0.0)


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=30))
def test_in_order_a_line_never_passes_a_late_answer_off(steps: list[tuple[int, bool]]) -> None:
    """A line that holds answers back for any number of questions, but in their order."""
    debts, line, now_s = Debts(), deque[Request](), 0.0

    def ask(request: Request, *, held: bool) -> Request | None:
        """The request whose answer came first and fits; None for silence."""
        line.append(request)
        while line and not held:
            came = line.popleft()
            if rtu_reply_length(came) == rtu_reply_length(request):
                return came
        debts.owe(request, now_s)
        return None

    for address, (count, held) in enumerate(steps):
        request = Request(1, 3, address, count)
        now_s += 0.1
        if debts.is_doubtful(request, now_s):
            owed, shorter = debts.count(1, now_s), debts.settling(request, now_s)
            if shorter is not None and ask(shorter, held=held) is None:
                continue
            if shorter is None and None in [ask(request, held=held) for _ in range(owed)]:
                continue
            if shorter is not None:
                debts.settle(1)
        came = ask(request, held=held)
        assert came in (None, request), "took a late answer for its own"


def test_frames_of_others_are_told_from_noise() -> None:
    foreign = rtu_frame(9, request_pdu(Request(9, 3, 0, 2)))
    answer = rtu_frame(9, reply_pdu(Request(9, 3, 0, 2), (7, 8)))
    said = overheard(b"\x00" + foreign + answer + b"\xff\xfe")
    assert [found.unit_id for found in said.frames] == [9, 9]
    assert said.stray == 3
    assert overheard(b"").frames == ()
