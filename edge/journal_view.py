"""A look into a journal that changes nothing, also while its gateway runs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.journal_errors import JournalError
from edge.journal_integrity import check_owner, file_fault
from edge.journal_migrations import version_of
from edge.journal_retention import ROOMY, STEP_MARK


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


@dataclass(frozen=True)
class Overview:
    """A whole journal: `step` is where it stands on the ladder of a full disk."""

    path: Path
    format: int
    step: str
    file_bytes: int
    batch_bytes: int


@contextmanager
def open_view(path: Path, gateway: str) -> Iterator[sqlite3.Connection]:
    """Open a journal for reading only; JournalError if it is none or another gateway's."""
    fault = file_fault(path) if path.exists() else "there is no such file"
    if fault is not None:
        message = f"{path}: not usable as a journal: {fault}"
        raise JournalError(message)
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        ) as db:
            check_owner(db, path, gateway)
            yield db
    except sqlite3.Error as error:
        message = f"{path}: not usable as a journal: {error}"
        raise JournalError(message) from error


def lane_status(db: sqlite3.Connection, lane: int) -> LaneStatus:
    """Return where a lane stands."""
    epoch, following, acked, generation, first, tail = db.execute(
        "SELECT epoch, next, acked, generation,"
        " (SELECT min(seq) FROM envelopes WHERE lane = l.lane),"
        " (SELECT total(records) FROM tail WHERE lane = l.lane) FROM lanes l WHERE lane = ?",
        (lane,),
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


def overview(db: sqlite3.Connection, path: Path) -> Overview:
    """Return what a whole journal comes to; `file_bytes` counts every file beside it too."""
    row = db.execute("SELECT value FROM marks WHERE key = ?", (STEP_MARK,)).fetchone()
    files = (path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm", "-reserve"))
    (size,) = db.execute("SELECT total(length(payload)) FROM batches").fetchone()
    return Overview(
        path,
        version_of(db),
        ROOMY if row is None else str(row[0]),
        sum(file.stat().st_size for file in files if file.exists()),
        int(size),
    )
