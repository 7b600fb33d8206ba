"""Simulated disks: SQLite in memory, where a commit is durable and a kill loses what was open.

The journal runs in WAL mode with synchronous=FULL: a COMMIT returns after the fsync of its frames,
and a torn or unsynced suffix of the WAL fails its checksums and is cut off at the next open. So a
kill or a power cut can only lose the transaction that was open, which is what a rollback does here.
A disk that lies about fsync is an older image put back: `Disk.image` and `Disk.put_back`.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.simulation import files
from tests.simulation.files import PAGE_BYTES, SimulatedPath
from tests.simulation.loop import Killed

_SPARE_PAGES = 2
_UNBOUNDED = 1_000_000
_MOST_PAGES = "PRAGMA max_page_count="
_real_connect = sqlite3.connect
_mounted: dict[str, "Disk"] = {}
# how mutants change the journal's SQL: text for text
REWRITTEN: dict[str, str] = {}
_WRITES = ("INSERT", "UPDATE", "DELETE", "BEGIN ", "REPLAC")
_BOUNDS = ("BEGIN ", "ROLLBA")
_CODES = {
    "disk I/O error": sqlite3.SQLITE_IOERR,
    "attempt to write a readonly database": sqlite3.SQLITE_READONLY,
}
_SEALS = "INSERT INTO batches"


class Disk:
    """One gateway's storage: the bytes that outlive every process, and what was promised of them.

    `committed` are the records of appends that returned, `doubtful` those of an append that the
    process did not live to see return: such a record may be there or not; `unsealed` are those
    of both that may still be in an open tail. `bomb` counts down at
    each write and on both sides of each commit; where it comes to 0 the process is killed.
    `strike` is asked at the same places: it may kill too, or say that there is no room.
    """

    def __init__(self, name: str, capacity_bytes: int | None = None) -> None:
        self.name = name
        self.files: dict[str, sqlite3.Connection | bytes] = {}
        self.committed: set[int] = set()
        self.doubtful: set[int] = set()
        self.unsealed: set[int] = set()
        self.handles: list[Handle] = []
        self.broken: str | None = None
        self.damaged = False
        self.bomb = 0
        self.strike: Callable[[], sqlite3.Error | None] | None = None
        self.sealed: Callable[[list[tuple[bytes, bytes]]], None] | None = None
        self.at_commit: Callable[[], None] | None = None
        self.bounded = capacity_bytes is not None
        self.capacity_bytes = capacity_bytes or 1 << 40
        self.others_bytes = 0
        self.asked_pages = _UNBOUNDED
        self.file = f"{name}.journal"
        _mounted[name] = self

    @property
    def raw(self) -> sqlite3.Connection:
        """Return the journal's own file."""
        found = self.files.get(self.file)
        if not isinstance(found, sqlite3.Connection):
            found = self.files[self.file] = _new()
        return found

    @property
    def path(self) -> SimulatedPath:
        """Return where the journal believes to be."""
        return SimulatedPath(self, self.file)

    def image(self) -> "Image":
        """Return a copy of what is durable, as a backup or a cloned card would hold it."""
        copy = _real_connect(":memory:", isolation_level=None)
        self.raw.backup(copy)
        return Image(
            copy, frozenset(self.committed), frozenset(self.doubtful), frozenset(self.unsealed)
        )

    def put_back(self, image: "Image") -> None:
        """Replace everything by an image."""
        self.close()
        self.files[self.file] = _new()
        image.raw.backup(self.raw)
        self.committed, self.doubtful = set(image.committed), set(image.doubtful)
        self.unsealed = set(image.unsealed)
        _mounted[self.name] = self

    def has(self, name: str) -> bool:
        """Whether there is such a file, with something in it if it is a database."""
        found = self.files.get(name)
        if not isinstance(found, sqlite3.Connection):
            return found is not None
        return self.damaged or bool(found.execute("PRAGMA page_count").fetchone()[0])

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        found = self.files.get(name)
        if found is None:
            raise FileNotFoundError(2, "no such file", name)
        return found if isinstance(found, bytes) else _content(found)

    def write(self, name: str, content: bytes) -> None:
        """Replace a file's bytes."""
        self._die_if_due()
        self.files[name] = content
        self.bound()

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._die_if_due()
        del self.files[name]
        self.bound()

    def rename(self, name: str, target: str) -> None:
        """Give a file another name."""
        self._die_if_due()
        self.files[target] = self.files.pop(name)

    def connection(self, name: str) -> sqlite3.Connection:
        """Return the database of a file, made if it is not there."""
        found = self.files.get(name)
        if isinstance(found, sqlite3.Connection):
            return found
        opened = _new()
        if found:
            # a database in memory has no write-ahead log
            opened.deserialize(found[:18] + b"\1\1" + found[20:])
        self.files[name] = opened
        return opened

    def pages(self) -> int:
        """Return how many pages the journal's own file has, readable or not."""
        return len(_content(self.raw)) // PAGE_BYTES

    def used_bytes(self) -> int:
        """Return what the journal's file and the files beside it take."""
        (pages,) = self.raw.execute("PRAGMA page_count").fetchone()
        beside = sum(len(one) for one in self.files.values() if isinstance(one, bytes))
        return int(pages) * PAGE_BYTES + beside

    def room_bytes(self) -> int:
        """Return what is free."""
        return self.capacity_bytes - self.others_bytes - self.used_bytes()

    def bound(self) -> None:
        """Let the journal grow as far as it asked for and the disk has room."""
        if self.bounded:
            (pages,) = self.raw.execute("PRAGMA page_count").fetchone()
            most = min(self.asked_pages, pages + max(0, self.room_bytes()) // PAGE_BYTES)
            self.raw.execute(f"{_MOST_PAGES}{most}")

    def fill_up(self) -> None:
        """Leave almost no room for new pages."""
        if self.bounded:
            self.others_bytes += max(0, self.room_bytes() - _SPARE_PAGES * PAGE_BYTES)
            self.bound()
            return
        (pages,) = self.raw.execute("PRAGMA page_count").fetchone()
        self.raw.execute(f"{_MOST_PAGES}{pages + _SPARE_PAGES}")

    def make_room(self) -> None:
        """Let it grow again."""
        self.others_bytes = 0
        with contextlib.suppress(sqlite3.DatabaseError, UnicodeDecodeError):
            # a damaged file has no bounds, and is put aside anyway
            self.raw.execute(f"{_MOST_PAGES}{_UNBOUNDED}")
            self.bound()

    def damage(self, places: Iterator[tuple[int, int]]) -> None:
        """Flip bits of the journal's file at rest."""
        self.kill()
        content = files.flipped(_content(self.raw), places)
        self.raw.close()
        self.files[self.file] = _new()
        self.raw.deserialize(content)
        self.damaged = True

    def tick(self) -> None:
        """Die here, or learn that there is no room, if that was to be."""
        self._die_if_due()
        if self.strike is not None and (error := self.strike()) is not None:
            raise error

    def committed_write(self) -> None:
        """Die after a commit, if that was to be."""
        self._die_if_due()

    def kill(self) -> None:
        """End the process that has it open: nothing of an open transaction stays."""
        handles, self.handles = self.handles, []
        for handle in handles:
            handle.end()

    def close(self) -> None:
        """Forget the disk."""
        self.kill()
        for one in self.files.values():
            if isinstance(one, sqlite3.Connection):
                one.close()
        self.files.clear()
        _mounted.pop(self.name, None)

    def _die_if_due(self) -> None:
        # a kill while a salvage has a sample of old pages leaves a file that no start comes by
        if self.bomb and not any(name.endswith(".sample") for name in self.files):
            self.bomb -= 1
            if not self.bomb:
                self.kill()
                raise Killed


class Image(NamedTuple):
    """A disk as it was, and what it had promised."""

    raw: sqlite3.Connection
    committed: frozenset[int]
    doubtful: frozenset[int]
    unsealed: frozenset[int]


class Handle:
    """What sqlite3.connect returns for a simulated disk; it dies with its process."""

    def __init__(self, disk: Disk, name: str) -> None:
        self.disk = disk
        self.raw = disk.connection(name)
        self.dead = False
        self._sealed: list[tuple[bytes, bytes]] = []
        disk.handles.append(self)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; a dead process has none."""
        return not self.dead and self.raw.in_transaction

    def execute(self, statement: str, parameters: Any = ()) -> sqlite3.Cursor:  # noqa: ANN401 - as sqlite3 has it
        """Run a statement, or die before it."""
        if self.dead:
            raise Killed
        head = statement[:6]
        if head == "SELECT" and not REWRITTEN:
            return self.raw.execute(statement, parameters)
        for old, new in REWRITTEN.items():
            statement = statement.replace(old, new)
        if head == "COMMIT":
            return self._commit()
        if head in _BOUNDS:
            # at the begin too: where there is no room SQLite may roll back by itself
            self._sealed.clear()
        if head in _WRITES:
            if self.disk.broken is not None:
                raise _failure(self.disk.broken, _CODES[self.disk.broken])
            self.disk.tick()
            if self.disk.sealed is not None and statement.startswith(_SEALS):
                self._sealed.append((parameters[0], parameters[3]))
        elif statement.startswith(_MOST_PAGES):
            self.disk.asked_pages = int(statement.removeprefix(_MOST_PAGES))
            cursor = self.raw.execute(statement)
            self.disk.bound()
            return cursor
        return self.raw.execute(statement, parameters)

    def executemany(self, statement: str, parameters: Any) -> sqlite3.Cursor:  # noqa: ANN401 - as sqlite3 has it
        """Run a statement for many rows, or die before it."""
        if self.dead:
            raise Killed
        self.disk.tick()
        return self.raw.executemany(statement, parameters)

    def close(self) -> None:
        """Close the file; a dead process cannot."""
        if not self.dead:
            self.disk.handles.remove(self)
            self.end()

    def end(self) -> None:
        """Be of no use any more; an open transaction is undone."""
        self.dead = True
        self._sealed.clear()
        if self.raw.in_transaction:
            self.raw.execute("ROLLBACK")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a connection has
        if self.dead:
            raise Killed
        return getattr(self.raw, name)

    def _commit(self) -> sqlite3.Cursor:
        disk = self.disk
        disk.tick()
        cursor = self.raw.execute("COMMIT")
        if self._sealed and disk.sealed is not None:
            disk.sealed(self._sealed)
            self._sealed = []
        if disk.at_commit is not None:
            disk.at_commit()
        disk.committed_write()
        return cursor


def no_room() -> sqlite3.OperationalError:
    """Return the error of a write for which there is no room."""
    return _failure("database or disk is full", sqlite3.SQLITE_FULL)


@contextlib.contextmanager
def mounted() -> Iterator[None]:
    """Let sqlite3.connect open simulated disks by their paths; all are gone at the end."""

    def connect(path: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as sqlite3 has it
        if isinstance(path, SimulatedPath):
            return Handle(path.disk, path.name)
        if isinstance(path, str) and path.startswith(files.SCHEME):
            name, file = files.of_uri(path)
            return Handle(_mounted[name], file)
        return _real_connect(path, *args, **kwargs)

    sqlite3.connect = connect
    try:
        yield
    finally:
        sqlite3.connect = _real_connect
        for disk in list(_mounted.values()):
            disk.close()


def _failure(message: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


def _content(raw: sqlite3.Connection) -> bytes:
    # of a database in which nothing was ever written there are no bytes
    try:
        return raw.serialize()
    except sqlite3.OperationalError:
        return b""


def _new() -> sqlite3.Connection:
    return _real_connect(":memory:", isolation_level=None, check_same_thread=False)
