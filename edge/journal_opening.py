"""Opening a journal file: check it, salvage what is damaged, migrate what is old."""

import sqlite3
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from devices.driver import Clock
from edge import journal_integrity
from edge.journal_errors import JournalError, is_of_the_disk, journal_error
from edge.journal_migrations import migrate, version_of
from edge.journal_salvage import finish, salvage
from edge.journal_schema import SCHEMA_VERSION, connect, found
from edge.journal_space import reserve_of
from protocols.failpoint import reach

_FAULTS_TOLD: Final = 3

log = structlog.get_logger("journal")


def open_file(path: Path, gateway: str, clock: Clock) -> tuple[sqlite3.Connection, str | None]:
    """Return a whole journal of the newest version, open, and what its log had lost, if anything.

    A damaged file is set aside and salvaged; JournalError if the disk refuses or the journal is
    another gateway's or of a later version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        finish(path)
        faults, torn = _faults_with_room(path, gateway)
        if faults:
            aside = salvage(path, gateway, faults, clock)
            log.error("journal_damaged", file=str(aside), faults="; ".join(faults))
            torn = None
        db = connect(path)
    except OSError as error:
        message = f"{path}: cannot be opened: {error}"
        raise JournalError(message) from error
    except sqlite3.Error as error:
        raise journal_error(path, error) from error
    try:
        if not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            db.execute("BEGIN IMMEDIATE")
            found(db, gateway)
            reach("journal.founded")
            db.execute("COMMIT")
        if version_of(db) != SCHEMA_VERSION:
            migrate(db)
    except sqlite3.Error as error:
        db.close()
        raise journal_error(path, error) from error
    except JournalError:
        db.close()
        raise
    return db, torn


def _faults_with_room(path: Path, gateway: str) -> tuple[list[str], str | None]:
    try:
        return _faults(path, gateway)
    except sqlite3.Error:
        # opening takes room too; on a full disk the reserve is what is left
        reserve = reserve_of(path)
        if not reserve.exists():
            raise
        # a read-only disk refuses this too, and its own error says more
        with suppress(OSError):
            reserve.unlink()
        return _faults(path, gateway)


def _faults(path: Path, gateway: str) -> tuple[list[str], str | None]:
    # what is wrong with the file that is there, and what of its log was not taken over
    salts = journal_integrity.log_salts(path)
    fault = journal_integrity.file_fault(path)
    if fault is not None or not path.exists():
        return ([] if fault is None else [fault]), None
    try:
        with closing(connect(path)) as db:
            torn = journal_integrity.log_fault(db, salts)
            if not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
                # killed before its tables were committed
                return ([] if torn is None else [torn]), None
            journal_integrity.check_owner(db, path, gateway)
            faults = journal_integrity.faults(db, gateway)
            return list(islice(faults, _FAULTS_TOLD)), torn
    except sqlite3.Error as error:
        if is_of_the_disk(error):
            raise
        return [str(error)], None
    except UnicodeDecodeError:
        # an error that quotes damaged text cannot even be told
        return ["text that is no UTF-8"], None
