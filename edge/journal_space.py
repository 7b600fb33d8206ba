"""How much room the journal has: its quota, the disk, and a reserve that is held for bad days."""

import os
import sqlite3
from pathlib import Path
from typing import Final

from protocols.failpoint import reach

_LEAST_RESERVE: Final = 128 * 1024
_MOST_RESERVE: Final = 8 * 1024 * 1024
_MOST_CHECKPOINT_PAGES: Final = 4000


def reserve_of(path: Path) -> Path:
    """Return the file beside a journal that holds its reserve."""
    return path.with_name(f"{path.name}-reserve")


class Space:
    """The pages of one journal file; `own` are for the ladder itself, `events` for lane 0.

    Below `pressure` free pages the ladder is climbed; no readings are taken that would leave fewer
    than `events`, and nothing that would leave fewer than `own`. The reserve is a file beside the
    journal: SQLite's deletes and checkpoints need room too, and giving it up makes that room on a
    disk that others have filled.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, max_bytes: int) -> None:
        self._db = db
        self._folder = path.parent
        self._reserve = reserve_of(path)
        found = os.statvfs(self._folder)
        max_bytes = min(max_bytes, int(found.f_blocks) * int(found.f_frsize))
        self.reserve_bytes = min(_MOST_RESERVE, max(_LEAST_RESERVE, max_bytes // 16))
        self.page_bytes = int(db.execute("PRAGMA page_size").fetchone()[0])
        # the write-ahead log may grow as large as the reserve
        self.pages = (max_bytes - 2 * self.reserve_bytes) // self.page_bytes
        self.own = max(64, self.pages // 64)
        self.events = self.own + self.pages // 32
        self.pressure = self.events + self.pages // 32
        # not at once, or it would be told of at every turn
        self.roomy = self.pressure + self.pages // 4
        every = min(_MOST_CHECKPOINT_PAGES, self.reserve_bytes // 2 // self.page_bytes)
        for pragma in (
            f"max_page_count={self.pages}",
            f"wal_autocheckpoint={every}",
            f"journal_size_limit={self.reserve_bytes}",
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()

    def free_pages(self) -> int:
        """Return how many pages can be written: free ones and those the disk has room for."""
        length, free = self._pages()
        missing = 0 if self._is_held() else self.reserve_bytes
        growth = max(0, self._disk_bytes() - missing - self.reserve_bytes // 4) // self.page_bytes
        return min(self.pages - length, growth) + free

    def used_pages(self) -> int:
        """Return how many pages hold something, what the open transaction wrote included."""
        length, free = self._pages()
        return length - free

    def hold_reserve(self) -> bool:
        """Take the reserve from the disk if it is not held; False where there is no room."""
        if self._is_held():
            return True
        if self._disk_bytes() < self.reserve_bytes * 5 // 4:
            return False
        try:
            with self._reserve.open("wb") as file:
                reach("journal.reserve")
                try:
                    os.posix_fallocate(file.fileno(), 0, self.reserve_bytes)
                except OSError:
                    # not every file system can: then it is written
                    file.truncate(0)
                    file.write(bytes(self.reserve_bytes))
        except OSError:
            self._reserve.unlink(missing_ok=True)
            return False
        return True

    def give_up_reserve(self) -> bool:
        """Give the reserve back to the disk; False if it was not held."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def _pages(self) -> tuple[int, int]:
        (length,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        return int(length), int(free)

    def _is_held(self) -> bool:
        # a kill may have left it empty
        try:
            return self._reserve.stat().st_size >= self.reserve_bytes
        except FileNotFoundError:
            return False

    def _disk_bytes(self) -> int:
        found = os.statvfs(self._folder)
        return int(found.f_bavail) * int(found.f_frsize)
