"""What a journal must hold after a kill, by what its calls returned and nothing else."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge.journal_integrity import faults
from edge.journal_losses import ids_of
from edge.journal_migrations import REFUSED_MARK, version_of
from edge.journal_refusals import Refused
from edge.journal_schema import decode_tail
from edge.journal_view import open_view
from protocols.delivery import batch
from protocols.delivery.envelope import LANE_READINGS
from protocols.delivery.records import Event, Reading, Record
from tests.faults.journal_driver import (
    ACKNOWLEDGED,
    CHANNELS,
    DONE,
    GATEWAY,
    LOST,
    REFUSED,
    TRIED,
    key,
    losses,
    reading,
    steps,
)

MINUTES_OF_HOUR = 60


@dataclass(frozen=True)
class Held:
    """What a journal file holds: readings by key, declared and still uncounted losses, batches."""

    readings: Counter[int]
    declared: int
    refused: int
    named: frozenset[bytes]
    batches: dict[bytes, bytes]
    version: int


@dataclass
class Oracle:
    """Judges one journal through all its kills; `exact` where nothing is acknowledged."""

    path: Path
    said: Path
    exact: bool
    batches: dict[bytes, bytes] = field(default_factory=dict)
    unsaid: dict[int, bool] = field(default_factory=dict)

    def judge(self) -> Held:
        """Look at the journal after a kill; AssertionError where a promise is broken."""
        held = look(self.path)
        told: dict[str, set[int]] = {kind: set() for kind in (TRIED, DONE, REFUSED, ACKNOWLEDGED)}
        lost = held.declared + held.refused
        for kind, numbers in steps(self.said):
            if kind == LOST:
                lost += sum(numbers)
            else:
                told[kind] |= set(numbers)
        for name, payload in held.batches.items():
            assert self.batches.setdefault(name, payload) == payload, f"{name.hex()} was changed"
        # a call that was cut off has committed or not: seen once, it stays
        for minute in told[TRIED] - told[DONE] - told[REFUSED] - self.unsaid.keys():
            self.unsaid[minute] = held.readings[minute * CHANNELS] > 0
        done = told[DONE] | {minute for minute, committed in self.unsaid.items() if committed}
        kept = set(held.readings) | told[ACKNOWLEDGED]
        assert kept <= _keys(told[TRIED]), "readings that nobody appended"
        twice = [name for name, count in held.readings.items() if count > 1]
        assert not twice, f"held twice: {twice[:5]}"
        promised = (len(done) + len(told[REFUSED])) * CHANNELS
        assert len(kept) + lost >= promised, f"{len(kept)} kept, {lost} lost of {promised}"
        if self.exact:
            assert len(kept) + lost == promised, f"{len(kept)} kept, {lost} lost of {promised}"
            _check_hours(done, held.readings)
        return held


def look(path: Path) -> Held:
    """Read a whole journal file, which must be sound."""
    records: list[Record] = []
    with open_view(path, GATEWAY) as db:
        found = [] if (version := version_of(db)) == 1 else list(faults(db, GATEWAY))
        assert not found, found
        batches = dict(db.execute("SELECT batch_id, payload FROM batches").fetchall())
        for (body,) in db.execute("SELECT body FROM tail"):
            records += decode_tail(body, version)
        marks = dict(db.execute("SELECT key, value FROM marks"))
    for payload in batches.values():
        records += batch.records(batch.decode(payload))
    events = [record for record in records if isinstance(record, Event)]
    note = marks.get(f"{REFUSED_MARK}{LANE_READINGS}")
    return Held(
        readings=Counter(key(record) for record in records if isinstance(record, Reading)),
        declared=sum(map(losses, events)),
        refused=0 if note is None else msgspec.json.decode(note, type=Refused).count,
        named=frozenset(
            name for event in events for name in ids_of(str(event.body.get("ids", "")))
        ),
        batches=batches,
        version=version,
    )


def check_words(path: Path) -> None:
    """Every reading of a journal is what was appended, to its last raw word."""
    with open_view(path, GATEWAY) as db:
        payloads = [row[0] for row in db.execute("SELECT payload FROM batches")]
    for payload in payloads:
        for record in batch.records(batch.decode(payload)):
            if isinstance(record, Reading):
                number = key(record)
                assert record == reading(number // CHANNELS, number % CHANNELS)


def _keys(minutes: set[int]) -> set[int]:
    return {minute * CHANNELS + channel for minute in minutes for channel in range(CHANNELS)}


def _check_hours(done: set[int], held: Counter[int]) -> None:
    # of each hour the first and the last read of each channel stay, whatever is thinned
    hours: dict[int, list[int]] = {}
    for minute in sorted(done):
        hours.setdefault(minute // MINUTES_OF_HOUR, []).append(minute)
    for minutes in hours.values():
        for minute in (minutes[0], minutes[-1]):
            for channel in range(CHANNELS):
                assert held[minute * CHANNELS + channel], f"minute {minute} of channel {channel}"
