"""Ingest: decode, deduplicate, store and commit, beside a row per reading."""

import sqlite3
import tempfile
from pathlib import Path

from cloud.database import migrate, open_engine
from cloud.ingest.service import Incoming, process
from cloud.sites.tables import gateways, projects
from edge.journal import Journal
from protocols.delivery.envelope import LANE_READINGS
from tests.benchmarks.measure import Figure, measured
from tests.benchmarks.readings import estate

BATCH = 2000
GROUP = 10


def run() -> list[Figure]:
    """Return the cost per reading of ingest on SQLite and of a row with a key."""
    readings = estate(50, 400)
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "bench.journal", "gw-bench")
        for start in range(0, len(readings), BATCH):
            journal.append(LANE_READINGS, readings[start : start + BATCH], seal_at_us=1)
        following = journal.status(LANE_READINGS).next
        packed = [journal.envelope(LANE_READINGS, seq) or b"" for seq in range(1, following)]
        journal.close()
        engine = open_engine(f"sqlite:///{folder}/cloud.db")
        migrate(engine)
        with engine.begin() as connection:
            names = {"name": "Bench", "name_en": "Bench", "time_zone": "UTC"}
            connection.execute(projects.insert().values(id="bench", **names))
            row = {"id": "gw-bench", "project_id": "bench", "name": "Bench"}
            connection.execute(gateways.insert().values(**row))
        with measured("ingest", "SQLite, groups of 10 batches", len(readings)) as ours:
            for start in range(0, len(packed), GROUP):
                group = [
                    Incoming("v1/up/gw-bench/1", item) for item in packed[start : start + GROUP]
                ]
                with engine.begin() as connection:
                    process(connection, group, 1)
        engine.dispose()
        ours.more = f"{1e6 / ours.cpu_us:,.0f} readings/s and core"
        rows = [
            (reading.device, reading.point, reading.read_at_us, reading.count)
            for reading in readings
        ]
        database = sqlite3.connect(Path(folder) / "rows.db")
        database.execute("CREATE TABLE r (d, p, at, count, PRIMARY KEY (d, p, at)) WITHOUT ROWID")
        with measured("ingest", "peer: SQLite row with key", len(readings)) as peer:
            for start in range(0, len(rows), BATCH * GROUP):
                with database:
                    database.executemany(
                        "INSERT OR IGNORE INTO r VALUES (?, ?, ?, ?)",
                        rows[start : start + BATCH * GROUP],
                    )
        database.close()
        peer.more = f"{1e6 / peer.cpu_us:,.0f} rows/s and core"
    return [ours, peer]
