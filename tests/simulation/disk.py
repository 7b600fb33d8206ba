"""Simulated disks: SQLite in memory, where a commit is durable and a kill loses what was open.

The journal runs in WAL mode with synchronous=FULL: a COMMIT returns after the fsync of its frames,
and a torn or unsynced suffix of the WAL fails its checksums and is cut off at the next open. So a
kill or a power cut can only lose the transaction that was open, which is what a rollback does here.
A disk that lies about fsync is an older image put back: `Disk.image` and `Disk.from_image`.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.simulation.loop import Killed

FOLDER = Path("simulated-disk")
_SPARE_PAGES = 2
_real_connect = sqlite3.connect
_mounted: dict[str, "Disk"] = {}
# how mutants change the journal's SQL: text for text
REWRITTEN: dict[str, str] = {}
_WRITES = ("INSERT", "UPDATE", "DELETE", "BEGIN", "REPLAC")


class Disk:
    """One gateway's storage: the bytes that outlive every process, and what was promised of them.

    `committed` are the records of appends that returned, `doubtful` those of an append that the
    process did not live to see return: such a record may be there or not; `unsealed` are those
    of both that may still be in an open tail. `bomb` counts down at
    each write and on both sides of each commit; where it comes to 0 the process is killed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.raw = _new()
        self.committed: set[int] = set()
        self.doubtful: set[int] = set()
        self.unsealed: set[int] = set()
        self.handle: Handle | None = None
        self.broken: str | None = None
        self.bomb = 0
        _mounted[str(self.path)] = self

    @property
    def path(self) -> Path:
        """Return where the journal believes to be."""
        return Path(f"{FOLDER}-{self.name}")

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
        self.raw = _new()
        image.raw.backup(self.raw)
        self.committed, self.doubtful = set(image.committed), set(image.doubtful)
        self.unsealed = set(image.unsealed)
        _mounted[str(self.path)] = self

    def fill_up(self) -> None:
        """Leave almost no room for new pages."""
        (pages,) = self.raw.execute("PRAGMA page_count").fetchone()
        self.raw.execute(f"PRAGMA max_page_count = {pages + _SPARE_PAGES}")

    def make_room(self) -> None:
        """Let it grow again."""
        self.raw.execute("PRAGMA max_page_count = 1000000")

    def kill(self) -> None:
        """End the process that has it open: nothing of an open transaction stays."""
        if self.handle is not None:
            self.handle.dead = True
            self.handle = None
        if self.raw.in_transaction:
            self.raw.execute("ROLLBACK")

    def close(self) -> None:
        """Forget the disk."""
        self.kill()
        self.raw.close()
        _mounted.pop(str(self.path), None)


class Image(NamedTuple):
    """A disk as it was, and what it had promised."""

    raw: sqlite3.Connection
    committed: frozenset[int]
    doubtful: frozenset[int]
    unsealed: frozenset[int]


class Handle:
    """What sqlite3.connect returns for a simulated disk; it dies with its process."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.dead = False
        disk.kill()
        disk.handle = self

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open; a dead process has none."""
        return not self.dead and self.disk.raw.in_transaction

    def execute(self, statement: str, parameters: Any = ()) -> sqlite3.Cursor:  # noqa: ANN401 - as sqlite3 has it
        """Run a statement, or die before it."""
        if self.dead:
            raise Killed
        for old, new in REWRITTEN.items():
            statement = statement.replace(old, new)
        head = statement[:6]
        if head == "COMMIT":
            self._tick()
            cursor = self.disk.raw.execute(statement)
            self._tick()
            return cursor
        if head in _WRITES:
            if self.disk.broken is not None:
                raise sqlite3.OperationalError(self.disk.broken)
            self._tick()
        return self.disk.raw.execute(statement, parameters)

    def executemany(self, statement: str, parameters: Any) -> sqlite3.Cursor:  # noqa: ANN401 - as sqlite3 has it
        """Run a statement for many rows, or die before it."""
        if self.dead:
            raise Killed
        self._tick()
        return self.disk.raw.executemany(statement, parameters)

    def close(self) -> None:
        """Close the file; a dead process cannot."""
        if not self.dead:
            self.disk.kill()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a connection has
        if self.dead:
            raise Killed
        return getattr(self.disk.raw, name)

    def _tick(self) -> None:
        if self.disk.bomb:
            self.disk.bomb -= 1
            if not self.disk.bomb:
                self.dead = True
                raise Killed


@contextlib.contextmanager
def mounted() -> Iterator[None]:
    """Let sqlite3.connect open simulated disks by their paths; all are gone at the end."""

    def connect(path: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as sqlite3 has it
        disk = _mounted.get(str(path))
        return _real_connect(path, *args, **kwargs) if disk is None else Handle(disk)

    sqlite3.connect = connect
    try:
        yield
    finally:
        sqlite3.connect = _real_connect
        for disk in list(_mounted.values()):
            disk.close()


def _new() -> sqlite3.Connection:
    return _real_connect(":memory:", isolation_level=None, check_same_thread=False)
