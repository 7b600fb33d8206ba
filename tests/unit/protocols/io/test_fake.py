"""The link in memory: what it stores, fails, loses and forgets."""

import asyncio

import pytest

from protocols.errors import DeviceError, LinkError, WireError
from protocols.io.fake import FakeLink, HangUp
from protocols.modbus.frames import Request, reply_pdu, rtu_frame


async def test_words_come_from_memory_and_unknown_places_are_refused() -> None:
    link = FakeLink()
    link.put(1, 3, 0x10, 7, 8, 9)
    assert await link.transact(1, 3, 0x11, 2) == (8, 9)
    for place in ((1, 3, 0x11, 3), (1, 4, 0x11, 2), (2, 3, 0x11, 2)):
        with pytest.raises(DeviceError) as caught:
            await link.transact(*place)
        assert caught.value.code == 2
    assert link.asked[0] == Request(1, 3, 0x11, 2)
    assert len(link.asked) == 4


async def test_a_read_fails_until_it_is_restored() -> None:
    link = FakeLink()
    link.put(1, 3, 0, 7)
    link.fail_read(1, 0)
    with pytest.raises(LinkError, match="did not answer"):
        await link.transact(1, 3, 0, 1)
    link.fail_read(1, 0, WireError("noise"))
    with pytest.raises(WireError, match="noise"):
        await link.transact(1, 3, 0, 1)
    link.restore_read(1, 0)
    assert await link.transact(1, 3, 0, 1) == (7,)


async def test_a_lost_connection_fails_the_open_request_and_opens_again() -> None:
    link = FakeLink(timeout_s=5)
    link.put(1, 3, 0, 7)
    link.script(lambda _: ())
    waiting = asyncio.create_task(link.transact(1, 3, 0, 1))
    await asyncio.sleep(0)
    link.simulate_connection_lost()
    with pytest.raises(LinkError, match="lost"):
        await asyncio.wait_for(waiting, 2)
    assert await link.transact(1, 3, 0, 1) == (7,)
    assert link.connections == 2


async def test_a_late_answer_is_dropped_and_counted() -> None:
    link = FakeLink(timeout_s=0.02)
    link.put(1, 3, 0, 7)
    late = rtu_frame(1, reply_pdu(Request(1, 3, 0, 1), (9,)))
    link.script(lambda _: (0.05, late), lambda _: (late[:3], HangUp()))
    with pytest.raises(LinkError, match="in time"):
        await link.transact(1, 3, 0, 1)
    assert link.dropped == len(late)
    with pytest.raises(LinkError, match="lost"):
        await link.transact(1, 3, 0, 1)
    assert await link.transact(1, 3, 0, 1) == (7,)
