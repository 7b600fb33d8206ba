"""What can be wrong with a journal, and how SQLite's errors say it."""

import sqlite3
from pathlib import Path
from typing import Final

from protocols.errors import HutongError

# the disk or its permissions, not what stands in the file
_OF_THE_DISK: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_AUTH,
    }
)


class JournalError(HutongError):
    """The journal cannot be used as it is; the message names the file and what is wrong."""


class JournalFullError(JournalError):
    """There is no room for these records; they were not committed, and are counted as refused."""


def journal_error(path: Path, error: sqlite3.Error) -> JournalError:
    """Return an error of SQLite as the journal's own; JournalFullError where only room lacks."""
    if is_of_room(error):
        return JournalFullError(f"{path}: no room: {error}")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return JournalError(f"{path}: the disk or the file fails: {error} ({name})")


def is_of_room(error: sqlite3.Error) -> bool:
    """Whether there is no room for what was to be written."""
    return _code(error) == sqlite3.SQLITE_FULL


def is_of_the_disk(error: sqlite3.Error) -> bool:
    """Whether the disk refuses, so that the file itself may be whole."""
    return _code(error) in _OF_THE_DISK


def _code(error: sqlite3.Error) -> int:
    # the low byte is the primary code, the rest says more of it
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
