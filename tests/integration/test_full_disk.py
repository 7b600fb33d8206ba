"""A small real disk: filled by the journal, filled by others, and failing."""

import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.journal import Journal, JournalError, JournalFullError, Limits
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event
from tests.faults.small_disks import MIB, fill_up, tmpfs
from tests.fixtures.delivery import MINUTE_US, START_US, reading


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a tmpfs of 8 MiB."""
    with tmpfs(tmp_path / "disk", 8) as folder:
        yield folder


def append_minutes(journal: Journal, first: int, count: int) -> int:
    """Append minutes of 40 readings; return how many readings were refused."""
    draw = random.Random(first)
    refused = 0
    for number in range(first, first + count):
        rows = [
            reading(
                number,
                f"e-{channel}",
                read_at_us=START_US + number * MINUTE_US + channel,
                words=draw.randbytes(180),
            )
            for channel in range(40)
        ]
        try:
            journal.append(LANE_READINGS, rows, seal_at_us=START_US)
        except JournalFullError:
            refused += len(rows)
    return refused


def accounted(journal: Journal) -> int:
    """Return how many readings are held or declared lost."""
    total = 0
    for lane in (LANE_EVENTS, LANE_READINGS):
        status = journal.status(lane)
        for seq in range(status.first, status.next):
            body = journal.envelope(lane, seq)
            assert body is not None
            for record in batch.records(batch.decode(envelope.unpack(body).payload)):
                if not isinstance(record, Event):
                    total += 1
                elif record.kind == "loss":
                    total += int(record.body["count"] or 0)
    return total


def test_a_journal_as_large_as_its_disk(small_disk: Path) -> None:
    path = small_disk / "gw-1.journal"
    with closing(Journal(path, "gw-1", limits=Limits(64 * MIB))) as journal:
        assert append_minutes(journal, 0, 1200) == 0
        assert accounted(journal) == 1200 * 40
        assert journal.status(LANE_READINGS).next < 1000
    with closing(Journal(path, "gw-1", limits=Limits(64 * MIB))) as journal:
        assert accounted(journal) == 1200 * 40


def test_others_fill_the_disk(small_disk: Path) -> None:
    with closing(Journal(small_disk / "gw-1.journal", "gw-1", limits=Limits(6 * MIB))) as journal:
        refused = append_minutes(journal, 0, 300)
        assert refused == 0
        fill_up(small_disk / "other")
        refused = append_minutes(journal, 300, 600)
        door = Event("door-1", "door_opened", START_US, 1)
        journal.append(LANE_EVENTS, [door], seal_at_us=START_US)
        held = accounted(journal)
        assert held + refused >= 900 * 40
        (small_disk / "other").unlink()
        assert append_minutes(journal, 900, 50) == 0
        # what was refused is declared as soon as there is room
        assert accounted(journal) == 950 * 40
        assert (small_disk / "gw-1.journal-reserve").exists()


def test_a_disk_that_is_full_at_the_start(small_disk: Path) -> None:
    path = small_disk / "gw-1.journal"
    with closing(Journal(path, "gw-1", limits=Limits(4 * MIB))) as journal:
        append_minutes(journal, 0, 200)
        journal.append(LANE_READINGS, [reading(1)])
    fill_up(small_disk / "other")
    with closing(Journal(path, "gw-1", limits=Limits(4 * MIB))) as journal:
        assert accounted(journal) == 200 * 40
        door = Event("door-1", "door_opened", START_US, 1)
        journal.append(LANE_EVENTS, [door], seal_at_us=START_US)


def test_a_disk_that_fails_ends_the_gateway(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "gateway: gw-1\n"
        "journal: {max_mib: 4}\n"
        "buses: [{id: b, kind: modbus-tcp, host: 127.0.0.1, port: 9, timeout_ms: 100}]\n"
        "devices: [{id: e-1, bus: b, unit_id: 1, profile: eastron-sdm120}]\n",
        encoding="utf-8",
    )
    environment = os.environ | {
        "HUTONG_DATA_DIR": str(tmp_path),
        "HUTONG_MQTT_URL": "mqtt://127.0.0.1:9",
        "HUTONG_LOG_FORMAT": "json",
    }
    program = Path(sys.executable).with_name("hutong-edge")
    with subprocess.Popen(
        [program, "run", "--config", config],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            seen: list[str] = []
            for line in process.stdout:
                seen.append(line)
                if "gateway_started" in line:
                    # from now on the system refuses every write: EFBIG, to SQLite an I/O error
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, 100))
                    break
            rest, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    text = "".join(seen) + rest
    assert process.returncode == 1, text
    assert "journal_failed" in text
    assert text.count("SQLITE_IOERR_WRITE") >= 1


def test_an_error_of_the_disk_is_no_full_disk(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "gw-1.journal", "gw-1", limits=Limits(4 * MIB))) as journal:
        journal._db.execute("PRAGMA query_only=ON")
        with pytest.raises(JournalError, match="fails") as caught:
            journal.append(LANE_READINGS, [reading(1)])
        assert not isinstance(caught.value, JournalFullError)
        journal._db.execute("PRAGMA query_only=OFF")
        journal.append(LANE_READINGS, [reading(1)])
