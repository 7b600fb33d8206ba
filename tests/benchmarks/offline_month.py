"""Thirty days offline, 500 points a minute: how large the journal becomes, and the memory."""

import resource
import sys
import tempfile
import time
from pathlib import Path

from edge.journal import Journal, Limits
from protocols.delivery.envelope import LANE_READINGS
from tests.benchmarks.readings import MINUTE_US, Moving

POINTS = 500
DAY = 1440
GROUP = 30


def main(days: int) -> None:
    """Seal a batch for every minute and print a line a day, then how long a start takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "month.journal"
        limits = Limits(256 << 20)
        journal = Journal(path, "gw-bench", limits=limits)
        estate = Moving(POINTS // 2)
        began = time.perf_counter()
        for day in range(days):
            for start in range(day * DAY, (day + 1) * DAY, GROUP):
                groups = [
                    (minute * MINUTE_US, estate.minute(minute))
                    for minute in range(start, start + GROUP)
                ]
                journal.append_sealed(LANE_READINGS, groups, {})
            rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            size = sum(file.stat().st_size for file in Path(folder).iterdir())
            sys.stdout.write(
                f"day {day + 1}: journal {path.stat().st_size / (1 << 20):.1f} MiB,"
                f" all files {size / (1 << 20):.1f} MiB,"
                f" {journal.size_bytes() / (day + 1) / DAY / POINTS:.2f}"
                f" B/reading in batches, step {journal.step}, peak RSS {rss} MiB,"
                f" {time.perf_counter() - began:.0f} s\n"
            )
            sys.stdout.flush()
        journal.close()
        began = time.perf_counter()
        Journal(path, "gw-bench", limits=limits).close()
        sys.stdout.write(f"start: {time.perf_counter() - began:.2f} s\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
