"""Ten thousand wrong replies over real sockets against the native TCP link: none is a value."""

import asyncio
import random

import pytest

from protocols.errors import DeviceError, LinkError, WireError
from protocols.io.fake import HangUp, Step
from protocols.io.modbus_tcp import ModbusTcpLink
from protocols.modbus.frames import Request
from tests.fixtures.modbus_peers import Asked, Behaviour, TcpPeer, words_of
from tests.fixtures.wrong_replies import TCP_KINDS, wrong_tcp

LINKS = 8
EACH = 1_300
UNFINISHED = ("truncated", "length", "bits")


def injecting(kind: str, seed: int) -> Behaviour:
    """One wrong reply; where the link would wait for the rest of a frame, the peer hangs up."""

    def answer(asked: Asked) -> list[Step]:
        number = asked.transaction_id or 0
        wrong = wrong_tcp(kind, asked.request, number, random.Random(seed))
        return [wrong.frame, HangUp()] if kind in UNFINISHED else [wrong.frame]

    return answer


async def test_no_wrong_reply_is_taken_for_a_value() -> None:
    results = await asyncio.gather(*(_inject(seed) for seed in range(LINKS)))
    assert sum(injected for injected, _ in results) >= 10_000
    assert sum(taken for _, taken in results) == 0


async def test_late_replies_never_meet_the_next_question() -> None:
    peer = TcpPeer()
    await peer.start()
    link = ModbusTcpLink("127.0.0.1", peer.port, timeout_s=0.02)
    for number in range(20):
        peer.play(lambda asked: (0.03, asked.frame()))
        with pytest.raises(LinkError):
            await link.transact(1, 3, number, 2)
        for address in (900 + number, 1900 + number):
            words = await link.transact(1, 3, address, 2)
            assert words == words_of(Request(1, 3, address, 2))
            await asyncio.sleep(0.01)
    await link.close()
    await peer.close()


async def _inject(seed: int) -> tuple[int, int]:
    peer = TcpPeer()
    await peer.start()
    link = ModbusTcpLink("127.0.0.1", peer.port, timeout_s=5)
    draw = random.Random(seed)
    injected = taken = 0
    for number in range(EACH):
        address, count = draw.randrange(60_000), draw.randrange(1, 12)
        if number % 50 == 0:
            # The link is alive: a right answer is taken.
            words = await link.transact(1, 3, address, count)
            assert words == words_of(Request(1, 3, address, count))
            continue
        peer.play(injecting(TCP_KINDS[number % len(TCP_KINDS)], draw.randrange(2**32)))
        injected += 1
        try:
            await link.transact(1, 3, address, count)
        except (DeviceError, LinkError, WireError):
            continue
        taken += 1
    await link.close()
    await peer.close()
    return injected, taken
