"""The tables of the journal file."""

from typing import Final

SCHEMA_VERSION: Final = 1

SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS marks (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    # the open tail: committed, not yet sealed
    """CREATE TABLE IF NOT EXISTS tail (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        lane INTEGER NOT NULL,
        records INTEGER NOT NULL,
        body BLOB NOT NULL) STRICT""",
    # a sealed batch: the same bytes for ever
    """CREATE TABLE IF NOT EXISTS batches (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        batch_id BLOB NOT NULL UNIQUE,
        records INTEGER NOT NULL,
        root BLOB NOT NULL,
        payload BLOB NOT NULL,
        sealed_at_us INTEGER NOT NULL,
        acked_at_us INTEGER) STRICT""",
    # the place of a batch in the current epoch's chain
    """CREATE TABLE IF NOT EXISTS envelopes (
        lane INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        batch INTEGER NOT NULL UNIQUE REFERENCES batches (id),
        prev_hash BLOB NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (lane, seq)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS lanes (
        lane INTEGER PRIMARY KEY,
        epoch BLOB NOT NULL,
        next INTEGER NOT NULL,
        acked INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        last_hash BLOB NOT NULL) STRICT""",
)
