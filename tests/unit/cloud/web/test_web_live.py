"""The live stream: everything first, then changes; no values of homes for those who may not."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Engine, update

from cloud.alerts.tables import alerts
from cloud.telemetry import repository
from cloud.web import live
from cloud.web.live import Broadcaster
from protocols.delivery.records import Reading


async def _message(events: AsyncIterator[bytes]) -> dict[str, object]:
    async with asyncio.timeout(20):
        async for event in events:
            if event.startswith(b"data: "):
                found: dict[str, object] = json.loads(event.removeprefix(b"data: "))
                return found
    message = "the stream ended"
    raise AssertionError(message)


async def _end_of_looking() -> None:
    task = next(task for task in asyncio.all_tasks() if task.get_name() == "live p")
    async with asyncio.timeout(20):
        await asyncio.wait({task})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.02)


@pytest.mark.usefixtures("quick")
async def test_first_everything_then_only_what_changed(engine: Engine) -> None:
    broadcaster = Broadcaster(engine)
    events = broadcaster.watch("p", sees_homes=True)
    first = await _message(events)
    assert len(first["devices"]) == 60
    assert first["counts"]["critical"] == 1
    assert first["devices"]["d0"]["value"] == "7.65"
    now_us = time.time_ns() // 1000
    with engine.begin() as connection:
        reading = Reading("d7", "active_power", "W", 0, 9_000, 0, now_us, 0)
        repository.store(connection, [("g", b"1" * 16, [reading])])
        connection.execute(update(alerts).where(alerts.c.id == 1).values(cleared_us=now_us))
    seen: dict[str, object] = {}
    async with asyncio.timeout(20):
        while "d7" not in seen or "d0" not in seen:
            message = await _message(events)
            assert len(message["devices"]) < 60
            seen.update(message["devices"])
    assert seen["d7"]["value"] == "9.00"
    assert seen["d0"]["state"] == "normal"
    assert message["alerts"] != first["alerts"]
    await events.aclose()
    await broadcaster.close()


@pytest.mark.usefixtures("quick")
async def test_values_of_homes_are_left_out_for_guards(engine: Engine) -> None:
    broadcaster = Broadcaster(engine)
    events = broadcaster.watch("p", sees_homes=False)
    devices = (await _message(events))["devices"]
    assert "value" not in devices["d0"]
    assert devices["d55"]["value"] == "7.65"
    await events.aclose()
    await broadcaster.close()


@pytest.mark.usefixtures("quick")
async def test_one_look_serves_all_who_watch_and_stops_with_the_last(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    look = live.look

    def counted(engine: Engine, project_id: str) -> live.Snapshot:
        looks.append(project_id)
        return look(engine, project_id)

    monkeypatch.setattr(live, "look", counted)
    broadcaster = Broadcaster(engine)
    streams = [broadcaster.watch("p", sees_homes=True) for _ in range(5)]
    for events in streams:
        await _message(events)
    assert broadcaster.watched == 5
    before = len(looks)
    for _ in range(4):
        for events in streams:
            await _message(events)
    assert len(looks) - before <= 8
    for events in streams:
        await events.aclose()
    await _end_of_looking()
    assert broadcaster.watched == 0


@pytest.mark.usefixtures("quick")
async def test_a_reader_that_does_not_read_is_dropped(engine: Engine) -> None:
    broadcaster = Broadcaster(engine)
    events = broadcaster.watch("p", sees_homes=True)
    await _message(events)
    await _end_of_looking()
    assert broadcaster.watched == 0
    async with asyncio.timeout(20):
        rest = [event async for event in events]
    assert len(rest) < 40


async def test_closing_ends_every_stream(engine: Engine) -> None:
    broadcaster = Broadcaster(engine)
    events = broadcaster.watch("p", sees_homes=True)
    await _message(events)
    await broadcaster.close()
    with pytest.raises(AssertionError, match="ended"):
        await _message(events)
