"""Requests, replies and refusals, whole, in pieces and spoiled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import DeviceError, WireError
from protocols.modbus.frames import (
    Request,
    crc16,
    exception_pdu,
    find_rtu,
    match_rtu,
    match_tcp,
    parse_request_pdu,
    parse_rtu_request,
    parse_tcp_request,
    reply_pdu,
    request_pdu,
    rtu_frame,
    rtu_reply_length,
    rtu_request_length,
    tcp_frame,
    tcp_length,
)

bits, words = st.integers(0, 1), st.integers(0, 0xFFFF)


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Request, tuple[int, ...]]:
    """A request of any served function and the values its reply carries."""
    function = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 15, 16]))
    count = 1 if function in (5, 6) else draw(st.integers(1, 40))
    address = draw(st.integers(0, 65536 - count))
    kind = bits if function in (1, 2, 5, 15) else words
    values = tuple(draw(st.lists(kind, min_size=count, max_size=count)))
    sent = () if function <= 4 else values
    return Request(draw(st.integers(1, 247)), function, address, count, sent), values


def test_known_frames() -> None:
    request = Request(1, 4, 0x0048, 2)
    assert rtu_frame(1, request_pdu(request)).hex(" ") == "01 04 00 48 00 02 f1 dd"
    assert tcp_frame(7, 1, request_pdu(request)).hex(" ") == "00 07 00 00 00 06 01 04 00 48 00 02"
    assert crc16(b"123456789") == 0x4B37


@given(exchanges())
def test_an_exchange_over_rtu(exchange: tuple[Request, tuple[int, ...]]) -> None:
    request, values = exchange
    frame = rtu_frame(request.unit_id, request_pdu(request))
    assert rtu_request_length(frame) == len(frame)
    assert parse_rtu_request(frame) == request
    answer = rtu_frame(request.unit_id, reply_pdu(request, values))
    assert len(answer) == rtu_reply_length(request)
    assert match_rtu(answer, request) == values
    assert find_rtu(b"\x00\xff" + answer + b"\x00", request) == values


@given(exchanges(), st.integers(0, 0xFFFF))
def test_an_exchange_over_tcp(exchange: tuple[Request, tuple[int, ...]], number: int) -> None:
    request, values = exchange
    frame = tcp_frame(number, request.unit_id, request_pdu(request))
    assert tcp_length(frame) == len(frame)
    assert parse_tcp_request(frame) == (number, request)
    answer = tcp_frame(number, request.unit_id, reply_pdu(request, values))
    assert match_tcp(answer, request, number) == values


@given(exchanges())
def test_one_byte_at_a_time(exchange: tuple[Request, tuple[int, ...]]) -> None:
    request, values = exchange
    rtu = rtu_frame(request.unit_id, reply_pdu(request, values))
    asked = rtu_frame(request.unit_id, request_pdu(request))
    tcp = tcp_frame(1, request.unit_id, reply_pdu(request, values))
    assert [find_rtu(rtu[:n], request) for n in range(len(rtu))] == [None] * len(rtu)
    assert find_rtu(rtu, request) == values
    lengths = [rtu_request_length(asked[:n]) for n in range(len(asked) + 1)]
    assert set(lengths) <= {None, len(asked)}
    assert lengths[-1] == len(asked)
    assert {tcp_length(tcp[:n]) for n in range(7)} == {None}
    assert {tcp_length(tcp[:n]) for n in range(7, len(tcp))} == {len(tcp)}


@given(exchanges(), st.data())
def test_a_spoiled_rtu_byte_is_never_a_value(
    exchange: tuple[Request, tuple[int, ...]], data: st.DataObject
) -> None:
    request, values = exchange
    frame = bytearray(rtu_frame(request.unit_id, reply_pdu(request, values)))
    place = data.draw(st.integers(0, len(frame) - 1))
    frame[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WireError):
        match_rtu(frame, request)
    assert find_rtu(frame, request) is None


@pytest.mark.parametrize(
    ("unit_id", "function", "count", "number", "says"),
    [
        (2, 3, 2, 9, "answer of unit 2, asked was 1"),
        (1, 4, 2, 9, "answer to function 4, asked was 3"),
        (1, 3, 3, 9, "6 bytes of data, asked were 4"),
        (1, 3, 2, 8, "answer to transaction 8, asked was 9"),
    ],
)
def test_another_answer_is_refused(
    unit_id: int, function: int, count: int, number: int, says: str
) -> None:
    other = Request(unit_id, function, 0, count)
    frame = tcp_frame(number, unit_id, reply_pdu(other, (0,) * count))
    with pytest.raises(WireError, match=says):
        match_tcp(frame, Request(1, 3, 0, 2), 9)


def test_trailing_bytes_are_refused() -> None:
    request = Request(1, 3, 0, 1)
    frame = tcp_frame(1, 1, reply_pdu(request, (5,)))
    with pytest.raises(WireError, match="header says"):
        match_tcp(frame + b"\x00", request, 1)


def test_a_refusal_names_its_code() -> None:
    request = Request(1, 3, 0x10, 2)
    with pytest.raises(DeviceError, match="exception 02, illegal data address") as caught:
        match_rtu(rtu_frame(1, exception_pdu(3, 2)), request)
    assert caught.value.code == 2
    with pytest.raises(DeviceError):
        find_rtu(b"\x00" + rtu_frame(1, exception_pdu(3, 2)), request)


def test_an_echoed_write_must_be_the_one_sent() -> None:
    request = Request(1, 6, 5, 1, (7,))
    other = Request(1, 6, 5, 1, (8,))
    with pytest.raises(WireError, match="echoed"):
        match_tcp(tcp_frame(1, 1, reply_pdu(other)), request, 1)


def test_noise_is_no_header() -> None:
    with pytest.raises(WireError, match="no MBAP header"):
        tcp_length(b"\x00\x01\x00\x09\x00\x06\x01")


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        ("07", 1),
        ("2b0e0100ff", 1),
        ("0300000000", 3),
        ("030000007e", 3),
        ("0500001234", 3),
        ("100000000203ffff", 3),
    ],
)
def test_the_server_refuses_with_the_standards_code(pdu: str, code: int) -> None:
    with pytest.raises(DeviceError) as caught:
        parse_request_pdu(1, bytes.fromhex(pdu))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "request_",
    [
        Request(1, 7, 0, 1),
        Request(1, 3, 0, 126),
        Request(1, 3, 65535, 2),
        Request(1, 16, 0, 2, (1,)),
        Request(1, 6, 0, 1, (65536,)),
    ],
)
def test_impossible_requests_are_not_sent(request_: Request) -> None:
    with pytest.raises(ValueError, match=r"allowed|values"):
        request_pdu(request_)
