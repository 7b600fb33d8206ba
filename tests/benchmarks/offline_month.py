"""Thirty days offline, 500 points a minute: how large the journal becomes, and the memory."""

import os
import resource
import subprocess
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
MOST = 256 << 20


def main(days: int) -> None:
    """Seal a batch for every minute and print a line a day, then how long a start takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "month.journal"
        limits = Limits(MOST)
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
        for what in ("cold", "warm"):
            if what == "cold":
                _forget(path)
            # a process of its own: the peak of this one is that of thirty days
            module = [sys.executable, "-m", "tests.benchmarks.offline_month", "start", str(path)]
            done = subprocess.run(module, check=True, capture_output=True, text=True)
            sys.stdout.write(f"{what} {done.stdout}")


def start(path: Path) -> None:
    """Open a journal with every check that a start makes; print the time and the peak memory."""
    began = time.perf_counter()
    Journal(path, "gw-bench", limits=Limits(MOST)).close()
    took_s = time.perf_counter() - began
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"start: {took_s:.2f} s, peak RSS {rss} MiB\n")


def _forget(path: Path) -> None:
    # what was just written is in memory; after a power cut it is on the disk alone
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    if sys.argv[1:2] == ["start"]:
        start(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
