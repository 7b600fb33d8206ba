"""From one version of the journal's tables to the next and back, each in one transaction."""

import sqlite3
from collections.abc import Callable
from typing import Final

from edge.journal_errors import JournalError
from edge.journal_schema import SCHEMA_VERSION, THINNED, decode_tail, encode_tail, note_format
from protocols.failpoint import reach

REFUSED_MARK: Final = "refused:"


def migrate(db: sqlite3.Connection, to: int = SCHEMA_VERSION) -> None:
    """Bring a journal to a version, all or nothing; JournalError if that cannot be expressed."""
    allowed = sorted({version for step in _STEPS for version in step})
    if to not in allowed:
        message = f"journal format {to}; allowed: {', '.join(map(str, allowed))}"
        raise JournalError(message)
    db.execute("BEGIN IMMEDIATE")
    try:
        while (version := version_of(db)) != to:
            after = version + (1 if to > version else -1)
            _STEPS[version, after](db)
            db.execute(f"PRAGMA user_version = {after}")
        reach("journal.migration")
        db.execute("COMMIT")
        reach("journal.migrated")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def version_of(db: sqlite3.Connection) -> int:
    """Return the version that the file's header names, 0 for an empty file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _add_checksums_and_thinned(db: sqlite3.Connection) -> None:
    _rewrite_tail(db, 1, 2)
    db.execute(THINNED)
    note_format(db, 2)


def _drop_checksums_and_thinned(db: sqlite3.Connection) -> None:
    refused = db.execute(
        "SELECT key, value FROM marks WHERE key >= ? AND key < ? ORDER BY key",
        (REFUSED_MARK, REFUSED_MARK + "~"),
    ).fetchall()
    if refused:
        message = (
            "format 1 cannot hold refused records that are not yet declared"
            f" ({', '.join(f'{key} {value}' for key, value in refused)});"
            " make room and let the gateway run first"
        )
        raise JournalError(message)
    _rewrite_tail(db, 2, 1)
    db.execute("DROP TABLE thinned")
    db.execute("DELETE FROM marks WHERE key IN ('format', 'owner_check', 'step')")


def _rewrite_tail(db: sqlite3.Connection, before: int, after: int) -> None:
    for identity, body in db.execute("SELECT id, body FROM tail").fetchall():
        try:
            records = decode_tail(body, before)
        except ValueError as error:
            message = f"row {identity} of the tail is damaged: {error}"
            raise JournalError(message) from error
        db.execute("UPDATE tail SET body = ? WHERE id = ?", (encode_tail(records, after), identity))


_STEPS: Final[dict[tuple[int, int], Callable[[sqlite3.Connection], None]]] = {
    (1, 2): _add_checksums_and_thinned,
    (2, 1): _drop_checksums_and_thinned,
}
