"""What can be read of a damaged journal goes into a fresh one; the rest is declared lost."""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from devices.driver import Clock
from edge.journal_chain import Chain
from edge.journal_errors import JournalFullError, journal_error
from edge.journal_losses import loss, losses
from edge.journal_remains import Place, Remains, beside, remains_of
from edge.journal_schema import connect, decode_tail, encode_tail, found
from protocols.delivery import batch
from protocols.delivery.envelope import (
    BATCH_ID_BYTES,
    LANE_EVENTS,
    LANE_READINGS,
    LANES,
    seal,
)
from protocols.delivery.records import Event, EventValue, instant
from protocols.errors import WireError
from protocols.failpoint import reach

_AT_ONCE: Final = 200
_INSTALL_ID: Final = re.compile(r"^[0-9a-f]{32}$")
_OURS: Final = frozenset({"install_id", "gateway", "format", "owner_check"})
_MOST_GENERATIONS: Final = 1 << 31
_MOST_RECORDS: Final = 1 << 20
_HASH_BYTES: Final = 32


@dataclass
class _Found:
    batches: int = 0
    tail: int = 0
    lost: dict[bytes, int | None] = field(default_factory=dict)
    unnamed: int = 0
    tail_lost: dict[int, int] = field(default_factory=dict)
    homeless: set[bytes] = field(default_factory=set)


@dataclass(frozen=True)
class _Sealed:
    lane: int
    batch_id: bytes
    records: int
    root: bytes
    payload: bytes
    sealed_at_us: int


@dataclass(frozen=True)
class _Proof:
    """What shows that the bytes of a batch are those that were sealed."""

    gateway: str
    names: dict[int, bytes]
    places: dict[int, Place]
    epochs: dict[int, bytes]

    def sealed(self, row: int, values: tuple[object, ...] | None) -> _Sealed | None:
        """Return the batch of a row if it is proven."""
        match values:
            case (bytes() as name, bytes() as root, bytes() as payload, int() as sealed_at_us):
                pass
            case _:
                return None
        if (len(name), len(root)) != (BATCH_ID_BYTES, _HASH_BYTES):
            return None
        try:
            decoded = batch.decode(payload)
            count = len(batch.records(decoded))
        except WireError:
            # a poison batch may still be what was sealed
            count, decoded = 0, None
        lane = LANE_READINGS if decoded is None or not decoded.events else LANE_EVENTS
        if (place := self.places.get(row)) is not None:
            lane = place.lane
        item = _Sealed(lane, name, count, root, payload, sealed_at_us)
        if place is not None and self._is_chained(item, place):
            return item
        # without its envelope a batch is proven by its root, and its id by the index beside it
        by_root = decoded is not None and name == self.names.get(row) and _is_sealed(item, decoded)
        return item if by_root else None

    def _is_chained(self, item: _Sealed, place: Place) -> bool:
        if (epoch := self.epochs.get(place.lane)) is None:
            return False
        sealed = seal(
            item.payload,
            gateway=self.gateway,
            lane=place.lane,
            epoch=int.from_bytes(epoch, "big"),
            seq=place.seq,
            batch_id=item.batch_id,
            prev_hash=place.prev_hash,
            root=item.root,
        )
        return sealed.hash == place.hash


def finish(path: Path) -> None:
    """Finish an exchange that was cut off: what is ready has all that the damaged file had."""
    ready = beside(path, ".salvaged")
    if not ready.exists():
        return
    stamp = f"{instant(int(ready.stat().st_mtime) * 1_000_000):%Y%m%dT%H%M%SZ}"
    aside = beside(path, f".damaged-{stamp}")
    # its log may be there already
    for log in path.parent.glob(f"{path.name}.damaged-*-wal"):
        aside = log.with_name(log.name.removesuffix("-wal"))
    _exchange(path, ready, aside)


def salvage(path: Path, gateway: str, faults: Sequence[str], clock: Clock) -> Path:
    """Put a fresh journal in the place of a damaged one; return where the damaged one is now.

    Batches keep their ids and bytes and get a new epoch, the tail stays open, marks and the
    install id are taken over; an event tells of it, and losses of what is known to be missing.
    """
    building = path.with_name(f"{path.name}.salvage")
    files = (building, beside(building, "-wal"), beside(building, "-shm"))
    # one damaged file is kept for whoever wants to look into it; the disk is bounded
    for old in (*files, beside(path, "-reserve"), *path.parent.glob(f"{path.name}.damaged-*")):
        old.unlink(missing_ok=True)
    now_us = clock.now_us()
    stamp = f"{instant(now_us):%Y%m%dT%H%M%SZ}"
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    with closing(connect(building)) as db:
        db.execute("BEGIN IMMEDIATE")
        found(db, gateway)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        result = _Found()
        chain = Chain(db, gateway)
        with remains_of(path, building) as source:
            if source is not None:
                _take_marks(source, db)
                _take_batches(source, db, chain, gateway, result)
                reach("journal.salvage_batches")
                _take_tail(source, db, result)
        at = (now_us, clock.monotonic_us())
        db.execute("BEGIN IMMEDIATE")
        chain.store(LANE_EVENTS, _events(result, aside.name, faults, at), now_us)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    reach("journal.salvage")
    ready = beside(path, ".salvaged")
    building.rename(ready)
    reach("journal.salvage_ready")
    _exchange(path, ready, aside)
    return aside


def _exchange(path: Path, ready: Path, aside: Path) -> None:
    # the log first: beside another file SQLite would take it for that file's own
    with suppress(FileNotFoundError):
        beside(path, "-wal").rename(beside(aside, "-wal"))
    reach("journal.salvage_log")
    beside(path, "-shm").unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        path.rename(aside)
    reach("journal.salvage_aside")
    ready.rename(path)


def _is_sealed(item: _Sealed, decoded: batch.Payload) -> bool:
    # a flipped bit may leave the records as they were, and the bytes would be others: only what
    # is packed to the same bytes again is what was sealed
    try:
        rows = [row for columns in decoded.series for row in batch.readings(columns)]
        kept = {
            part.batch_id: [row for columns in part.series for row in batch.readings(columns)]
            for part in decoded.replaces
        }
        return any(
            batch.encode_with_root(
                [*rows, *decoded.events], decoded.seed, replaces=kept, level=level
            )
            == (item.payload, item.root)
            for level in (batch.LEVEL, batch.DENSE_LEVEL)
        )
    except (WireError, msgspec.MsgspecError, OverflowError):
        return False


def _events(result: _Found, file: str, faults: Sequence[str], at: tuple[int, int]) -> list[Event]:
    body: dict[str, EventValue] = {
        "file": file,
        "faults": "; ".join(faults)[:500],
        "batches": result.batches,
        "tail_records": result.tail,
        "lost_batches": len(result.lost),
        "unnamed_batches": result.unnamed,
    }
    events = [Event("", "journal_damaged", *at, body)]
    # of which lane a batch was cannot be told where nothing of it is left
    events += losses(
        LANE_READINGS, result.lost, span_us=(None, None), reason="the journal was damaged", at=at
    )
    if result.unnamed:
        events.append(
            loss(
                LANE_READINGS,
                "",
                count=None,
                span_us=(None, None),
                reason=f"the journal was damaged: {result.unnamed} batches without a name",
                at=at,
            )
        )
    events += [
        loss(
            lane,
            "",
            count=count,
            span_us=(None, None),
            reason="the journal's tail was damaged",
            at=at,
        )
        for lane, count in sorted(result.tail_lost.items())
    ]
    return events


def _take_marks(source: Remains, db: sqlite3.Connection) -> None:
    for key, value in source.marks():
        if key not in _OURS or (key == "install_id" and _INSTALL_ID.match(value)):
            db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (key, value))
    for lane in source.lanes():
        if 0 <= lane.generation < _MOST_GENERATIONS:
            query = "UPDATE lanes SET generation = ? WHERE lane = ?"
            db.execute(query, (lane.generation, lane.lane))


def _take_batches(
    source: Remains,
    db: sqlite3.Connection,
    chain: Chain,
    gateway: str,
    result: _Found,
) -> None:
    names, places = source.names(), source.places()
    proof = _Proof(gateway, names, places, {lane.lane: lane.epoch for lane in source.lanes()})
    rows = sorted(source.batch_rows() | names.keys() | places.keys())
    pending: list[_Sealed] = []
    taken: set[bytes] = set()
    for row in rows:
        item = proof.sealed(row, source.batch(row))
        if item is None:
            name = names.get(row)
            if name is None or source.name(row) not in (None, name):
                # the table and its index name it otherwise: nobody knows who is right
                result.unnamed += 1
            else:
                result.lost[name] = None
        elif item.batch_id not in taken:
            taken.add(item.batch_id)
            pending.append(item)
        if len(pending) >= _AT_ONCE:
            _keep(db, chain, pending, result)
            pending = []
    _keep(db, chain, pending, result)
    # one of which not even a row can be read may be the place that no row has
    placed = {(place.lane, place.seq) for place in places.values()}
    result.unnamed += max(0, _unseen(source, placed) - len(set(rows) - places.keys()))
    taken -= result.homeless
    result.batches = len(taken)
    for name in taken & result.lost.keys():
        del result.lost[name]


def _unseen(source: Remains, placed: set[tuple[int, int]]) -> int:
    # how many places of the chains, beyond what the cloud has, are not among these
    return sum(
        (lane.lane, seq) not in placed
        for lane in source.lanes()
        if lane.next - lane.acked <= _MOST_RECORDS
        for seq in range(max(0, lane.acked) + 1, lane.next)
    )


def _keep(db: sqlite3.Connection, chain: Chain, items: Sequence[_Sealed], result: _Found) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for item in items:
            cursor = db.execute(
                "INSERT INTO batches (batch_id, records, root, payload, sealed_at_us)"
                " VALUES (?, ?, ?, ?, ?)",
                (item.batch_id, item.records, item.root, item.payload, item.sealed_at_us),
            )
            chain.place(item.lane, [int(cursor.lastrowid or 0)])
        db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if not isinstance(journal_error(Path(), error), JournalFullError):
            raise
        # a disk without room for two: they stay in the damaged file only
        result.lost |= {item.batch_id: item.records for item in items}
        result.homeless |= {item.batch_id for item in items}


def _take_tail(source: Remains, db: sqlite3.Connection, result: _Found) -> None:
    versions = (2, 1) if source.version() == 1 else (2,)
    for row, lane, records, body in source.tail():
        rows = None
        for version in versions:
            if rows is None and isinstance(body, bytes):
                with suppress(ValueError):
                    rows = decode_tail(body, version)
        if rows is None or lane not in LANES:
            known = LANE_EVENTS if lane == LANE_EVENTS else LANE_READINGS
            lost = records if isinstance(records, int) and 0 <= records < _MOST_RECORDS else 0
            result.tail_lost[known] = result.tail_lost.get(known, 0) + lost
            continue
        # its id says whose monotonic clock it was read by
        db.execute(
            "INSERT INTO tail (id, lane, records, body) VALUES (?, ?, ?, ?)",
            (row, lane, len(rows), encode_tail(rows)),
        )
        result.tail += len(rows)
