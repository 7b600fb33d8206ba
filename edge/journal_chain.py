"""Batches in the journal and their places in each lane's chain, within a caller's transaction."""

import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Final

from edge.journal_schema import decode_tail, random_epoch
from protocols.delivery import batch
from protocols.delivery.envelope import BOOT_ID_BYTES, GENESIS, batch_id, seal
from protocols.delivery.records import Reading, Record

# below this rate the time of a dense batch is nothing, and offline every byte counts
DENSE_RECORDS_PER_S: Final = 200
# a replacing batch of more would seldom fit its bytes
_KEPT_AT_ONCE: Final = 2000
BOOT_MARK: Final = "boot_id"
# no run seals so many batches: what is left of it is numbered from here
_LEFTOVERS: Final = 1 << 31


class Chain:
    """Seals records into batches that never change, each chained to the one before it."""

    def __init__(self, db: sqlite3.Connection, gateway: str) -> None:
        self._db = db
        self._gateway = gateway
        self.boot_id = secrets.token_bytes(BOOT_ID_BYTES)
        self._counter = 0
        self._sealed_at_us: dict[int, int] = {}
        # what earlier runs left open was read by their monotonic clocks, which are not ours
        (self._left,) = db.execute("SELECT ifnull(max(id), 0) FROM tail").fetchone()
        before = db.execute("SELECT value FROM marks WHERE key = ?", (BOOT_MARK,)).fetchone()
        self._left_boots = _boots("" if before is None else str(before[0]), self._left)

    def boot_mark(self) -> str:
        """Return whose monotonic clocks the open tail is read by: runs before ours, then ours."""
        left = [f"{boot_id.hex()}:{last}" for last, boot_id in self._left_boots]
        return " ".join([*left, self.boot_id.hex()])

    def next(self, lane: int) -> int:
        """Return the sequence number that a lane's next batch will have."""
        row = self._db.execute("SELECT next FROM lanes WHERE lane = ?", (lane,)).fetchone()
        return int(row[0])

    def seal_tail(self, lane: int, now_us: int, more: Sequence[Record] = ()) -> None:
        """Seal a lane's open tail, or the begin of a long one, and what is given after it.

        ValueError if the tail is damaged.
        """
        tail: list[tuple[int, bytes]] = []
        count = 0
        with closing(
            self._db.execute(
                "SELECT id, records, body FROM tail WHERE lane = ? ORDER BY id", (lane,)
            )
        ) as rows:
            for row, records, body in rows:
                tail.append((row, body))
                count += records
                if count > batch.MAX_RECORDS:
                    break
        if tail:
            # first, so that there is room for the same records again, however full the file is
            self._db.execute("DELETE FROM tail WHERE lane = ? AND id <= ?", (lane, tail[-1][0]))
        begun = 0
        for last, boot_id in self._left_boots:
            bodies = [body for row, body in tail if begun < row <= last]
            if bodies:
                left = [record for body in bodies for record in decode_tail(body)]
                self._store_left(lane, left, now_us, boot_id)
            begun = last
        records = [record for row, body in tail if row > begun for record in decode_tail(body)]
        self.store(lane, [*records, *more], now_us)

    def store(self, lane: int, records: Sequence[Record], now_us: int) -> None:
        """Seal records into as many batches as their bounds ask for."""
        elapsed_us = now_us - self._sealed_at_us.get(lane, now_us)
        self._sealed_at_us[lane] = now_us
        calm = len(records) * 1_000_000 <= DENSE_RECORDS_PER_S * elapsed_us
        level = batch.DENSE_LEVEL if calm else batch.LEVEL
        for start in range(0, len(records), batch.MAX_RECORDS):
            self._store(lane, records[start : start + batch.MAX_RECORDS], now_us, level)

    def insert_replacing(self, kept: Mapping[bytes, Sequence[Reading]], now_us: int) -> list[int]:
        """Insert batches that stand in the place of others; return their rows, not yet chained."""
        rows: list[int] = []
        part: dict[bytes, Sequence[Reading]] = {}
        size = 0
        for name, readings in kept.items():
            if part and size + len(readings) + 1 > _KEPT_AT_ONCE:
                rows += self._replacing(part, now_us)
                part, size = {}, 0
            part[name] = readings
            size += len(readings) + 1
        return rows + (self._replacing(part, now_us) if part else [])

    def order(self, lane: int) -> list[int]:
        """Return the rows of a lane's batches in the order of its chain."""
        query = "SELECT batch FROM envelopes WHERE lane = ? ORDER BY seq"
        return [row for (row,) in self._db.execute(query, (lane,))]

    def renew(self, lane: int, order: Iterable[int]) -> None:
        """Give these batches new places in a new epoch; their ids and bytes stay."""
        self._db.execute("DELETE FROM envelopes WHERE lane = ?", (lane,))
        self._db.execute(
            "UPDATE lanes SET epoch = ?, next = 1, acked = 0, last_hash = ? WHERE lane = ?",
            (random_epoch(), GENESIS, lane),
        )
        self.place(lane, order)

    def place(self, lane: int, rows: Iterable[int]) -> None:
        """Chain batches to the end of a lane, one payload in memory at a time."""
        epoch, seq, last_hash = self._db.execute(
            "SELECT epoch, next, last_hash FROM lanes WHERE lane = ?", (lane,)
        ).fetchone()
        for row in rows:
            name, root, payload = self._db.execute(
                "SELECT batch_id, root, payload FROM batches WHERE id = ?", (row,)
            ).fetchone()
            sealed = seal(
                payload,
                gateway=self._gateway,
                lane=lane,
                epoch=int.from_bytes(epoch, "big"),
                seq=seq,
                batch_id=name,
                prev_hash=last_hash,
                root=root,
            )
            self._db.execute(
                "INSERT INTO envelopes VALUES (?, ?, ?, ?, ?)",
                (lane, seq, row, last_hash, sealed.hash),
            )
            seq, last_hash = seq + 1, sealed.hash
        self._db.execute(
            "UPDATE lanes SET next = ?, last_hash = ? WHERE lane = ?", (seq, last_hash, lane)
        )

    def _store(self, lane: int, records: Sequence[Record], now_us: int, level: int) -> None:
        try:
            payload, root = batch.encode_with_root(
                records, secrets.token_bytes(batch.SEED_BYTES), level=level
            )
        except batch.BatchTooLargeError:
            if len(records) == 1:
                raise
            half = len(records) // 2
            self._store(lane, records[:half], now_us, level)
            self._store(lane, records[half:], now_us, level)
            return
        self.place(lane, [self._insert(len(records), root, payload, now_us)])

    def _store_left(
        self, lane: int, records: Sequence[Record], now_us: int, boot_id: bytes
    ) -> None:
        own = (self.boot_id, self._counter)
        # two copies of one disk may both seal it, each with bytes of its own
        self.boot_id, self._counter = boot_id, _LEFTOVERS + secrets.randbits(30)
        try:
            self.store(lane, records, now_us)
        finally:
            self.boot_id, self._counter = own

    def _replacing(self, part: Mapping[bytes, Sequence[Reading]], now_us: int) -> list[int]:
        try:
            payload, root = batch.encode_with_root(
                [],
                secrets.token_bytes(batch.SEED_BYTES),
                replaces=part,
                level=batch.DENSE_LEVEL,
            )
        except batch.BatchTooLargeError:
            if len(part) == 1:
                raise
            names = list(part)
            half = len(names) // 2
            return [
                row
                for some in (names[:half], names[half:])
                for row in self._replacing({name: part[name] for name in some}, now_us)
            ]
        return [self._insert(sum(map(len, part.values())), root, payload, now_us)]

    def _insert(self, records: int, root: bytes, payload: bytes, now_us: int) -> int:
        self._counter += 1
        cursor = self._db.execute(
            "INSERT INTO batches (batch_id, records, root, payload, sealed_at_us)"
            " VALUES (?, ?, ?, ?, ?)",
            (batch_id(self.boot_id, self._counter), records, root, payload, now_us),
        )
        return int(cursor.lastrowid or 0)


def _boots(mark: str, left: int) -> list[tuple[int, bytes]]:
    # the last row of the tail that each earlier run wrote, and its boot; ids are never used again
    if not left:
        return []
    try:
        parts = [part.partition(":") for part in mark.split()]
        boots = [(int(last or left), bytes.fromhex(boot)) for boot, _, last in parts]
    except ValueError:
        boots = []
    if not boots or any(len(boot) != BOOT_ID_BYTES for _, boot in boots):
        # of unknown runs: nobody's clock dates it
        return [(left, secrets.token_bytes(BOOT_ID_BYTES))]
    return boots
