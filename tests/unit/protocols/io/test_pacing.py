"""Instants and pauses."""

import time

import pytest

from protocols.errors import LinkError
from protocols.io.pacing import PacedLink, sleep_until


async def test_never_early() -> None:
    for ahead_s in (0.0, 0.0005, 0.004):
        until = time.monotonic() + ahead_s
        await sleep_until(until)
        assert time.monotonic() >= until


class Recorder:
    """Notes when each unit was asked; unit 9 is dead."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, float]] = []
        self.closed = False

    async def transact(
        self, unit_id: int, function: int, address: int, count: int, *, patience_s: float = 0.0
    ) -> tuple[int, ...]:
        del patience_s
        self.asked.append((unit_id, time.monotonic()))
        if unit_id == 9:
            raise LinkError("dead")
        return (function, address, count)

    async def close(self) -> None:
        self.closed = True


async def test_the_same_unit_waits_and_another_does_not() -> None:
    inside = Recorder()
    link = PacedLink(inside, gap_s=0.05)
    for unit_id in (1, 2, 1):
        assert await link.transact(unit_id, 3, 0, 1) == (3, 0, 1)
    (_, first), (_, other), (_, again) = inside.asked
    assert other - first < 0.05 <= again - first
    with pytest.raises(LinkError):
        await link.transact(9, 3, 0, 1)
    with pytest.raises(LinkError):
        await link.transact(9, 3, 0, 1)
    assert inside.asked[4][1] - inside.asked[3][1] >= 0.05
    await link.close()
    assert inside.closed
