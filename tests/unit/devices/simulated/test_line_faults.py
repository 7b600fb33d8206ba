"""Faults of timing and frames, at given instants and byte by byte."""

import pytest

from devices.simulated.faults import parse_fault
from devices.simulated.line_faults import PROMPT, LineFaults, Timing
from protocols.errors import DeviceError, WireError
from protocols.modbus.frames import (
    Request,
    find_rtu,
    match_rtu,
    match_tcp,
    open_rtu,
    open_tcp,
    reply_pdu,
    rtu_frame,
    tcp_frame,
    tcp_length,
)

REQUEST = Request(1, 4, 0x48, 2)
PDU = reply_pdu(REQUEST, (0x4361, 0x8F5C))
RIGHT = rtu_frame(1, PDU)


def faults(*kinds: str, seed: int = 7) -> LineFaults:
    asked = [parse_fault(f"e-1={kind}", launch_us=0) for kind in kinds]
    return LineFaults("e-1", asked, seed=seed)


def test_late_is_one_reply() -> None:
    line = faults("late:200@10")
    assert line.timing(9_999_999) == PROMPT
    assert line.timing(10_000_000) == Timing(after_s=0.2, late=True)
    assert line.timing(10_000_000) == PROMPT
    both = faults("slow:50", "late:200")
    assert [both.timing(0).after_s for _ in range(3)] == [0.2, 0.05, 0.05]


def test_slow_and_quick() -> None:
    assert faults("slow").timing(0) == Timing(after_s=0.5)
    assert faults("quick").timing(0) == Timing(quick=True)
    assert faults("quick@0,1").timing(1_000_000) == PROMPT


def test_a_pause_is_wanted_after_each_reply() -> None:
    line = faults("pause:100")
    assert line.hears(0, 5.0)
    line.replied(5.02)
    assert not line.hears(0, 5.03)
    assert not line.hears(0, 5.119)
    assert line.hears(0, 5.121)
    assert faults("pause@0,1").hears(0, 0.0)
    ended = faults("pause@0,1")
    ended.replied(5.0)
    assert not ended.hears(0, 5.01)
    assert ended.hears(1_000_000, 5.01)


def test_three_hasty_requests_reboot_it() -> None:
    line = faults("reboots:500")
    assert [line.hears(0, at_s) for at_s in (0.0, 0.4)] == [True, True]
    assert not line.hears(0, 0.8)
    assert not line.hears(0, 3.79)
    # what was asked while it was mute does not count
    assert [line.hears(0, at_s) for at_s in (3.81, 4.0)] == [True, True]
    assert not line.hears(0, 4.2)
    slowly = faults("reboots:500")
    assert all(slowly.hears(0, place * 0.5) for place in range(10))
    apart = faults("reboots:500")
    assert all(apart.hears(0, at_s) for at_s in (0.0, 0.4, 1.0, 1.4, 2.0, 2.4))


def test_another_unit_id() -> None:
    line = faults("wrong-unit")
    assert open_rtu(line.rtu(1, PDU, 0)) == (2, PDU)
    assert open_tcp(line.tcp(9, 1, PDU, 0)) == (9, 2, PDU)
    assert open_rtu(line.rtu(255, PDU, 0)) == (0, PDU)
    with pytest.raises(WireError, match="answer of unit 2"):
        match_rtu(line.rtu(1, PDU, 0), REQUEST)


@pytest.mark.parametrize(("kind", "shown"), [("wrong-transaction", 10), ("no-transaction", 0)])
def test_another_transaction(kind: str, shown: int) -> None:
    line = faults(kind)
    assert open_tcp(line.tcp(9, 1, PDU, 0)) == (shown, 1, PDU)
    with pytest.raises(WireError, match=f"answer to transaction {shown}"):
        match_tcp(line.tcp(9, 1, PDU, 0), REQUEST, 9)


def test_spoiled() -> None:
    line = faults("spoiled")
    frame = line.rtu(1, PDU, 0)
    assert (frame[:-2], frame[-2] ^ RIGHT[-2], frame[-1] ^ RIGHT[-1]) == (RIGHT[:-2], 255, 255)
    with pytest.raises(WireError, match="checksum"):
        open_rtu(frame)
    short = line.tcp(9, 1, PDU, 0)
    assert short == tcp_frame(9, 1, PDU)[:-1]
    assert tcp_length(short) == len(short) + 1


def test_a_stray_byte() -> None:
    assert faults("stray-byte").rtu(1, PDU, 0) == b"\0" + RIGHT
    assert faults("stray-byte@1").rtu(1, PDU, 0) == RIGHT


def test_two_meters_at_once() -> None:
    line = faults("duplicate")
    frames = [line.rtu(1, PDU, 0) for _ in range(20)]
    assert {len(frame) - len(RIGHT) for frame in frames} == {1, 2, 3}
    for frame in frames:
        later = len(frame) - len(RIGHT)
        assert frame[:later] == RIGHT[:later]
        # a 0 on the line wins, so nothing is there that the first one did not send as 1
        assert all(mixed & ~own == 0 for mixed, own in zip(frame, RIGHT, strict=False))
        assert find_rtu(frame, REQUEST) is None
    again = faults("duplicate")
    assert [again.rtu(1, PDU, 0) for _ in range(20)] == frames
    other = faults("duplicate", seed=8)
    assert [other.rtu(1, PDU, 0) for _ in range(20)] != frames
    refused = line.rtu(1, bytes((0x84, 2)), 0)
    with pytest.raises((WireError, DeviceError)):
        match_rtu(refused, REQUEST)


def test_drift_spoils_long_frames_and_late_bytes() -> None:
    line = faults("drift")
    assert all(line.rtu(1, PDU, 0) == RIGHT for _ in range(50))
    long = reply_pdu(Request(1, 4, 0, 30), tuple(range(30)))
    right = rtu_frame(1, long)
    frames = [line.rtu(1, long, 0) for _ in range(40)]
    assert all(frame[:9] == right[:9] and len(frame) == len(right) for frame in frames)
    flips = [sum(frame[place] != right[place] for frame in frames) for place in range(len(right))]
    third = len(right) // 3
    assert 0 < sum(flips[:third]) < sum(flips[third : 2 * third]) < sum(flips[2 * third :])
    for frame in frames:
        with pytest.raises(WireError, match="checksum"):
            open_rtu(frame)
    again = faults("drift")
    assert [again.rtu(1, PDU, 0) for _ in range(50)] == [RIGHT] * 50
    assert [again.rtu(1, long, 0) for _ in range(40)] == frames
