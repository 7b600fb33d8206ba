"""Times on a serial wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.modbus.wire import Wire


def test_9600_8n1() -> None:
    wire = Wire(baud=9600, turnaround_s=0)
    assert wire.character_s == pytest.approx(10 / 9600)
    assert wire.silence_s == pytest.approx(35 / 9600)
    # 8 bytes out, 25 back for 10 registers, two silences of 3.5 characters: 24.0 a second.
    assert 1 / wire.read_s(10) == pytest.approx(24.0)


@pytest.mark.parametrize(
    ("parity", "stop_bits", "bits"), [("N", 1, 10), ("E", 1, 11), ("N", 2, 11)]
)
def test_parity_and_stop_bits_take_time(parity: str, stop_bits: int, bits: int) -> None:
    assert Wire(baud=1000, parity=parity, stop_bits=stop_bits).character_s == bits / 1000


def test_above_19200_the_silence_is_fixed() -> None:
    assert Wire(baud=19200).silence_s == pytest.approx(35 / 19200)
    assert Wire(baud=115200).silence_s == 0.00175


def test_a_pause_longer_than_the_silence_replaces_it() -> None:
    wire = Wire(gap_s=0.1)
    assert wire.read_s(1) - Wire().read_s(1) == pytest.approx(0.1 - wire.silence_s)


@given(st.integers(1, 124), st.sampled_from([1200, 9600, 115200]))
def test_more_registers_take_longer(count: int, baud: int) -> None:
    wire = Wire(baud=baud)
    assert wire.read_s(count + 1) - wire.read_s(count) == pytest.approx(2 * wire.character_s)


@pytest.mark.parametrize("bad", [{"baud": 0}, {"parity": "X"}, {"stop_bits": 3}, {"bits": 5}])
def test_no_such_wire(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"no such wire|allowed"):
        Wire(**bad)
