"""Journals of every version open, and go back to the one before."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.journal import Journal, JournalError
from edge.journal_migrations import migrate, version_of
from edge.journal_schema import SCHEMAS, encode_tail, found
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import LANE_READINGS
from tests.fixtures.delivery import START_US, reading

NAME = envelope.batch_id(b"golden-boot-", 1)


def golden(path: Path, version: int) -> str:
    """Write a journal as that version did: one sealed batch, two rows in the tail, a mark."""
    payload, root = batch.encode_with_root([reading(0)], bytes(32))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL").fetchall()
        db.execute("BEGIN")
        found(db, "gw-1", version)
        epoch, before = db.execute("SELECT epoch, last_hash FROM lanes WHERE lane = 1").fetchone()
        sealed = envelope.seal(
            payload,
            gateway="gw-1",
            lane=LANE_READINGS,
            epoch=int.from_bytes(epoch, "big"),
            seq=1,
            batch_id=NAME,
            prev_hash=before,
            root=root,
        )
        db.execute(
            "INSERT INTO batches VALUES (1, ?, 1, ?, ?, ?, NULL)", (NAME, root, payload, START_US)
        )
        db.execute("INSERT INTO envelopes VALUES (1, 1, 1, ?, ?)", (before, sealed.hash))
        db.execute("UPDATE lanes SET next = 2, last_hash = ? WHERE lane = 1", (sealed.hash,))
        for number in (1, 2):
            body = encode_tail([reading(number)], version)
            db.execute("INSERT INTO tail (lane, records, body) VALUES (1, 1, ?)", (body,))
        db.execute("INSERT INTO marks VALUES ('learnt:e-1', '{}')")
        db.execute("COMMIT")
        (install_id,) = db.execute("SELECT value FROM marks WHERE key='install_id'").fetchone()
    return str(install_id)


@pytest.mark.parametrize("version", sorted(SCHEMAS))
def test_a_journal_of_any_version_opens(version: int, tmp_path: Path) -> None:
    path = tmp_path / "gw-1.journal"
    install_id = golden(path, version)
    with closing(Journal(path, "gw-1")) as journal:
        assert version_of(journal._db) == max(SCHEMAS)
        assert (journal.install_id, journal.mark("learnt:e-1")) == (install_id, "{}")
        assert journal.seal(LANE_READINGS, START_US) == 3
        first, second = (
            envelope.unpack(journal.envelope(LANE_READINGS, seq) or b"") for seq in (1, 2)
        )
    assert first.batch_id == NAME
    assert batch.records(batch.decode(second.payload)) == [reading(1), reading(2)]
    assert list(tmp_path.glob("*.damaged-*")) == []


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema ORDER BY name")]
        return {
            name: sorted(db.execute(f"SELECT * FROM {name}").fetchall(), key=repr)  # noqa: S608 - names of tables
            for name in tables
            if not name.startswith("sqlite_")
        }


def test_up_and_down_again_is_where_it_began(tmp_path: Path) -> None:
    path = tmp_path / "gw-1.journal"
    golden(path, 1)
    before = contents(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, 2)
        assert version_of(db) == 2
        migrate(db, 1)
        assert version_of(db) == 1
    assert contents(path) == before


def test_what_the_older_version_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gw-1.journal"
    golden(path, 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO marks VALUES ('refused:1', '[3]')")
        before = list(db.execute("SELECT * FROM tail"))
        with pytest.raises(JournalError, match="refused:1"):
            migrate(db, 1)
        # all or nothing
        assert version_of(db) == 2
        assert list(db.execute("SELECT * FROM tail")) == before
        with pytest.raises(JournalError, match="format 7; allowed: 1, 2"):
            migrate(db, 7)


def test_a_flipped_version_is_damage_and_no_other_version(tmp_path: Path) -> None:
    path = tmp_path / "gw-1.journal"
    golden(path, 2)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 3")
    with closing(Journal(path, "gw-1")) as journal:
        body = journal.envelope(LANE_READINGS, 1)
        assert body is not None
        assert envelope.unpack(body).batch_id == NAME
        assert journal.status(LANE_READINGS).tail_records == 2
    assert len(list(tmp_path.glob("*.damaged-*"))) >= 1
