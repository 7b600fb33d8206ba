"""No wrong reply passes the matchers; each kind of wrong is really among them."""

import pytest

from protocols.modbus.frames import (
    Request,
    crc16,
    find_rtu,
    match_rtu,
    match_tcp,
    reply_pdu,
    request_pdu,
    rtu_frame,
    tcp_frame,
)
from tests.benchmarks.inject_replies import accepted
from tests.fixtures.wrong_replies import RTU_KINDS, TCP_KINDS, injected_rtu, injected_tcp


def test_20_000_wrong_replies_none_accepted() -> None:
    assert accepted(20_000, seed=7).total() == 0


def test_every_kind_is_injected_and_the_right_answer_to_the_same_request_passes() -> None:
    over_tcp, over_rtu = list(injected_tcp(3, 220)), list(injected_rtu(3, 180))
    assert {wrong.kind for wrong in over_tcp} == set(TCP_KINDS)
    assert {wrong.kind for wrong in over_rtu} == set(RTU_KINDS)
    for wrong in over_tcp:
        words = tuple(range(wrong.request.count))
        pdu = reply_pdu(wrong.request, words)
        right = tcp_frame(wrong.transaction_id, wrong.request.unit_id, pdu)
        assert match_tcp(right, wrong.request, wrong.transaction_id) == words
        assert match_rtu(rtu_frame(wrong.request.unit_id, pdu), wrong.request) == words


@pytest.mark.parametrize("heard", range(1, 9))
def test_the_echo_of_a_request_is_no_reply_though_its_checksum_fits(heard: int) -> None:
    # 86 03 02 10 00 01 9a 00: its first seven bytes are a well-formed reply of one register
    request = Request(134, 3, 0x0210, 1)
    echo = rtu_frame(134, request_pdu(request))
    assert crc16(echo[:5]) == int.from_bytes(echo[5:7], "little")
    assert find_rtu(echo[:heard], request) is None
    answer = rtu_frame(134, bytes([3, 2, 0x12, 0x34]))
    assert find_rtu(echo + answer, request) == (0x1234,)
