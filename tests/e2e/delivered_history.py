"""What a cloud has stored, held against the journal of the gateway that delivered it."""

import sqlite3
from collections import Counter

from sqlalchemy import Engine, func, select

from cloud.ingest.tables import batches, outbox, quarantine
from cloud.sites.tables import channels
from cloud.telemetry import chunk
from cloud.telemetry.tables import chunks
from protocols.delivery import batch as wire
from tests.e2e.chain_processes import wait_for


def wait_looked_at(engine: Engine, deadline_s: float) -> None:
    """Wait until the cloud has looked at everything that it stored."""

    def empty() -> bool:
        with engine.connect() as connection:
            reader = connection.execution_options(readonly=True)
            return reader.scalar(select(func.count()).select_from(outbox)) == 0

    wait_for(empty, deadline_s, "the outbox")


def check_batches(engine: Engine, journal: sqlite3.Connection) -> None:
    """Every batch of the journal is stored once, with its very bytes, and no other."""
    kept = {
        row[0]: (row[1], row[2])
        for row in journal.execute("SELECT batch_id, payload, records FROM batches")
    }
    with engine.connect() as connection:
        stored = {
            row.batch_id: (row.payload, row.records) for row in connection.execute(select(batches))
        }
        assert connection.scalar(select(func.count()).select_from(batches)) == len(stored)
        assert connection.scalar(select(func.count()).select_from(quarantine)) == 0
    assert stored == kept
    assert kept


def check_history(engine: Engine) -> None:
    """Every reading of the stored batches is in its channel's history, once, and no other."""
    delivered: Counter[tuple[str, str, str, int]] = Counter()
    distinct: dict[tuple[str, str, str, int], set[tuple[int, int | None, int]]] = {}
    with engine.connect() as connection:
        for payload in connection.scalars(select(batches.c.payload)):
            for columns in wire.decode(payload).series:
                key = (columns.device, columns.point, columns.uom, columns.exponent)
                rows = [(r.read_at_us, r.count, r.quality) for r in wire.readings(columns)]
                delivered[key] += len(rows)
                distinct.setdefault(key, set()).update(rows)
        assert {key: len(rows) for key, rows in distinct.items()} == delivered
        names = {
            row.id: (row.device_id, row.point, row.uom, row.exponent)
            for row in connection.execute(select(channels))
        }
        history: dict[tuple[str, str, str, int], list[tuple[int, int | None, int]]] = {}
        for row in connection.execute(select(chunks)):
            rows_of_hour = [(r.read_at_us, r.count, r.quality) for r in chunk.decode(row.data)]
            assert len(rows_of_hour) == row.rows
            history.setdefault(names[row.channel_id], []).extend(rows_of_hour)
    assert len(names) == len(set(names.values()))
    assert history.keys() == distinct.keys()
    for key, rows in distinct.items():
        assert len(history[key]) == len(rows), key
        assert set(history[key]) == rows, key
