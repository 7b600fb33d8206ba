"""One unit id under question, on a link that does what a script says."""

import pytest

from edge.config import RtuBus, TcpBus
from edge.recognition import Edition, editions_of
from edge.scan_unit import Found, Inquiry, Line
from protocols.errors import DeviceError, WireError
from protocols.io.fake import FakeLink
from protocols.modbus.frames import Request, exception_pdu, reply_pdu, rtu_frame
from protocols.modbus.plan import Block
from protocols.modbus.registers import encode

SERIAL = Line(RtuBus(id="rtu-1", kind="modbus-rtu", port="tty"))
TCP = Line(TcpBus(id="tcp-1", kind="modbus-tcp", host="here"))
SDM = editions_of(["eastron-sdm120"])
EM340 = editions_of(["carlo-gavazzi-em340"])
NOISE = bytes.fromhex("07 04 04 43 66 33 34 00 00 00 00")


def sdm(link: FakeLink, unit_id: int) -> None:
    """Put a meter's registers on the link."""
    for address, value in ((0x00, 230.5), (0x1E, 0.9), (0x46, 50.0), (0x48, 12.5)):
        link.put(unit_id, 4, address, *encode(value, "float32", "ABCD"))


async def ask(link: FakeLink, editions: list[Edition], line: Line = SERIAL) -> Found | None:
    return await Inquiry(link, line, 7).result(editions)


def refusal(code: int) -> DeviceError:
    return DeviceError("refused", code=code)


def said(request: Request, *words: int) -> list[bytes]:
    return [rtu_frame(request.unit_id, reply_pdu(request, words))]


async def test_a_meter_is_found_and_asked_by_reads_alone() -> None:
    link = FakeLink(timeout_s=0.01)
    sdm(link, 7)
    found = await ask(link, SDM)
    assert found is not None
    assert found.best is not None
    assert str(found.best.edition) == "eastron-sdm120"
    assert found.warnings == ()
    assert {request.function for request in link.asked} == {4}
    assert len(link.asked) == len(set(link.asked))


async def test_nobody() -> None:
    link = FakeLink(timeout_s=0.01)
    link.fail_read(7, 0)
    assert await ask(link, SDM) is None
    assert len(link.asked) == 1


async def test_a_lost_frame_of_one_who_answered_is_asked_for_again() -> None:
    link = FakeLink(timeout_s=0.01)
    sdm(link, 7)
    voltage = encode(230.5, "float32", "ABCD")
    link.script(lambda request: said(request, *voltage), lambda _: [0.02])
    found = await ask(link, SDM)
    assert found is not None
    assert found.best is not None
    assert found.best.fits == 4


async def test_a_slow_meter_that_is_there_gets_its_time() -> None:
    link = FakeLink(timeout_s=0.01)
    refused = rtu_frame(7, exception_pdu(4, 2))
    # its profile says 0.6 s; the first answer comes in time, the second would be too late
    link.script(lambda _: [refused], lambda request: [0.02, *said(request, 0x0155)])
    found = await ask(link, EM340)
    assert found is not None
    assert found.answers[Block(4, 0x000B, 1)] == (0x0155,)


async def test_a_busy_meter_is_asked_again() -> None:
    link = FakeLink(timeout_s=0.01)
    sdm(link, 7)
    link.script(lambda request: [rtu_frame(7, exception_pdu(request.function, 6))])
    found = await ask(link, SDM)
    assert found is not None
    assert found.best is not None


@pytest.mark.parametrize("code", [10, 11])
async def test_a_gateway_that_answers_for_nobody(code: int) -> None:
    link = FakeLink(timeout_s=0.01)
    link.fail_read(7, 0, refusal(code))
    assert await ask(link, SDM, TCP) is None
    # no gateway stands on a serial line: there the unit itself has said so
    found = await ask(link, SDM, SERIAL)
    assert found is not None
    assert (found.here, found.best) == (True, None)


async def test_only_spoiled_frames_are_a_duplicate() -> None:
    link = FakeLink(timeout_s=0.01)
    link.script(*[lambda _: [NOISE]] * 4)
    found = await ask(link, SDM)
    assert found is not None
    assert (found.here, found.best) == (False, None)
    (warning,) = found.warnings
    assert warning.startswith("possible duplicate unit id 7: 3 answers to one read of function 4")


@pytest.mark.parametrize("times", [1, 2])
async def test_a_spoiled_frame_now_and_then_is_not(times: int) -> None:
    link = FakeLink(timeout_s=0.01)
    sdm(link, 7)
    link.script(*[lambda _: [NOISE]] * times)
    found = await ask(link, SDM)
    assert found is not None
    assert found.best is not None
    assert found.warnings == ()


async def test_duplicates_that_collide_in_one_read() -> None:
    link = FakeLink(timeout_s=0.01)
    sdm(link, 7)
    link.fail_read(7, 0x48, WireError("checksum"))
    found = await ask(link, SDM)
    assert found is not None
    assert found.best is not None
    assert found.warnings == (
        "possible duplicate unit id 7: 3 answers to one read of function 4 at 0x0048: checksum",
    )


async def test_two_reads_of_an_identification_that_disagree() -> None:
    link = FakeLink(timeout_s=0.01)
    words = iter([0x0155, 0x0159])
    for address, value in ((0, 2304), (2, 2304), (4, 2304)):
        link.put(7, 4, address, *encode(value, "int32", "CDAB"))

    def answer(request: Request) -> list[bytes]:
        if (request.address, request.count) == (0x000B, 1):
            return said(request, next(words))
        return [rtu_frame(7, exception_pdu(request.function, 2))]

    link.script(*[answer] * 12)
    found = await ask(link, EM340)
    assert found is not None
    assert "possible duplicate unit id 7: two reads of function 4 at 0x000b disagree" in (
        found.warnings
    )


async def test_zeros_are_somebody_but_no_meter() -> None:
    link = FakeLink(timeout_s=0.01)
    link.put(7, 4, 0, 0, 0)
    found = await ask(link, SDM)
    assert found is not None
    assert (found.here, found.best, found.candidates) == (True, None, ())
    assert found.warnings == ("answers only zeros: a gateway may answer for a meter not there",)
