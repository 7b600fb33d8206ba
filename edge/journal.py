"""The gateway's journal: an open tail and sealed batches in one SQLite file, WAL and FULL."""

import secrets
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edge.journal_schema import SCHEMA, SCHEMA_VERSION
from protocols.delivery import batch
from protocols.delivery.envelope import BOOT_ID_BYTES, GENESIS, LANES, batch_id, pack, seal
from protocols.delivery.records import Event, Reading, Record
from protocols.errors import HutongError
from protocols.failpoint import reach

GRACE_S: Final = 7 * 86_400
_TAIL: Final = msgspec.msgpack.Decoder(tuple[list[Reading], list[Event]])


class JournalError(HutongError):
    """The journal cannot be used as it is; the message names the file and what is wrong."""


@dataclass(frozen=True)
class LaneStatus:
    """A lane in the journal; batches `first` .. `next` - 1 have an envelope in `epoch`."""

    lane: int
    epoch: int
    first: int
    next: int
    acked: int
    generation: int
    tail_records: int


class Journal:
    """Records in order, sealed into batches that never change; safe to share between threads."""

    def __init__(self, path: Path, gateway: str) -> None:
        self.path = path
        self.gateway = gateway
        self.boot_id = secrets.token_bytes(BOOT_ID_BYTES)
        self._counter = 0
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.OperationalError) as error:
            message = f"{path}: cannot be opened: {error}"
            raise JournalError(message) from error
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            message = f"{path}: not usable as a journal: {error}"
            raise JournalError(message) from error
        except JournalError:
            self._db.close()
            raise

    @property
    def install_id(self) -> str:
        """Return the id of this journal, drawn when the file was made."""
        return self.mark("install_id") or ""

    def append(
        self,
        lane: int,
        records: Sequence[Record],
        *,
        marks: Mapping[str, str] | None = None,
        seal_at_us: int | None = None,
    ) -> None:
        """Commit records to the open tail, with marks in the same transaction; seal if asked."""
        with self._lock, self._transaction():
            reach("journal.append")
            if seal_at_us is not None:
                # what is sealed at once need not stop in the tail
                self._seal(lane, seal_at_us, records)
            elif records:
                self._db.execute(
                    "INSERT INTO tail (lane, records, body) VALUES (?, ?, ?)",
                    (lane, len(records), _encode(records)),
                )
            for key, value in (marks or {}).items():
                self._db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (key, value))
            reach("journal.before_commit")
        reach("journal.committed")

    def append_sealed(
        self, lane: int, groups: Sequence[tuple[int, Sequence[Record]]], marks: Mapping[str, str]
    ) -> None:
        """Commit several batches at once, each sealed at its own instant (group commit)."""
        with self._lock, self._transaction():
            for sealed_at_us, records in groups:
                for start in range(0, len(records), batch.MAX_RECORDS):
                    part = records[start : start + batch.MAX_RECORDS]
                    self._store_batch(lane, part, sealed_at_us)
            for key, value in marks.items():
                self._db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (key, value))

    def seal(self, lane: int, now_us: int) -> int:
        """Turn a lane's open tail into sealed batches; return the lane's next sequence number."""
        with self._lock, self._transaction():
            self._seal(lane, now_us)
            return self._next(lane)

    def mark(self, key: str) -> str | None:
        """Return a remembered value."""
        row = self._db.execute("SELECT value FROM marks WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def status(self, lane: int) -> LaneStatus:
        """Return where a lane stands."""
        with self._lock:
            epoch, following, acked, generation = self._db.execute(
                "SELECT epoch, next, acked, generation FROM lanes WHERE lane = ?", (lane,)
            ).fetchone()
            (first,) = self._db.execute(
                "SELECT min(seq) FROM envelopes WHERE lane = ?", (lane,)
            ).fetchone()
            (tail,) = self._db.execute(
                "SELECT total(records) FROM tail WHERE lane = ?", (lane,)
            ).fetchone()
        return LaneStatus(
            lane,
            int.from_bytes(epoch, "big"),
            following if first is None else first,
            following,
            acked,
            generation,
            int(tail),
        )

    def size_bytes(self) -> int:
        """Return the bytes of all retained batches, acknowledged ones in grace included."""
        with self._lock:
            row = self._db.execute("SELECT total(length(payload)) FROM batches").fetchone()
        return int(row[0])

    def envelope(self, lane: int, seq: int) -> bytes | None:
        """Return a sealed batch in its envelope as it travels, None if no longer held."""
        with self._lock:
            row = self._db.execute(
                "SELECT l.epoch, b.batch_id, e.prev_hash, b.root, b.payload FROM envelopes e"
                " JOIN batches b ON b.id = e.batch JOIN lanes l ON l.lane = e.lane"
                " WHERE e.lane = ? AND e.seq = ?",
                (lane, seq),
            ).fetchone()
        if row is None:
            return None
        epoch, identity, prev_hash, root, payload = row
        return pack(
            seal(
                payload,
                gateway=self.gateway,
                lane=lane,
                epoch=int.from_bytes(epoch, "big"),
                seq=seq,
                batch_id=identity,
                prev_hash=prev_hash,
                root=root,
            )
        )

    def hash_at(self, lane: int, seq: int) -> bytes | None:
        """Return our chain hash of a batch, None if no longer held."""
        with self._lock:
            row = self._db.execute(
                "SELECT hash FROM envelopes WHERE lane = ? AND seq = ?", (lane, seq)
            ).fetchone()
        return None if row is None else bytes(row[0])

    def release(self, lane: int, through: int, generation: int, now_us: int) -> None:
        """Note the acknowledged watermark and drop batches whose grace has passed."""
        with self._lock, self._transaction():
            (before,) = self._db.execute(
                "SELECT acked FROM lanes WHERE lane = ?", (lane,)
            ).fetchone()
            self._set_watermark(lane, through, generation)
            old = self._db.execute(
                "SELECT e.seq, e.batch FROM envelopes e JOIN batches b ON b.id = e.batch"
                " WHERE e.lane = ? AND e.seq < ? AND b.acked_at_us < ? ORDER BY e.seq LIMIT 1000",
                (lane, through, now_us - GRACE_S * 1_000_000),
            ).fetchall()
            self._db.execute(
                "UPDATE batches SET acked_at_us = ? WHERE acked_at_us IS NULL AND id IN"
                " (SELECT batch FROM envelopes WHERE lane = ? AND seq > ? AND seq <= ?)",
                (now_us, lane, before, through),
            )
            for seq, identity in old:
                self._db.execute("DELETE FROM envelopes WHERE lane = ? AND seq = ?", (lane, seq))
                self._db.execute("DELETE FROM batches WHERE id = ?", (identity,))

    def rewind(self, lane: int, through: int, generation: int, now_us: int) -> None:
        """Take the watermark of a cloud of a new generation, wherever it is."""
        with self._lock, self._transaction():
            self._set_watermark(lane, through, generation)
            # the watermark may also have risen: grace begins for what is below it, and above
            # it begins anew
            self._db.execute(
                "UPDATE batches SET acked_at_us = CASE WHEN e.seq <= ? THEN ifnull(acked_at_us, ?)"
                " END FROM envelopes e WHERE e.batch = batches.id AND e.lane = ?",
                (through, now_us, lane),
            )

    def new_epoch(self, lane: int) -> None:
        """Give every retained batch a new envelope in a new epoch; ids and bytes stay."""
        with self._lock, self._transaction():
            kept = self._db.execute(
                "SELECT e.batch, b.batch_id, b.root, b.payload FROM envelopes e"
                " JOIN batches b ON b.id = e.batch WHERE e.lane = ? ORDER BY e.seq",
                (lane,),
            ).fetchall()
            self._db.execute("DELETE FROM envelopes WHERE lane = ?", (lane,))
            self._db.execute(
                "UPDATE lanes SET epoch = ?, next = 1, acked = 0, last_hash = ? WHERE lane = ?",
                (_random_epoch(), GENESIS, lane),
            )
            for identity, name, root, payload in kept:
                self._chain(lane, identity, name, root, payload)

    def close(self) -> None:
        """Close the file; what was appended stays."""
        with self._lock:
            self._db.close()

    def _prepare(self) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
            self._db.execute(f"PRAGMA {pragma}").fetchall()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            message = f"{self.path}: journal format {version}; known: {SCHEMA_VERSION}"
            raise JournalError(message)
        with self._transaction():
            for statement in SCHEMA:
                self._db.execute(statement)
            self._db.execute(
                "INSERT OR IGNORE INTO marks VALUES ('install_id', ?)", (secrets.token_hex(16),)
            )
            self._db.execute("INSERT OR IGNORE INTO marks VALUES ('gateway', ?)", (self.gateway,))
            for lane in LANES:
                self._db.execute(
                    "INSERT OR IGNORE INTO lanes VALUES (?, ?, 1, 0, 0, ?)",
                    (lane, _random_epoch(), GENESIS),
                )
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        owner = self.mark("gateway")
        if owner != self.gateway:
            message = f"{self.path}: the journal of gateway {owner!r}, not of {self.gateway!r}"
            raise JournalError(message)

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._db)

    def _next(self, lane: int) -> int:
        row = self._db.execute("SELECT next FROM lanes WHERE lane = ?", (lane,)).fetchone()
        return int(row[0])

    def _set_watermark(self, lane: int, through: int, generation: int) -> None:
        self._db.execute(
            "UPDATE lanes SET acked = ?, generation = ? WHERE lane = ?", (through, generation, lane)
        )

    def _seal(self, lane: int, now_us: int, more: Sequence[Record] = ()) -> None:
        with closing(
            self._db.execute("SELECT id, body FROM tail WHERE lane = ? ORDER BY id", (lane,))
        ) as rows:
            tail = rows.fetchall()
        records = [record for _, body in tail for record in _decode(body)]
        records += more
        for start in range(0, len(records), batch.MAX_RECORDS):
            self._store_batch(lane, records[start : start + batch.MAX_RECORDS], now_us)
        if tail:
            self._db.execute("DELETE FROM tail WHERE lane = ? AND id <= ?", (lane, tail[-1][0]))

    def _store_batch(self, lane: int, records: Sequence[Record], now_us: int) -> None:
        try:
            payload, root = batch.encode_with_root(records, secrets.token_bytes(batch.SEED_BYTES))
        except batch.BatchTooLargeError:
            if len(records) == 1:
                raise
            half = len(records) // 2
            self._store_batch(lane, records[:half], now_us)
            self._store_batch(lane, records[half:], now_us)
            return
        self._counter += 1
        name = batch_id(self.boot_id, self._counter)
        cursor = self._db.execute(
            "INSERT INTO batches (batch_id, records, root, payload, sealed_at_us)"
            " VALUES (?, ?, ?, ?, ?)",
            (name, len(records), root, payload, now_us),
        )
        self._chain(lane, int(cursor.lastrowid or 0), name, root, payload)

    def _chain(self, lane: int, identity: int, name: bytes, root: bytes, payload: bytes) -> None:
        epoch, seq, prev_hash = self._db.execute(
            "SELECT epoch, next, last_hash FROM lanes WHERE lane = ?", (lane,)
        ).fetchone()
        sealed = seal(
            payload,
            gateway=self.gateway,
            lane=lane,
            epoch=int.from_bytes(epoch, "big"),
            seq=seq,
            batch_id=name,
            prev_hash=prev_hash,
            root=root,
        )
        self._db.execute(
            "INSERT INTO envelopes VALUES (?, ?, ?, ?, ?)",
            (lane, seq, identity, prev_hash, sealed.hash),
        )
        self._db.execute(
            "UPDATE lanes SET next = ?, last_hash = ? WHERE lane = ?", (seq + 1, sealed.hash, lane)
        )


class _Transaction:
    """One transaction that takes the write lock at its start."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            # a full disk refuses the commit, or has rolled back by itself
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def _random_epoch() -> bytes:
    # SQLite integers are signed; eight bytes keep all 64 bits
    return (secrets.randbits(64) or 1).to_bytes(8, "big")


def _encode(records: Sequence[Record]) -> bytes:
    readings = [record for record in records if isinstance(record, Reading)]
    events = [record for record in records if isinstance(record, Event)]
    return msgspec.msgpack.encode((readings, events))


def _decode(body: bytes) -> list[Record]:
    readings, events = _TAIL.decode(body)
    return [*readings, *events]
