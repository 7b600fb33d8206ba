"""The ladder of a full journal: every record is kept, delivered, or told of as lost."""

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edge.journal import Journal, JournalFullError, Limits
from edge.journal_losses import ids_of
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event, Reading
from tests.fixtures.delivery import MINUTE_US, START_US, reading

LIMIT = 4 << 20
HOUR_US = 60 * MINUTE_US


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "gw-1.journal", "gw-1", limits=Limits(LIMIT))) as opened:
        yield opened


def minute(number: int, draw: random.Random, channels: int = 40) -> list[Reading]:
    """Return a minute of readings of rising registers, with stamps that no compressor foresees."""
    at_us = START_US + number * MINUTE_US
    return [
        reading(
            number,
            f"e-{channel}",
            count=number * 7 + channel,
            read_at_us=at_us + draw.randrange(1_000_000),
            words=draw.randbytes(180),
        )
        for channel in range(channels)
    ]


def payloads(journal: Journal, lane: int) -> list[tuple[bytes, batch.Payload]]:
    status = journal.status(lane)
    found = []
    for seq in range(status.first, status.next):
        body = journal.envelope(lane, seq)
        assert body is not None
        item = envelope.unpack(body)
        found.append((item.batch_id, batch.decode(item.payload)))
    return found


def told(journal: Journal, kind: str) -> list[Event]:
    return [
        event
        for _, payload in payloads(journal, LANE_EVENTS)
        for event in payload.events
        if event.kind == kind
    ]


def disk_bytes(journal: Journal) -> int:
    return sum(
        file.stat().st_size
        for file in journal.path.parent.iterdir()
        if not file.name.endswith("-shm")
    )


def test_offline_for_weeks_every_reading_is_kept_or_declared(journal: Journal) -> None:
    draw = random.Random(1)
    epochs = set()
    minutes = 900
    for number in range(minutes):
        rows = minute(number, draw)
        journal.append(LANE_READINGS, rows, seal_at_us=START_US)
        epochs.add(journal.status(LANE_READINGS).epoch)
        assert disk_bytes(journal) <= LIMIT
    assert len(epochs) > 2, "nothing was thinned"
    kept: Counter[bytes] = Counter()
    times: dict[str, list[tuple[int, int | None]]] = {}
    for name, payload in payloads(journal, LANE_READINGS):
        parts = [(name, payload.series)]
        parts += [(item.batch_id, item.series) for item in payload.replaces]
        for origin, series in parts:
            rows = [row for columns in series for row in batch.readings(columns)]
            kept[origin] += len(rows)
            for row in rows:
                times.setdefault(row.device, []).append((row.read_at_us, row.count))
    losses = told(journal, "loss")
    lost = sum(int(event.body["count"] or 0) for event in losses)
    # nothing of it disappears silently
    assert kept.total() + lost == minutes * 40
    declared = {name for event in losses for name in ids_of(str(event.body["ids"]))}
    replaced = {
        item.batch_id
        for _, payload in payloads(journal, LANE_READINGS)
        for item in payload.replaces
    }
    assert declared <= replaced
    # a register's value on both sides of every hour is still there
    for rows in times.values():
        held = {at // MINUTE_US for at, _ in rows}
        first = START_US // MINUTE_US
        for hour in range(60, minutes, 60):
            assert {first + hour - 1, first + hour} <= held


def test_grace_copies_go_first_and_nothing_is_lost(journal: Journal) -> None:
    draw = random.Random(2)
    for number in range(500):
        journal.append(LANE_READINGS, minute(number, draw), seal_at_us=START_US)
        status = journal.status(LANE_READINGS)
        journal.release(LANE_READINGS, status.next - 1, 1, START_US, epoch=status.epoch)
    assert told(journal, "grace_dropped")
    assert told(journal, "loss") == []
    status = journal.status(LANE_READINGS)
    assert (status.next, status.acked) == (501, 500)
    assert status.first > 1


def fill_with_what_cannot_be_thinned(journal: Journal, draw: random.Random) -> tuple[int, int]:
    """Append readings of ever new channels until they are refused; return taken and refused."""
    taken = refused = 0
    for number in range(3000):
        rows = [
            reading(
                number, f"n-{number}-{n}", words=draw.randbytes(400), count=draw.randrange(1 << 50)
            )
            for n in range(30)
        ]
        try:
            journal.append(LANE_READINGS, rows, seal_at_us=START_US)
            taken += len(rows)
        except JournalFullError:
            refused += len(rows)
            if refused > 300:
                break
    return taken, refused


def test_readings_stop_events_go_on_and_it_climbs_down_again(journal: Journal) -> None:
    draw = random.Random(3)
    taken, refused = fill_with_what_cannot_be_thinned(journal, draw)
    assert refused > 300
    assert journal.step == "stopped"
    door = Event("door-1", "door_opened", START_US, 1, {"card": "1"})
    journal.append(LANE_EVENTS, [door], seal_at_us=START_US)
    assert told(journal, "door_opened") == [door]
    assert [event.body["step"] for event in told(journal, "journal_step")][-1] == "stopped"
    held = sum(len(batch.records(payload)) for _, payload in payloads(journal, LANE_READINGS))
    assert held == taken

    # the cloud is back: what it acknowledged makes room
    status = journal.status(LANE_READINGS)
    journal.release(LANE_READINGS, status.next - 1, 1, START_US, epoch=status.epoch)
    journal.append(LANE_READINGS, [reading(1)], seal_at_us=START_US)
    assert journal.step != "stopped"
    (loss,) = [event for event in told(journal, "loss") if event.body["ids"] == ""]
    assert (loss.body["lane"], loss.body["count"]) == (LANE_READINGS, refused)


@pytest.mark.parametrize("rows", [1, 16, 84])
def test_a_full_journal_takes_what_leaves_room_and_seals_all_it_took(
    rows: int, tmp_path: Path
) -> None:
    draw = random.Random(7)
    with closing(Journal(tmp_path / "gw-1.journal", "gw-1", limits=Limits(450 << 10))) as journal:
        retention = journal._retention
        assert retention is not None
        space = retention._space
        taken, cost, refused = 0, 0, False
        while not refused:
            free = space.free_pages()
            # words that no compressor makes smaller: sealed they take as much as open
            group = [reading(taken + n, words=draw.randbytes(1200)) for n in range(rows)]
            try:
                journal.append(LANE_READINGS, group)
            except JournalFullError:
                refused = True
            else:
                taken += rows
                cost = free - space.free_pages()
                assert space.free_pages() >= space.events, "readings took what is held for events"
        # nothing was refused for which there was room
        assert free < space.events + cost + 2
        journal.seal(LANE_READINGS, START_US)
        status = journal.status(LANE_READINGS)
        assert status.tail_records == 0
        held = [batch.records(payload) for _, payload in payloads(journal, LANE_READINGS)]
        counts = [row.count for part in held for row in part if isinstance(row, Reading)]
        assert sorted(counts) == list(range(1000, 1000 + taken))
        assert disk_bytes(journal) <= 450 << 10


def test_a_restart_remembers_what_was_refused(tmp_path: Path) -> None:
    path = tmp_path / "gw-1.journal"
    with closing(Journal(path, "gw-1", limits=Limits(LIMIT))) as journal:
        _, refused = fill_with_what_cannot_be_thinned(journal, random.Random(4))
    with closing(Journal(path, "gw-1", limits=Limits(LIMIT))) as journal:
        assert journal.step == "stopped"
        with pytest.raises(JournalFullError, match=f"{refused + 1} refused"):
            journal.append(LANE_READINGS, [reading(1)])
        assert journal.mark("refused:1") is not None
    with closing(Journal(path, "gw-1", limits=Limits(4 * LIMIT))) as journal:
        # a larger quota is room too
        journal.append(LANE_READINGS, [reading(1)])
        (loss,) = told(journal, "loss")
        assert loss.body["count"] == refused + 1


def test_events_fill_their_reserve_and_are_then_refused(journal: Journal) -> None:
    draw = random.Random(5)
    fill_with_what_cannot_be_thinned(journal, draw)
    taken = 0
    refused = ""
    while not refused and taken < 5000:
        event = Event("e", "note", START_US, taken, {"text": draw.randbytes(2000).hex()})
        try:
            journal.append(LANE_EVENTS, [event], seal_at_us=START_US)
            taken += 1
        except JournalFullError as error:
            refused = str(error)
    assert "lane 0" in refused
    assert taken > 20
    assert len(told(journal, "note")) == taken
    assert disk_bytes(journal) <= LIMIT
    status = journal.status(LANE_EVENTS)
    journal.release(LANE_EVENTS, status.next - 1, 1, START_US)
    door = Event("door-1", "door_opened", START_US, 1)
    journal.append(LANE_EVENTS, [door], seal_at_us=START_US)
    assert [event.body["count"] for event in told(journal, "loss")][-1] == 1


def test_an_acknowledgement_of_an_epoch_that_is_gone_is_nothing(journal: Journal) -> None:
    journal.append(LANE_READINGS, [reading(1)], seal_at_us=START_US)
    old = journal.status(LANE_READINGS).epoch
    journal.new_epoch(LANE_READINGS)
    journal.release(LANE_READINGS, 1, 1, START_US, epoch=old)
    journal.rewind(LANE_READINGS, 1, 5, START_US, epoch=old)
    status = journal.status(LANE_READINGS)
    assert (status.acked, status.generation) == (0, 0)


def test_a_poison_batch_is_left_as_it_is(journal: Journal) -> None:
    draw = random.Random(6)
    journal.append(LANE_READINGS, minute(0, draw), seal_at_us=START_US)
    journal._db.execute("UPDATE batches SET payload = x'00112233'")
    journal.new_epoch(LANE_READINGS)
    for number in range(1, 500):
        journal.append(LANE_READINGS, minute(number, draw), seal_at_us=START_US)
    body = journal.envelope(LANE_READINGS, 1)
    assert body is not None
    assert envelope.unpack(body).payload == b"\x00\x11\x22\x33"
    assert told(journal, "loss")


def test_what_is_refused_without_room_for_its_count_is_declared_later(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    retention = journal._retention
    assert retention is not None

    @contextmanager
    def no_room() -> Iterator[None]:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error
        yield

    with monkeypatch.context() as patch:
        for owner in (retention, retention._refusals):
            patch.setattr(owner, "_transaction", no_room)
        for number in range(2):
            with pytest.raises(JournalFullError, match="disk is full"):
                journal.append(LANE_READINGS, [reading(number), reading(number + 2)])
    with monkeypatch.context() as patch:
        # there is room for the count before there is room to tell of it
        patch.setattr(retention._refusals, "declare", lambda _: None)
        journal.append(LANE_READINGS, [reading(8)])
        assert '"count":4' in (journal.mark("refused:1") or "")
    journal.append(LANE_READINGS, [reading(9)], seal_at_us=START_US)
    (loss,) = told(journal, "loss")
    assert (loss.body["lane"], loss.body["count"]) == (LANE_READINGS, 4)
    assert (loss.body["from"], loss.body["to"]) == (START_US, START_US + 3 * MINUTE_US)
