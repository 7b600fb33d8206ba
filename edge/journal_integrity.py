"""Whether a journal file is whole: its pages, every chain, every payload, the write-ahead log."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.journal_errors import JournalError
from edge.journal_migrations import version_of
from edge.journal_schema import SCHEMAS, decode_tail, header_fault, owner_check
from protocols.delivery.envelope import GENESIS, LANES, seal

_KNOWN: Final = ", ".join(map(str, SCHEMAS))
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_INSTALL_ID: Final = 32


def file_fault(path: Path) -> str | None:
    """Return what is wrong with a file before it is opened, None if nothing is or there is none."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        header = file.read(100)
    return "the file is empty" if not header else header_fault(header)


def check_owner(db: sqlite3.Connection, path: Path, gateway: str) -> None:
    """Refuse a whole journal that is another gateway's, or of a version that we don't know."""
    marks = dict(db.execute("SELECT key, value FROM marks"))
    version, owner = version_of(db), marks.get("gateway", "")
    if version not in SCHEMAS and marks.get("format") == str(version):
        message = f"{path}: journal format {version}; known: {_KNOWN}"
        raise JournalError(message)
    proven = marks.get("owner_check") == owner_check(owner) if version > 1 else True
    if owner and owner != gateway and proven:
        message = f"{path}: the journal of gateway {owner!r}, not of {gateway!r}"
        raise JournalError(message)


def faults(db: sqlite3.Connection, gateway: str) -> Iterator[str]:
    """Give what is wrong with an open journal; sqlite3.DatabaseError says it too."""
    try:
        yield from _faults(db, gateway)
    except (TypeError, ValueError, AttributeError) as error:
        # one flipped bit makes a text or a number of what were bytes
        yield f"a value is of another kind: {error}"


def _faults(db: sqlite3.Connection, gateway: str) -> Iterator[str]:
    for (line,) in db.execute("PRAGMA integrity_check(3)"):
        if line != "ok":
            yield str(line)
    version = version_of(db)
    held = {text for (text,) in db.execute("SELECT sql FROM sqlite_schema WHERE sql NOTNULL")}
    if version in SCHEMAS and not set(SCHEMAS[version]) <= held:
        # one flipped bit makes another column of it
        yield "a table is not as it was made"
        return
    marks = dict(db.execute("SELECT key, value FROM marks"))
    noted = int(marks["format"]) if marks.get("format", "").isdecimal() else 1
    if version != noted:
        yield f"the header says format {version}, the marks {noted}"
        return
    if marks.get("gateway") != gateway:
        yield f"the gateway is named {marks.get('gateway')!r}"
    if len(marks.get("install_id", "")) != _INSTALL_ID:
        yield f"the install id is {marks.get('install_id')!r}"
    for lane in LANES:
        yield from _chain_faults(db, gateway, lane)
    (loose,) = db.execute(
        "SELECT count(*) FROM batches WHERE id NOT IN (SELECT batch FROM envelopes)"
    ).fetchone()
    if loose:
        yield f"{loose} batches have no place"
    yield from _tail_faults(db, version)


def log_salts(path: Path) -> list[bytes]:
    """Return the salt of each whole commit in the write-ahead log, its header's first.

    To be taken before the journal is opened, which cuts the log at its first bad frame.
    """
    log = path.with_name(f"{path.name}-wal")
    salts: list[bytes] = []
    try:
        with log.open("rb") as file:
            header = file.read(_WAL_HEADER)
            page = int.from_bytes(header[8:12], "big")
            if len(header) < _WAL_HEADER or not 512 <= page <= 65_536:  # noqa: PLR2004 - SQLite's page sizes
                return [header] if header.strip(b"\0") else []
            salts.append(header[16:24])
            while len(frame := file.read(_FRAME_HEADER)) == _FRAME_HEADER:
                salts.append(frame[8:16] if any(frame[4:8]) else b"")
                file.seek(page, 1)
    except FileNotFoundError:
        return []
    return salts


def log_fault(db: sqlite3.Connection, salts: list[bytes]) -> str | None:
    """Return what of the write-ahead log was not taken over when the journal was opened."""
    if not salts:
        return None
    _, taken, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    rest = salts[1 + max(0, taken) :]
    commits = sum(1 for salt in rest if salt == salts[0])
    if taken <= 0 and rest:
        commits = max(commits, 1)
    if not commits:
        return None
    return f"the write-ahead log breaks off at frame {max(0, taken) + 1}"


def _tail_faults(db: sqlite3.Connection, version: int) -> Iterator[str]:
    for row, lane, records, body in db.execute("SELECT id, lane, records, body FROM tail"):
        try:
            found = len(decode_tail(body, version))
        except ValueError as error:
            yield f"row {row} of the tail: {error}"
            continue
        if found != records or lane not in LANES:
            yield f"row {row} of the tail: {found} records of lane {lane}"


def _chain_faults(db: sqlite3.Connection, gateway: str, lane: int) -> Iterator[str]:
    head = db.execute(
        "SELECT epoch, next, acked, generation, last_hash FROM lanes WHERE lane = ?", (lane,)
    ).fetchone()
    if head is None:
        yield f"lane {lane} is missing"
        return
    epoch, following, acked, generation, last_hash = head
    seq = before = None
    for number, prev_hash, digest, name, root, payload in db.execute(
        "SELECT e.seq, e.prev_hash, e.hash, b.batch_id, b.root, b.payload FROM envelopes e"
        " LEFT JOIN batches b ON b.id = e.batch WHERE e.lane = ? ORDER BY e.seq",
        (lane,),
    ):
        if seq is not None and (number, prev_hash) != (seq + 1, before):
            yield f"lane {lane}: {number} does not follow {seq}"
        seq, before = number, digest
        if payload is None:
            yield f"lane {lane}: batch {number} is missing"
            continue
        sealed = seal(
            payload,
            gateway=gateway,
            lane=lane,
            epoch=int.from_bytes(epoch, "big"),
            seq=number,
            batch_id=name,
            prev_hash=prev_hash,
            root=root,
        )
        if sealed.hash != digest:
            yield f"lane {lane}: batch {number} is not what was sealed"
    if seq is None and following == 1:
        before = GENESIS
    if (seq is not None and seq + 1 != following) or before not in (None, last_hash):
        yield f"lane {lane}: the chain ends at {seq}, not at {following - 1}"
    if not 0 <= acked < following or not 0 <= generation < 1 << 62:
        yield f"lane {lane}: acknowledged {acked} of {following - 1}, generation {generation}"
