"""The journal at synchronous=FULL beside a row per reading: SQLite's own, and sqlite-utils'."""

import sqlite3
import tempfile
import time
from pathlib import Path

import msgspec
import sqlite_utils

from edge.journal import Journal
from protocols.delivery.envelope import LANE_READINGS
from protocols.delivery.records import Reading
from tests.benchmarks.measure import Figure, measured
from tests.benchmarks.readings import estate

COMMIT = 1000


def run() -> list[Figure]:
    """Return the cost per reading of committing 1,000 at a time, and of sealing, and of rows."""
    readings = estate(50, 600)
    groups = [readings[start : start + COMMIT] for start in range(0, len(readings), COMMIT)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            _tail(folder, groups),
            _sealed(folder, groups),
            _rows(folder, groups),
            _sqlite_utils(folder, groups),
            _started(folder, groups),
        ]


def _tail(folder: Path, groups: list[list[Reading]]) -> Figure:
    # what a reading costs until it is on the disk, as offline: sealed once a minute
    count = sum(map(len, groups))
    journal = Journal(folder / "tail.journal", "gw-bench")
    with measured("journal", f"commits of {COMMIT} to the tail", count) as figure:
        for group in groups:
            journal.append(LANE_READINGS, group)
    figure.more = f"{1e6 / figure.wall_us:,.0f} readings/s"
    journal.close()
    return figure


def _sealed(folder: Path, groups: list[list[Reading]]) -> Figure:
    count = sum(map(len, groups))
    path = folder / "sealed.journal"
    journal = Journal(path, "gw-bench")
    with measured("journal", f"commits of {COMMIT}, each sealed", count) as figure:
        for group in groups:
            journal.append(LANE_READINGS, group, seal_at_us=1)
    journal.close()
    figure.more = (
        f"{1e6 / figure.wall_us:,.0f} readings/s, {path.stat().st_size / count:.2f} B/reading"
    )
    return figure


def _rows(folder: Path, groups: list[list[Reading]]) -> Figure:
    count = sum(map(len, groups))
    path = folder / "rows.db"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL").fetchall()
    database.execute("PRAGMA synchronous=FULL")
    columns = ", ".join(Reading.__struct_fields__)
    database.execute(f"CREATE TABLE readings ({columns})")
    marks = ", ".join("?" * len(Reading.__struct_fields__))
    tuples = [[msgspec.structs.astuple(reading) for reading in group] for group in groups]
    with measured("journal", "peer: SQLite, a row per reading, FULL", count) as figure:
        for group in tuples:
            database.execute("BEGIN")
            database.executemany(f"INSERT INTO readings VALUES ({marks})", group)  # noqa: S608 - question marks
            database.execute("COMMIT")
    database.close()
    figure.more = f"{1e6 / figure.wall_us:,.0f} rows/s, {path.stat().st_size / count:.2f} B/reading"
    return figure


def _sqlite_utils(folder: Path, groups: list[list[Reading]]) -> Figure:
    count = sum(map(len, groups))
    path = folder / "utils.db"
    database = sqlite_utils.Database(path)
    database.enable_wal()
    rows = [[msgspec.structs.asdict(reading) for reading in group] for group in groups]
    with measured("journal", "peer: sqlite-utils insert_all", count) as figure:
        for group in rows:
            database["readings"].insert_all(group)
    database.close()
    figure.more = f"{1e6 / figure.wall_us:,.0f} rows/s, {path.stat().st_size / count:.2f} B/reading"
    return figure


def _started(folder: Path, groups: list[list[Reading]]) -> Figure:
    # every page, chain and payload is checked at a start
    path = folder / "sealed.journal"
    size = path.stat().st_size
    began = time.perf_counter()
    journal = Journal(path, "gw-bench")
    took_s = time.perf_counter() - began
    journal.close()
    with measured("journal", "checked at the start", sum(map(len, groups))) as figure:
        pass
    figure.wall_us = took_s / figure.items * 1e6
    figure.more = f"{size / took_s / (1 << 20):,.0f} MiB/s"
    return figure
