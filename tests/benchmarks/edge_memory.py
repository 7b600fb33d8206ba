"""The edge's memory while many readings pass through Recorder and Journal: it must be flat."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from edge.journal import Journal, Limits
from edge.recorder import Recorder
from protocols.delivery.envelope import LANE_READINGS
from tests.benchmarks.measure import Figure
from tests.benchmarks.readings import Moving

READINGS = 1_000_000
BATCH = 4096
DEVICES = BATCH // 2
LOOKS = (0.1, 0.5, 1.0)
MOST_S = 600


class Passed(msgspec.Struct, frozen=True):
    """What passed, at what cost, with the RSS at each of the looks and the peak, in MB."""

    readings: int
    cpu_s: float
    wall_s: float
    rss_mb: tuple[float, ...]
    peak_mb: float


def run() -> list[Figure]:
    """Return the cost per reading; `more` has the RSS after 10 %, 50 % and 100 %."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.edge_memory", str(READINGS)],
        stdout=subprocess.PIPE,
        timeout=MOST_S,
        check=True,
    )
    passed = msgspec.json.decode(done.stdout, type=Passed)
    looks = ", ".join(
        f"{rss:.1f} at {part:.0%}" for part, rss in zip(LOOKS, passed.rss_mb, strict=True)
    )
    figure = Figure("memory", f"edge, sealed every {BATCH:,}", passed.readings)
    figure.cpu_us = passed.cpu_s / passed.readings * 1e6
    figure.wall_us = passed.wall_s / passed.readings * 1e6
    figure.more = f"RSS MB {looks}; peak {passed.peak_mb:.1f}"
    return [figure]


async def push(folder: Path, readings: int) -> Passed:
    """Commit, seal and release `readings`, with no time of grace."""
    limits = Limits(1 << 30, grace_s=0)
    journal = Journal(folder / "memory.journal", "gw-bench", limits=limits)
    recorder = Recorder(journal, commit_s=1, online=lambda: True, sealed=lambda: None)
    estate = Moving(DEVICES)
    count = max(1, readings // BATCH)
    wanted = {max(1, round(part * count)) for part in LOOKS}
    rss: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    for number in range(1, count + 1):
        recorder.add(estate.minute(number))
        await recorder.flush(seal=True)
        # as if the cloud had acknowledged it
        through = journal.status(LANE_READINGS).next - 1
        journal.release(LANE_READINGS, through, 1, time.time_ns() // 1000)
        if number in wanted:
            rss.append(_rss_mb())
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - began
    journal.close()
    return Passed(count * BATCH, cpu_s, wall_s, tuple(rss), _peak_mb())


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _peak_mb() -> float:
    # getrusage would also tell of the process that started this one
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    # `python -m tests.benchmarks.edge_memory 10000000` is the long run
    with tempfile.TemporaryDirectory() as name:
        passed = asyncio.run(push(Path(name), int(sys.argv[1])))
    sys.stdout.buffer.write(msgspec.json.encode(passed) + b"\n")
