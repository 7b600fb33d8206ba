"""What stands in a journal, row by row, while its gateway goes on writing."""

import csv
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from edge.journal_migrations import version_of
from edge.journal_schema import decode_tail
from protocols.delivery import batch
from protocols.delivery.records import (
    Event,
    EventValue,
    Quality,
    Record,
    decimal_text,
    instant,
    words_to_hex,
)
from protocols.errors import WireError

if TYPE_CHECKING:
    import sqlite_utils

# a reader that stays long keeps the write-ahead log from being taken over
_AT_ONCE: Final = 50
_SQLITE_AT_ONCE: Final = 1000


class Line(msgspec.Struct, frozen=True):
    """A reading or an event as it is exported; `batch` is empty while it is in the open tail."""

    batch: str
    lane: int
    at: str
    at_us: int
    monotonic_us: int
    device: str
    kind: str
    point: str = ""
    value: str | None = None
    uom: str = ""
    quality: str = ""
    words: str = ""
    body: dict[str, EventValue] = {}


def lines(
    db: sqlite3.Connection,
    *,
    from_us: int | None = None,
    to_us: int | None = None,
    unread: Callable[[str], None],
) -> Iterator[Line]:
    """Give every record in [from, to), sealed ones first, then the tail.

    `unread` hears of a batch that cannot be decoded. What is sealed, thinned or dropped
    meanwhile may be there in one place or the other; read a copy where that matters.
    """
    for name, lane, records in _stored(db, unread):
        for record in records:
            line = _line(name, lane, record)
            if (from_us is None or line.at_us >= from_us) and (to_us is None or line.at_us < to_us):
                yield line


def write_jsonl(found: Iterator[Line], file: TextIO) -> int:
    """Write one JSON object a line; return how many."""
    count = 0
    for line in found:
        file.write(msgspec.json.encode(line).decode() + "\n")
        count += 1
    return count


def write_csv(found: Iterator[Line], file: TextIO) -> int:
    """Write a table with a line of names; an event's body is JSON in its last column."""
    names = Line.__struct_fields__
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    count = 0
    for line in found:
        body = msgspec.json.encode(line.body).decode() if line.body else ""
        writer.writerow([*(getattr(line, name) for name in names[:-1]), body])
        count += 1
    return count


def write_sqlite(found: Iterator[Line], path: Path) -> int:
    """Write the tables `readings` and `events` of a new SQLite file; return how many rows."""
    # a gateway that only polls need not have it
    import sqlite_utils  # noqa: PLC0415

    database = sqlite_utils.Database(path)
    count = 0
    pending: dict[str, list[dict[str, object]]] = {"readings": [], "events": []}
    for line in found:
        fields: dict[str, object] = msgspec.structs.asdict(line)
        if line.kind == "reading":
            del fields["kind"], fields["body"]
            pending["readings"].append(fields)
        else:
            names = ("batch", "lane", "at", "at_us", "monotonic_us", "device", "kind", "body")
            pending["events"].append({name: fields[name] for name in names})
        count += 1
        if count % _SQLITE_AT_ONCE == 0:
            _insert(database, pending)
    _insert(database, pending)
    database.close()
    return count


def _insert(database: "sqlite_utils.Database", pending: dict[str, list[dict[str, object]]]) -> None:
    for table, rows in pending.items():
        if rows:
            database.table(table).insert_all(rows)
            rows.clear()


def _stored(
    db: sqlite3.Connection, unread: Callable[[str], None]
) -> Iterator[tuple[str, int, list[Record]]]:
    last = 0
    while True:
        db.execute("BEGIN")
        rows = db.execute(
            "SELECT b.id, b.batch_id, e.lane, b.payload FROM batches b"
            " JOIN envelopes e ON e.batch = b.id WHERE b.id > ? ORDER BY b.id LIMIT ?",
            (last, _AT_ONCE),
        ).fetchall()
        tail: list[tuple[int, bytes]] = []
        if not rows:
            # in the same snapshot as the end of the batches: nothing is sealed in between
            tail = db.execute("SELECT lane, body FROM tail ORDER BY id").fetchall()
        version = version_of(db)
        db.execute("COMMIT")
        for row, name, lane, payload in rows:
            last = row
            try:
                yield name.hex(), lane, batch.records(batch.decode(payload))
            except WireError as error:
                unread(f"batch {name.hex()}: {error}")
        if not rows:
            for lane, body in tail:
                yield "", lane, decode_tail(body, version)
            return


def _line(name: str, lane: int, record: Record) -> Line:
    if isinstance(record, Event):
        at = instant(record.at_us).isoformat()
        return Line(
            name,
            lane,
            at,
            record.at_us,
            record.monotonic_us,
            record.device,
            record.kind,
            body=record.body,
        )
    known = {item.value for item in Quality}
    return Line(
        name,
        lane,
        instant(record.read_at_us).isoformat(),
        record.read_at_us,
        record.monotonic_us,
        record.device,
        "reading",
        record.point,
        decimal_text(record.count, record.exponent),
        record.uom,
        Quality(record.quality).name.lower() if record.quality in known else str(record.quality),
        words_to_hex(record.words),
    )
