"""Group commit: nothing twice and nothing lost, also when a commit is cancelled or fails."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence

import pytest

from edge.journal import Journal, JournalError, JournalFullError
from edge.recorder import Recorder
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event, Record
from tests.fixtures.delivery import OpenJournal, reading


def sealed(journal: Journal, lane: int = LANE_READINGS) -> list[Record]:
    status = journal.status(lane)
    packed = [journal.envelope(lane, seq) for seq in range(status.first, status.next)]
    return [
        record
        for body in packed
        if body is not None
        for record in batch.records(batch.decode(envelope.unpack(body).payload))
    ]


def recorder_of(journal: Journal, *, online: bool) -> tuple[Recorder, list[int]]:
    told: list[int] = []
    recorder = Recorder(
        journal, commit_s=0.01, online=lambda: online, sealed=lambda: told.append(1)
    )
    return recorder, told


async def test_online_every_commit_is_sealed(open_journal: OpenJournal) -> None:
    journal = open_journal()
    recorder, told = recorder_of(journal, online=True)
    recorder.add([reading(1)])
    await recorder.flush(seal=False)
    assert sealed(journal) == [reading(1)]
    assert told == [1]


async def test_offline_the_tail_is_sealed_once_a_minute(open_journal: OpenJournal) -> None:
    journal = open_journal()
    recorder, _ = recorder_of(journal, online=False)
    recorder.add([reading(1)])
    await recorder.flush(seal=False)
    recorder.add([reading(2)])
    await recorder.flush(seal=False)
    assert sealed(journal) == [reading(1)]
    assert journal.status(LANE_READINGS).tail_records == 1
    await recorder.flush(seal=True)
    assert sealed(journal) == [reading(1), reading(2)]


async def test_a_tail_that_an_earlier_run_left_is_sealed(open_journal: OpenJournal) -> None:
    journal = open_journal()
    journal.append(LANE_READINGS, [reading(1)])
    recorder, _ = recorder_of(journal, online=True)
    await recorder.flush(seal=False)
    assert sealed(journal) == [reading(1)]


async def test_an_event_is_sealed_at_once(open_journal: OpenJournal) -> None:
    journal = open_journal()
    recorder, told = recorder_of(journal, online=False)
    event = Event("e-1", "device_silent", 1, 2)
    await recorder.note(event)
    assert sealed(journal, LANE_EVENTS) == [event]
    assert told == [1]


async def test_a_cancelled_commit_is_not_made_twice(
    open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal()
    begun, go_on = threading.Event(), threading.Event()
    append = journal.append

    def slow(lane: int, records: Sequence[Record], *, seal_at_us: int | None) -> None:
        begun.set()
        assert go_on.wait(10)
        append(lane, records, seal_at_us=seal_at_us)

    monkeypatch.setattr(journal, "append", slow)
    recorder, _ = recorder_of(journal, online=True)
    recorder.add([reading(1)])
    flush = asyncio.create_task(recorder.flush(seal=False))
    assert await asyncio.to_thread(begun.wait, 10)
    flush.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await flush
    await recorder.flush(seal=True)
    assert sealed(journal) == [reading(1)]


async def test_a_failed_commit_is_kept_for_the_next(
    open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal()
    recorder, _ = recorder_of(journal, online=True)
    recorder.add([reading(1)])

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "append", full)
        with pytest.raises(sqlite3.OperationalError):
            await recorder.flush(seal=False)
    recorder.add([reading(2)])
    await recorder.flush(seal=False)
    assert sealed(journal) == [reading(1), reading(2)]


async def test_what_a_full_journal_refuses_is_dropped_and_the_next_goes_on(
    open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal()
    recorder, told = recorder_of(journal, online=True)

    def full(*_: object, **__: object) -> None:
        message = "no room"
        raise JournalFullError(message)

    recorder.add([reading(1)])
    with monkeypatch.context() as patch:
        patch.setattr(journal, "append", full)
        await recorder.flush(seal=False)
        await recorder.note(Event("e-1", "device_silent", 1, 2))
    recorder.add([reading(2)])
    await recorder.flush(seal=False)
    assert sealed(journal) == [reading(2)]
    assert sealed(journal, LANE_EVENTS) == []
    assert told


async def test_a_disk_that_fails_is_raised(
    open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal()
    recorder, _ = recorder_of(journal, online=True)

    def fail(*_: object, **__: object) -> None:
        message = "the disk fails"
        raise JournalError(message)

    recorder.add([reading(1)])
    with monkeypatch.context() as patch:
        patch.setattr(journal, "append", fail)
        with pytest.raises(JournalError, match="the disk fails"):
            await recorder.run()
