"""Modbus frames of every function, whole, in pieces, spoiled, and among other bytes."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import DeviceError, WireError
from protocols.modbus.frames import (
    Request,
    find_rtu,
    match_rtu,
    open_rtu,
    parse_rtu_request,
    reply_pdu,
    request_pdu,
    rtu_frame,
    rtu_reply_length,
    rtu_request_length,
)
from protocols.modbus.identification import (
    Identification,
    Identify,
    identification_length,
    identification_pdu,
    identify_pdu,
    match_identification,
    parse_identify_pdu,
)
from protocols.modbus.judge import judge_rtu, judge_tcp
from tests.benchmarks.fuzz_frames import modbus_pdus, rtu, tcp

seeds = st.integers(0, 2**32)
words = st.integers(0, 0xFFFF)


@given(words, words, words)
def test_a_mask_write_goes_round(address: int, and_mask: int, or_mask: int) -> None:
    request = Request(9, 22, address, 1, (and_mask, or_mask))
    frame = rtu_frame(9, request_pdu(request))
    assert len(frame) == rtu_request_length(frame) == rtu_reply_length(request) == 10
    assert parse_rtu_request(frame) == request
    assert match_rtu(rtu_frame(9, reply_pdu(request)), request) == (and_mask, or_mask)


@given(st.lists(words, min_size=1, max_size=121), st.lists(words, min_size=1, max_size=125))
def test_a_read_write_goes_round(written: list[int], read: list[int]) -> None:
    request = Request(9, 23, 3, len(read), tuple(written), 14)
    frame = rtu_frame(9, request_pdu(request))
    lengths = {rtu_request_length(frame[:n]) for n in range(len(frame) + 1)}
    assert lengths - {None, 8} <= {len(frame)}
    assert parse_rtu_request(frame) == request
    answer = rtu_frame(9, reply_pdu(request, tuple(read)))
    assert len(answer) == rtu_reply_length(request)
    assert [find_rtu(answer[:n], request) for n in range(len(answer))] == [None] * len(answer)
    assert find_rtu(b"\0" + answer, request) == tuple(read)


@given(st.lists(st.binary(max_size=20), max_size=7), st.sampled_from([None, 4]))
def test_an_identification_goes_round(values: list[bytes], following: int | None) -> None:
    question = Identify(9, 2, 0)
    assert parse_identify_pdu(9, identify_pdu(question)) == question
    answer = Identification(2, 0x82, tuple(enumerate(values)), following)
    pdu = identification_pdu(answer)
    lengths = {identification_length(pdu[:n]) for n in range(len(pdu))}
    assert lengths <= {None, len(pdu)}
    assert match_identification(open_rtu(rtu_frame(9, pdu))[1], question) == answer
    with pytest.raises(WireError, match="asked was 1"):
        match_identification(pdu, Identify(9, 1, 0))
    with pytest.raises(DeviceError, match="exception 01"):
        match_identification(b"\xab\x01", question)


@pytest.mark.parametrize(
    "request_",
    [
        Request(1, 22, 0, 1, (1,)),
        Request(1, 23, 0, 1, ()),
        Request(1, 23, 0, 126, (1,)),
        Request(1, 23, 0, 1, (1,) * 122),
        Request(1, 23, 0, 1, (1, 2), 65535),
    ],
)
def test_impossible_requests_are_not_made(request_: Request) -> None:
    with pytest.raises(ValueError, match=r"allowed|mask"):
        request_pdu(request_)


@given(seeds, st.binary(max_size=3), st.binary(max_size=3))
def test_an_answer_is_found_among_noise(seed: int, before: bytes, after: bytes) -> None:
    unit_id, request, reply = modbus_pdus(random.Random(seed))
    asked, frame = rtu_frame(unit_id, request), rtu_frame(unit_id, reply)
    told = judge_rtu(before + frame + after, kind="response", request=asked)
    assert told.verdict == ("exception" if reply[0] & 0x80 else "accept")
    assert (told.unit_id, told.function) == (unit_id, request[0])
    assert (f"{len(before)} bytes before" in told.reason) == bool(before)
    assert (f"{len(after)} bytes after" in told.reason) == bool(after)


def test_zero_bytes_behind_a_frame_are_no_part_of_it() -> None:
    frame = rtu_frame(1, bytes((3, 2, 0x12, 0x34)))
    for size in (1, 2, 3):
        assert judge_rtu(frame + bytes(size)).words == ("1234",)


def test_the_echo_of_a_request_is_no_answer() -> None:
    # its first seven bytes are a whole reply of one register with a right checksum
    asked = bytes.fromhex("860302100001" + "9a00")
    assert judge_rtu(asked, request=asked).verdict == "reject"
    answer = rtu_frame(134, bytes((3, 2, 0x12, 0x34)))
    assert judge_rtu(asked + answer, request=asked).words == ("1234",)


@given(seeds)
def test_any_flipped_bit_of_an_rtu_frame_is_refused(seed: int) -> None:
    rng = random.Random(seed)
    unit_id, request, reply = modbus_pdus(rng)
    asked = rtu_frame(unit_id, request)
    frame = bytearray(rtu_frame(unit_id, reply))
    place = rng.randrange(8 * len(frame))
    frame[place // 8] ^= 1 << place % 8
    assert judge_rtu(bytes(frame), request=asked).verdict == "reject"
    with pytest.raises(WireError):
        open_rtu(frame)


@given(seeds)
def test_a_cut_frame_is_refused(seed: int) -> None:
    rng = random.Random(seed)
    for judge, make in ((judge_rtu, rtu), (judge_tcp, tcp)):
        asked, _ = make(rng)
        for size in range(len(asked)):
            assert judge(asked[:size], kind="request").verdict == "reject"
        assert judge(asked, kind="request").verdict == "accept"


@given(st.binary(max_size=80), st.binary(max_size=20))
def test_no_bytes_crash_a_judge(buffer: bytes, request: bytes) -> None:
    for judge in (judge_rtu, judge_tcp):
        assert judge(buffer).reason
        assert judge(buffer, request=request).verdict == "reject"
