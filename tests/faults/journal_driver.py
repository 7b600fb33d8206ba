"""A program that appends to a journal until it is killed, and says what each call returned.

Each line of what it says is one step: `t` a minute is tried, `d` it is done, `r` it was refused,
`a` readings (minute and channel) are acknowledged, `l` so many declared losses are.
"""

import os
import random
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from edge.journal import Journal, JournalFullError, Limits
from edge.journal_migrations import migrate
from edge.journal_schema import connect
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS, LANES
from protocols.delivery.records import Event, Reading, Record

GATEWAY: Final = "gw-1"
CHANNELS: Final = 40
# raw words that cannot be compressed fill a small journal in little time
WORDS: Final = 180
SMALL: Final = Limits(512 << 10)
LARGE: Final = Limits(64 << 20)
# 2026-07-01T00:00:00Z
START_US: Final = 1_782_864_000_000_000
MINUTE_US: Final = 60_000_000
# minutes; a cloud that answers all day would leave nothing to refuse
DAY: Final = 1440
OUTAGE: Final = 840
TRIED, DONE, REFUSED, ACKNOWLEDGED, LOST = "tdral"


def main() -> None:
    """Run a plan: PATH SAID PLAN MINUTES; goes on where the run before it was killed."""
    path, said, plan, minutes = sys.argv[1:]
    first = 1 + max((row[0] for kind, row in steps(Path(said)) if kind == TRIED), default=-1)
    number = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    if plan == "migrate":
        with closing(connect(Path(path))) as db:
            migrate(db, 1)
    limits = SMALL if plan in ("alone", "answered") else LARGE
    with closing(Journal(Path(path), GATEWAY, limits=limits)) as journal:
        _run(journal, number, plan, range(first, first + int(minutes)))
    os.close(number)


def steps(said: Path) -> Iterator[tuple[str, list[int]]]:
    """Give what was said so far."""
    if said.exists():
        for line in said.read_text("ascii").splitlines():
            kind, *rest = line.split()
            yield kind, [int(item) for item in rest]


def reading(minute: int, channel: int) -> Reading:
    """Return what a channel of the driver reads in a minute, always the same."""
    draw = random.Random(minute * CHANNELS + channel)
    return Reading(
        device=f"e-{channel}",
        point="energy_import",
        uom="kWh",
        exponent=-2,
        count=minute,
        quality=0,
        read_at_us=START_US + minute * MINUTE_US,
        monotonic_us=minute * MINUTE_US,
        words=draw.randbytes(WORDS),
    )


def key(record: Reading) -> int:
    """Return minute and channel of a reading as one number."""
    minute = (record.read_at_us - START_US) // MINUTE_US
    return minute * CHANNELS + int(record.device.removeprefix("e-"))


def _run(journal: Journal, said: int, plan: str, minutes: range) -> None:
    draw = random.Random(minutes.start)
    for minute in minutes:
        rows = [reading(minute, channel) for channel in range(CHANNELS)]
        now_us = START_US + minute * MINUTE_US
        _say(said, TRIED, minute)
        try:
            if draw.random() < 0.1:
                journal.append_sealed(LANE_READINGS, [(now_us, rows)], {})
            else:
                journal.append(LANE_READINGS, rows, seal_at_us=draw.choice((None, now_us, now_us)))
        except JournalFullError:
            _say(said, REFUSED, minute)
        else:
            _say(said, DONE, minute)
        if plan == "answered" and minute % 15 == 14 and minute % DAY >= OUTAGE:
            _answer(journal, said, draw, now_us)
        elif plan == "alone" and minute % 20 == 19:
            journal.new_epoch(LANE_READINGS)
            journal.rewind(LANE_READINGS, 0, 1 + minute, now_us)


def _answer(journal: Journal, said: int, draw: random.Random, now_us: int) -> None:
    # as a cloud would: what it acknowledges it holds, and is told of first
    for lane in LANES:
        status = journal.status(lane)
        if status.next - 1 <= status.acked:
            continue
        through = draw.randrange(status.acked + 1, status.next)
        for seq in range(status.acked + 1, through + 1):
            body = journal.envelope(lane, seq)
            if body is not None:
                _hold(said, batch.records(batch.decode(envelope.unpack(body).payload)))
        journal.release(lane, through, status.generation, now_us)


def _hold(said: int, records: list[Record]) -> None:
    keys = [key(record) for record in records if isinstance(record, Reading)]
    lost = sum(losses(record) for record in records if isinstance(record, Event))
    if keys:
        _say(said, ACKNOWLEDGED, *keys)
    if lost:
        _say(said, LOST, lost)


def losses(event: Event) -> int:
    """Return how many readings a loss event declares."""
    of_readings = event.kind == "loss" and event.body["lane"] != LANE_EVENTS
    return int(event.body["count"] or 0) if of_readings else 0


def _say(said: int, kind: str, *numbers: int) -> None:
    # one write: a kill leaves whole lines
    os.write(said, f"{kind} {' '.join(map(str, numbers))}\n".encode("ascii"))
