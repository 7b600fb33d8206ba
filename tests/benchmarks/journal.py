"""The journal at synchronous=FULL beside sqlite-utils' insert_all, a row per reading."""

import tempfile
from pathlib import Path

import msgspec
import sqlite_utils

from edge.journal import Journal
from protocols.delivery.envelope import LANE_READINGS
from tests.benchmarks.measure import Figure, measured
from tests.benchmarks.readings import estate

BATCH = 2000


def run() -> list[Figure]:
    """Return the cost per reading of sealing into the journal, and of rows."""
    readings = estate(50, 400)
    groups = [readings[start : start + BATCH] for start in range(0, len(readings), BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "bench.journal", "gw-bench")
        with measured("journal", f"sealed batches of {BATCH}", len(readings)) as ours:
            for group in groups:
                journal.append(LANE_READINGS, group, seal_at_us=group[-1].read_at_us)
        ours.more = f"{journal.size_bytes() / len(readings):.2f} B/reading"
        journal.close()
        path = Path(folder) / "rows.db"
        database = sqlite_utils.Database(path)
        database.enable_wal()
        rows = [msgspec.structs.asdict(reading) for reading in readings]
        with measured("journal", "peer: sqlite-utils insert_all", len(readings)) as peer:
            for start in range(0, len(rows), BATCH):
                database["readings"].insert_all(rows[start : start + BATCH])
        database.close()
        peer.more = f"{path.stat().st_size / len(readings):.2f} B/reading"
    return [ours, peer]
