"""The gateway's journal: an open tail and sealed batches in one SQLite file, WAL and FULL."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from devices.driver import Clock
from edge.clock import SystemClock
from edge.journal_chain import BOOT_MARK, Chain
from edge.journal_errors import JournalError, JournalFullError, journal_error
from edge.journal_losses import loss
from edge.journal_opening import open_file
from edge.journal_retention import ROOMY, Retention
from edge.journal_schema import encode_tail
from edge.journal_space import Space
from edge.journal_view import LaneStatus, lane_status
from protocols.delivery import batch
from protocols.delivery.envelope import LANE_EVENTS, pack, seal
from protocols.delivery.records import Event, Record
from protocols.failpoint import reach

__all__ = ["GRACE_S", "Journal", "JournalError", "JournalFullError", "LaneStatus", "Limits"]

GRACE_S: Final = 7 * 86_400
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Limits:
    """What a journal may take: bytes of disk, all its files together, and the time of grace."""

    max_bytes: int
    grace_s: int = GRACE_S


class Journal:
    """Records in order, sealed into batches that never change; safe to share between threads.

    Without `limits` it grows as the disk lets it. A damaged file is salvaged when it is opened.
    Every change is committed when its method returns; JournalFullError says that it was not for
    want of room, JournalError that the disk or the file fails and the program should end.
    """

    def __init__(
        self,
        path: Path,
        gateway: str,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.path = path
        self.gateway = gateway
        self._clock = clock or SystemClock()
        self._grace_s = GRACE_S if limits is None else limits.grace_s
        self._lock = threading.Lock()
        self._db, torn = open_file(path, gateway, self._clock)
        self._chain = Chain(self._db, gateway)
        self.boot_id = self._chain.boot_id
        self._boot_noted = False
        self._retention: Retention | None = None
        try:
            if limits is not None:
                self._retention = Retention(
                    self._db,
                    self._chain,
                    Space(self._db, path, limits.max_bytes),
                    transaction=self._transaction,
                    clock=self._clock,
                )
            if torn is not None:
                self._tell_torn(torn)
        except (sqlite3.Error, OSError, JournalError):
            self._db.close()
            raise

    @property
    def install_id(self) -> str:
        """Return the id of this journal, drawn when the file was made."""
        return self.mark("install_id") or ""

    @property
    def step(self) -> str:
        """Return where on the ladder of a full disk the journal stands."""
        with self._lock:
            return ROOMY if self._retention is None else self._retention.step

    def append(
        self,
        lane: int,
        records: Sequence[Record],
        *,
        marks: Mapping[str, str] | None = None,
        seal_at_us: int | None = None,
    ) -> None:
        """Commit records to the open tail, with marks in the same transaction; seal if asked."""

        def change() -> None:
            reach("journal.append")
            self._note_boot()
            if seal_at_us is not None:
                # what is sealed at once need not stop in the tail
                self._chain.seal_tail(lane, seal_at_us, records)
            elif records:
                self._db.execute(
                    "INSERT INTO tail (lane, records, body) VALUES (?, ?, ?)",
                    (lane, len(records), encode_tail(records)),
                )
            self._set_marks(marks or {})
            reach("journal.before_commit")

        try:
            if seal_at_us is not None:
                self._shorten(lane, seal_at_us)
            self._write(change, lane=lane, records=records)
        except JournalFullError:
            if records and seal_at_us is not None:
                # what was taken before must not wait for what is refused now
                with suppress(JournalFullError):
                    self.seal(lane, seal_at_us)
            raise
        self._boot_noted = True
        reach("journal.committed")

    def append_sealed(
        self, lane: int, groups: Sequence[tuple[int, Sequence[Record]]], marks: Mapping[str, str]
    ) -> None:
        """Commit several batches at once, each sealed at its own instant (group commit)."""

        def change() -> None:
            for sealed_at_us, records in groups:
                self._chain.store(lane, records, sealed_at_us)
            self._set_marks(marks)
            reach("journal.group")

        records = [record for _, group in groups for record in group]
        self._write(change, lane=lane, records=records)

    def seal(self, lane: int, now_us: int) -> int:
        """Turn a lane's open tail into sealed batches; return the lane's next sequence number."""

        def change() -> int:
            self._chain.seal_tail(lane, now_us)
            return self._chain.next(lane)

        self._shorten(lane, now_us)
        return self._write(change)

    def mark(self, key: str) -> str | None:
        """Return a remembered value."""
        row = self._one("SELECT value FROM marks WHERE key = ?", key)
        return None if row is None else str(row[0])

    def status(self, lane: int) -> LaneStatus:
        """Return where a lane stands."""
        with self._lock, self._told():
            return lane_status(self._db, lane)

    def size_bytes(self) -> int:
        """Return the bytes of all retained batches, acknowledged ones in grace included."""
        row = self._one("SELECT total(length(payload)) FROM batches")
        return 0 if row is None else int(row[0])

    def envelope(self, lane: int, seq: int) -> bytes | None:
        """Return a sealed batch in its envelope as it travels, None if no longer held."""
        row = self._one(
            "SELECT l.epoch, b.batch_id, e.prev_hash, e.hash, b.root, b.payload FROM envelopes e"
            " JOIN batches b ON b.id = e.batch JOIN lanes l ON l.lane = e.lane"
            " WHERE e.lane = ? AND e.seq = ?",
            lane,
            seq,
        )
        if row is None:
            return None
        epoch, identity, prev_hash, digest, root, payload = row
        sealed = seal(
            payload,
            gateway=self.gateway,
            lane=lane,
            epoch=int.from_bytes(epoch, "big"),
            seq=seq,
            batch_id=identity,
            prev_hash=prev_hash,
            root=root,
        )
        if sealed.hash != digest:
            # the next start salvages the rest
            message = f"{self.path}: batch {seq} of lane {lane} is not what was sealed"
            raise JournalError(message)
        return pack(sealed)

    def hash_at(self, lane: int, seq: int) -> bytes | None:
        """Return our chain hash of a batch, None if no longer held."""
        row = self._one("SELECT hash FROM envelopes WHERE lane = ? AND seq = ?", lane, seq)
        return None if row is None else bytes(row[0])

    def release(
        self, lane: int, through: int, generation: int, now_us: int, *, epoch: int | None = None
    ) -> bool:
        """Note the acknowledged watermark and drop batches whose grace has passed.

        Where an `epoch` is given and is no longer the lane's, nothing is done. Without room
        nothing is noted either, and False says so: it must be tried again.
        """

        def change() -> None:
            if not self._is_epoch(lane, epoch):
                return
            (before,) = self._db.execute(
                "SELECT acked FROM lanes WHERE lane = ?", (lane,)
            ).fetchone()
            self._set_watermark(lane, through, generation)
            old = self._db.execute(
                "SELECT e.seq, e.batch FROM envelopes e JOIN batches b ON b.id = e.batch"
                " WHERE e.lane = ? AND e.seq < ? AND b.acked_at_us < ? ORDER BY e.seq LIMIT 1000",
                (lane, through, now_us - self._grace_s * 1_000_000),
            ).fetchall()
            self._db.execute(
                "UPDATE batches SET acked_at_us = ? WHERE acked_at_us IS NULL AND id IN"
                " (SELECT batch FROM envelopes WHERE lane = ? AND seq > ? AND seq <= ?)",
                (now_us, lane, before, through),
            )
            for seq, row in old:
                self._db.execute("DELETE FROM envelopes WHERE lane = ? AND seq = ?", (lane, seq))
                self._db.execute("DELETE FROM batches WHERE id = ?", (row,))
                self._db.execute("DELETE FROM thinned WHERE batch = ?", (row,))
            reach("journal.release")

        try:
            self._write(change)
        except JournalFullError:
            return False
        return True

    def rewind(
        self, lane: int, through: int, generation: int, now_us: int, *, epoch: int | None = None
    ) -> None:
        """Take the watermark of a cloud of a new generation, wherever it is; see `release`."""

        def change() -> None:
            if not self._is_epoch(lane, epoch):
                return
            self._set_watermark(lane, through, generation)
            # the watermark may also have risen: grace begins for what is below it, and above
            # it begins anew
            self._db.execute(
                "UPDATE batches SET acked_at_us = CASE WHEN e.seq <= ? THEN ifnull(acked_at_us, ?)"
                " END FROM envelopes e WHERE e.batch = batches.id AND e.lane = ?",
                (through, now_us, lane),
            )
            reach("journal.rewind")

        self._write(change)

    def new_epoch(self, lane: int, *, gone: tuple[int, int] | None = None) -> None:
        """Give every retained batch a new envelope in a new epoch; ids and bytes stay.

        Of batches `gone` (first, last) of the old epoch, dropped after their grace and held by the
        cloud no longer, a loss is declared.
        """
        at = (self._clock.now_us(), self._clock.monotonic_us())

        def change() -> None:
            self._chain.renew(lane, self._chain.order(lane))
            if gone is not None:
                reason = f"batches {gone[0]}-{gone[1]} were acknowledged, and the cloud lost them"
                told = loss(lane, "", count=None, span_us=(None, None), reason=reason, at=at)
                self._chain.store(LANE_EVENTS, [told], at[0])
            reach("journal.new_epoch")

        self._write(change)

    def close(self) -> None:
        """Close the file; what was appended stays."""
        with self._lock:
            self._db.close()

    def _shorten(self, lane: int, now_us: int) -> None:
        # a long tail sealed in one transaction could need more room than a full journal has left
        while (row := self._one("SELECT total(records) FROM tail WHERE lane = ?", lane)) and (
            row[0] > batch.MAX_RECORDS
        ):
            self._write(lambda: self._chain.seal_tail(lane, now_us))

    def _tell_torn(self, reason: str) -> None:
        now_us = self._clock.now_us()
        body = {"file": self.path.name, "faults": reason}
        event = Event("", "journal_damaged", now_us, self._clock.monotonic_us(), {**body})
        self._write(lambda: self._chain.store(LANE_EVENTS, [event], now_us))

    def _write(
        self,
        change: Callable[[], _Result],
        *,
        lane: int = LANE_EVENTS,
        records: Sequence[Record] = (),
    ) -> _Result:
        with self._lock, self._told():
            if self._retention is not None:
                return self._retention.write(change, lane, records)
            with self._transaction():
                return change()

    def _one(self, query: str, *values: str | int) -> tuple[Any, ...] | None:
        with self._lock, self._told():
            row: tuple[Any, ...] | None = self._db.execute(query, values).fetchone()
        return row

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise journal_error(self.path, error) from error

    def _transaction(self) -> AbstractContextManager[None]:
        return _Transaction(self._db)

    def _is_epoch(self, lane: int, epoch: int | None) -> bool:
        if epoch is None:
            return True
        (held,) = self._db.execute("SELECT epoch FROM lanes WHERE lane = ?", (lane,)).fetchone()
        return int.from_bytes(held, "big") == epoch

    def _set_watermark(self, lane: int, through: int, generation: int) -> None:
        self._db.execute(
            "UPDATE lanes SET acked = ?, generation = ? WHERE lane = ?", (through, generation, lane)
        )

    def _note_boot(self) -> None:
        # whose monotonic clock the tail is read by, should this run not come to seal it
        if not self._boot_noted:
            self._set_marks({BOOT_MARK: self._chain.boot_mark()})

    def _set_marks(self, marks: Mapping[str, str]) -> None:
        for key, value in marks.items():
            self._db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (key, value))


class _Transaction(AbstractContextManager[None]):
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
