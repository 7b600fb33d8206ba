"""The tables of the journal file, and what its first hundred bytes must say."""

import secrets
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from protocols.delivery.envelope import GENESIS, LANES
from protocols.delivery.records import Event, Reading, Record

SCHEMA_VERSION: Final = 2
# small pages waste less behind batches of a few KiB
PAGE_BYTES: Final = 1024
OLD_PAGE_BYTES: Final = 4096

# version 1; salvage relies on this order, which decides where each table begins in the file
_TABLES: Final = (
    "CREATE TABLE marks (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    # the open tail: committed, not yet sealed
    """CREATE TABLE tail (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        lane INTEGER NOT NULL,
        records INTEGER NOT NULL,
        body BLOB NOT NULL) STRICT""",
    # a sealed batch: the same bytes for ever
    """CREATE TABLE batches (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        batch_id BLOB NOT NULL UNIQUE,
        records INTEGER NOT NULL,
        root BLOB NOT NULL,
        payload BLOB NOT NULL,
        sealed_at_us INTEGER NOT NULL,
        acked_at_us INTEGER) STRICT""",
    # the place of a batch in the current epoch's chain
    """CREATE TABLE envelopes (
        lane INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        batch INTEGER NOT NULL UNIQUE REFERENCES batches (id),
        prev_hash BLOB NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (lane, seq)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE lanes (
        lane INTEGER PRIMARY KEY,
        epoch BLOB NOT NULL,
        next INTEGER NOT NULL,
        acked INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        last_hash BLOB NOT NULL) STRICT""",
)
# version 2: how far a batch of readings was thinned, in seconds between the reads that it keeps
THINNED: Final = (
    "CREATE TABLE thinned (batch INTEGER PRIMARY KEY, resolution_s INTEGER NOT NULL) STRICT"
)

SCHEMAS: Final = {1: _TABLES, 2: (*_TABLES, THINNED)}

_TAIL: Final = msgspec.msgpack.Decoder(tuple[list[Reading], list[Event]])
_PACK: Final = msgspec.msgpack.Encoder()
_CRC_BYTES: Final = 4
_HEADER_BYTES: Final = 100
_LAST_SCHEMA_FORMAT: Final = 4
# offset: what must stand there (https://sqlite.org/fileformat.html#the_database_header)
_FIXED: Final = {0: b"SQLite format 3\0", 20: b"\0\x40\x20\x20", 72: bytes(20)}


def connect(path: Path) -> sqlite3.Connection:
    """Open a journal file for writing, so that a commit is on the disk when it returns."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in (
            f"page_size={PAGE_BYTES}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=5000",
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()
    except sqlite3.Error:
        db.close()
        raise
    return db


def found(db: sqlite3.Connection, gateway: str, version: int = SCHEMA_VERSION) -> None:
    """Make a new journal in an empty file, within the caller's transaction."""
    for statement in SCHEMAS[version]:
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {version}")
    db.execute("INSERT INTO marks VALUES ('install_id', ?)", (secrets.token_hex(16),))
    db.execute("INSERT INTO marks VALUES ('gateway', ?)", (gateway,))
    if version > 1:
        note_format(db, version)
    for lane in LANES:
        db.execute("INSERT INTO lanes VALUES (?, ?, 1, 0, 0, ?)", (lane, random_epoch(), GENESIS))


def note_format(db: sqlite3.Connection, version: int) -> None:
    """Say twice what version and whose this is: a flipped bit makes it nothing else."""
    (owner,) = db.execute("SELECT value FROM marks WHERE key = 'gateway'").fetchone()
    db.execute("INSERT OR REPLACE INTO marks VALUES ('format', ?)", (str(version),))
    db.execute("INSERT OR REPLACE INTO marks VALUES ('owner_check', ?)", (owner_check(owner),))


def owner_check(gateway: str) -> str:
    """Return what stands in the marks beside the gateway's name."""
    return f"{zlib.crc32(gateway.encode()):08x}"


def random_epoch() -> bytes:
    """Return a new epoch; eight bytes keep all 64 bits, SQLite's integers are signed."""
    return (secrets.randbits(64) or 1).to_bytes(8, "big")


def header_fault(header: bytes) -> str | None:
    """Return what is wrong with the first bytes of a journal file, None if nothing is."""
    if len(header) < _HEADER_BYTES:
        return f"only {len(header)} bytes long"
    for offset, wanted in _FIXED.items():
        if header[offset : offset + len(wanted)] != wanted:
            return f"no SQLite header at byte {offset}"
    size = int.from_bytes(header[16:18], "big")
    if size not in (PAGE_BYTES, OLD_PAGE_BYTES):
        return f"pages of {size} bytes"
    if not set(header[18:20]) <= {1, 2}:
        return "an unknown way to write"
    if (
        int.from_bytes(header[44:48], "big") > _LAST_SCHEMA_FORMAT
        or int.from_bytes(header[56:60], "big") > 1
    ):
        return "an unknown schema format or encoding"
    return None


def encode_tail(records: Sequence[Record], version: int = SCHEMA_VERSION) -> bytes:
    """Return records as one row of the tail; from version 2 with a checksum before them."""
    readings, events = records, []
    if Event in set(map(type, records)):
        readings = [record for record in records if isinstance(record, Reading)]
        events = [record for record in records if isinstance(record, Event)]
    body = _PACK.encode((readings, events))
    return body if version == 1 else zlib.crc32(body).to_bytes(_CRC_BYTES, "big") + body


def decode_tail(body: bytes, version: int = SCHEMA_VERSION) -> list[Record]:
    """Return the records of a row of the tail; ValueError if it is damaged."""
    if version > 1:
        checksum, body = body[:_CRC_BYTES], body[_CRC_BYTES:]
        if zlib.crc32(body).to_bytes(_CRC_BYTES, "big") != checksum:
            message = "the checksum is not that of the records"
            raise ValueError(message)
    # msgspec's errors are ValueErrors too
    readings, events = _TAIL.decode(body)
    return [*readings, *events]
