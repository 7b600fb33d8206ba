"""A gateway's uplink as a process: it drains a journal and meanwhile appends live readings."""

import argparse
import asyncio
import sys
from pathlib import Path

from edge.clock import SystemClock
from edge.journal import Journal
from edge.recorder import Recorder
from edge.uplink import Uplink
from protocols.delivery.records import Quality, Reading
from protocols.io import logs
from protocols.io.mqtt import Broker

COMMIT_S = 0.1
LIVE_PER_S = 10
LIVE_DEVICE = "e-live"
CONNECTED = "connected"


def main() -> None:
    """Send the journal for ever; the first connection is told by a line on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("journal", type=Path)
    parser.add_argument("gateway")
    parser.add_argument("broker")
    options = parser.parse_args()
    logs.configure("json")
    asyncio.run(_send(options.journal, options.gateway, options.broker))


async def _send(path: Path, gateway: str, url: str) -> None:
    journal = Journal(path, gateway)
    uplink = Uplink(journal, Broker.parse(url), "catchup", SystemClock(trusted=True))
    recorder = Recorder(
        journal, commit_s=COMMIT_S, online=uplink.connected.is_set, sealed=uplink.sealed
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(uplink.run())
        tasks.create_task(recorder.run())
        tasks.create_task(_read(uplink, recorder))


async def _read(uplink: Uplink, recorder: Recorder) -> None:
    # what is sealed before the connection belongs to the outage
    await uplink.connected.wait()
    sys.stdout.write(f"{CONNECTED}\n")
    sys.stdout.flush()
    clock, number = SystemClock(trusted=True), 0
    while True:
        number += 1
        now_us, since_us = clock.now_us(), clock.monotonic_us()
        good = Quality.GOOD.value
        recorder.add(
            [Reading(LIVE_DEVICE, "active_power", "W", 0, number % 3000, good, now_us, since_us)]
        )
        await asyncio.sleep(1 / LIVE_PER_S)


if __name__ == "__main__":
    main()
