"""What can still be read of a damaged journal file, row by row."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

from edge.journal_schema import OLD_PAGE_BYTES, PAGE_BYTES, SCHEMAS, found, header_fault
from protocols.delivery.envelope import BATCH_ID_BYTES, LANES

_HEADER_BYTES: Final = 100
# each from both ends, as far as it can be read
_NAMES: Final = (
    "SELECT id, batch_id FROM batches INDEXED BY sqlite_autoindex_batches_1 ORDER BY batch_id",
    "SELECT id, batch_id FROM batches INDEXED BY sqlite_autoindex_batches_1 ORDER BY batch_id DESC",
)
_PLACES: Final = (
    "SELECT batch, lane, seq, prev_hash, hash FROM envelopes ORDER BY lane, seq",
    "SELECT batch, lane, seq, prev_hash, hash FROM envelopes ORDER BY lane DESC, seq DESC",
)
_BATCHES: Final = ("SELECT id FROM batches ORDER BY id", "SELECT id FROM batches ORDER BY id DESC")
_TAIL: Final = ("SELECT id FROM tail ORDER BY id", "SELECT id FROM tail ORDER BY id DESC")
_MARKS: Final = (
    "SELECT rowid FROM marks ORDER BY rowid",
    "SELECT rowid FROM marks ORDER BY rowid DESC",
)


class Place(NamedTuple):
    """Where a batch stood in its lane's chain."""

    lane: int
    seq: int
    prev_hash: bytes
    hash: bytes


class Lane(NamedTuple):
    """What a lane's row says of it; a damaged one may say anything."""

    lane: int
    epoch: bytes
    generation: int
    next: int
    acked: int


class Remains:
    """A damaged journal, open for reading only; what cannot be read is left out."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def version(self) -> int:
        """Return the version that the header names, 0 if it is unreadable."""
        return next((int(value) for (value,) in self._all("PRAGMA user_version")), 0)

    def marks(self) -> Iterator[tuple[str, str]]:
        """Give the marks that can be read."""
        for row in self._ids(_MARKS):
            for key, value in self._all("SELECT key, value FROM marks WHERE rowid = ?", row):
                if isinstance(key, str) and isinstance(value, str):
                    yield key, value

    def lanes(self) -> Iterator[Lane]:
        """Give each lane that can be read."""
        for lane in LANES:
            query = "SELECT epoch, generation, next, acked FROM lanes WHERE lane = ?"
            for epoch, *numbers in self._all(query, lane):
                if isinstance(epoch, bytes) and all(isinstance(one, int) for one in numbers):
                    yield Lane(lane, epoch, *numbers)

    def tail(self) -> Iterator[tuple[int, object, object, object]]:
        """Give each row of the tail in order: id, lane, records, body."""
        for row in sorted(self._ids(_TAIL)):
            for lane, records, body in self._all(
                "SELECT lane, records, body FROM tail WHERE id = ?", row
            ):
                yield row, lane, records, body

    def batch_rows(self) -> set[int]:
        """Return the rows of the batches that the table still lists."""
        return self._ids(_BATCHES)

    def batch(self, row: int) -> tuple[object, ...] | None:
        """Return batch_id, root, payload and sealed_at_us of a row, None if it is unreadable."""
        query = "SELECT batch_id, root, payload, sealed_at_us FROM batches WHERE id = ?"
        return next(iter(self._all(query, row)), None)

    def name(self, row: int) -> object:
        """Return the batch id of a row as the table has it, None if it is unreadable."""
        query = "SELECT batch_id FROM batches WHERE id = ?"
        return next((name for (name,) in self._all(query, row)), None)

    def names(self) -> dict[int, bytes]:
        """Return the batch id of each row as the index beside the table has it."""
        return {
            row: name
            for query in _NAMES
            for row, name in self._all(query)
            if isinstance(name, bytes) and len(name) == BATCH_ID_BYTES
        }

    def places(self) -> dict[int, Place]:
        """Return where the batch of each row stood."""
        return {
            row: Place(*place)
            for query in _PLACES
            for row, *place in self._all(query)
            if isinstance(row, int) and place[0] in LANES and isinstance(place[2], bytes)
        }

    def _ids(self, queries: tuple[str, str]) -> set[int]:
        return {row for query in queries for (row,) in self._all(query) if isinstance(row, int)}

    def _all(self, query: str, *values: int) -> Iterator[tuple[Any, ...]]:
        # an error that quotes damaged text cannot even be told
        with suppress(sqlite3.Error, UnicodeDecodeError):
            yield from self._db.execute(query, values)


@contextmanager
def remains_of(path: Path, fresh: Path) -> Iterator[Remains | None]:
    """Open what is left of a journal, None if nothing is; `fresh` is a new journal's file."""
    # if its first page is unreadable, or another one of the schema, a copy with those pages of a
    # fresh journal: tables begin at the same pages in every journal
    copy = path.with_name(f"{path.name}.copy")
    try:
        source = path if _has_tables(path) else None
        for page, only_first in product((PAGE_BYTES, OLD_PAGE_BYTES), (True, False)):
            if (
                source is None
                and _transplanted(path, copy, fresh, page=page, only_first=only_first)
                and _has_tables(copy)
            ):
                source = copy
        if source is None:
            yield None
        else:
            with closing(_read_only(source)) as db:
                yield Remains(db)
    finally:
        for old in (copy, beside(copy, "-wal"), beside(copy, "-shm")):
            old.unlink(missing_ok=True)


def beside(path: Path, suffix: str) -> Path:
    """Return the file of that ending beside a journal."""
    return path.with_name(path.name + suffix)


def _has_tables(path: Path) -> bool:
    # what a table holds may be gone, and what the others hold be readable
    with suppress(sqlite3.Error, UnicodeDecodeError), closing(_read_only(path)) as db:
        return set(SCHEMAS[1]) <= {text for (text,) in db.execute("SELECT sql FROM sqlite_schema")}
    return False


def _transplanted(path: Path, copy: Path, fresh: Path, *, page: int, only_first: bool) -> bool:
    size = path.stat().st_size
    if size <= page:
        return False
    with suppress(FileNotFoundError):
        shutil.copy(beside(path, "-wal"), beside(copy, "-wal"))
    shutil.copy(path, copy)
    if page == PAGE_BYTES:
        whole = fresh.read_bytes()
        roots = _roots(fresh)
    else:
        sample = copy.with_name(f"{copy.name}.sample")
        # a kill may have left one
        sample.unlink(missing_ok=True)
        with closing(sqlite3.connect(sample, isolation_level=None)) as db:
            db.execute(f"PRAGMA page_size={page}")
            found(db, "", 1)
        whole = sample.read_bytes()
        roots = _roots(sample)
        sample.unlink()
    head = bytearray(whole[:page])
    head[18:20] = b"\x02\x02"
    head[28:32] = (size // page).to_bytes(4, "big")
    head[32:40] = bytes(8)  # no free list: nothing is written here
    with copy.open("r+b") as file:
        file.write(head)
        for number in range(2, len(whole) // page + 1):
            if not only_first and number not in roots:
                # what is no table's first page in a journal without rows is the schema's
                file.seek((number - 1) * page)
                file.write(whole[(number - 1) * page : number * page])
    return header_fault(bytes(head[:_HEADER_BYTES])) is None


def _roots(path: Path) -> set[int]:
    with closing(_read_only(path)) as db:
        return {root for (root,) in db.execute("SELECT rootpage FROM sqlite_schema")}


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
