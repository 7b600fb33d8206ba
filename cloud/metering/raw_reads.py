"""A meter's raw reads by the week: as columns to screen, or the few around an instant."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from cloud.metering import repository
from cloud.metering.installs import Install, RegisterRead
from cloud.metering.pace import WEEK_US
from cloud.metering.repository import Mounted
from cloud.metering.screening import Rule
from cloud.metering.verdict_repository import Finding, received_us
from cloud.telemetry import repository as telemetry
from cloud.telemetry.chunk import Columns
from protocols.delivery.records import USABLE

WEEK_HOURS: Final = 7 * 24
# what comes in later than this after it was read is late
LATE_US: Final = 24 * 3_600_000_000
_WEEKS_AT_ONCE: Final = 8

Integers = npt.NDArray[np.int64]
_NOTHING: Final = np.array([], dtype=np.int64)
_USABLE: Final = np.array(sorted(int(quality) for quality in USABLE), dtype=np.int64)


@dataclass(frozen=True)
class WeekReads:
    """The usable reads of a week in order of time, and what is wrong with rows as such."""

    week: int
    read_at_us: Integers
    counts: Integers
    channels: Integers
    positions: Integers
    batch_ids: Sequence[bytes]
    findings: tuple[Finding, ...]

    def source(self, index: int) -> str:
        """Return where a read can be opened again."""
        return repository.source_of(
            int(self.channels[index]), self.batch_ids[int(self.positions[index])]
        )

    def read(self, index: int) -> RegisterRead:
        """Return one read."""
        return RegisterRead(
            int(self.read_at_us[index]), int(self.counts[index]), source=self.source(index)
        )

    def reads(self, most: int | None = None) -> list[RegisterRead]:
        """Return the first reads, all of them without `most`."""
        size = len(self.read_at_us) if most is None else min(most, len(self.read_at_us))
        return [self.read(index) for index in range(size)]


def week_of(at_us: int) -> int:
    """Return the week of an instant, counted from the epoch."""
    return at_us // WEEK_US


def rows_by_week(
    connection: Connection, wanted: Sequence[tuple[Mounted, int]]
) -> list[dict[int, int]]:
    """Return how many rows each meter's channels hold by week, from its first week wanted on."""
    by_start: dict[int, list[int]] = {}
    for mounted, first_week in wanted:
        by_start.setdefault(first_week, []).extend(mounted.channel_ids)
    held = {
        start: telemetry.rows_by_block(
            connection, sorted(set(channels)), start * WEEK_HOURS, hours=WEEK_HOURS
        )
        for start, channels in by_start.items()
    }
    found: list[dict[int, int]] = []
    for mounted, first_week in wanted:
        install = mounted.install
        rows: dict[int, int] = {}
        low = week_of(install.installed_at_us)
        for channel in mounted.channel_ids:
            for week, size in held[first_week].get(channel, {}).items():
                if low <= week and (
                    install.removed_at_us is None or week <= week_of(install.removed_at_us)
                ):
                    rows[week] = rows.get(week, 0) + size
        found.append(rows)
    return found


def weeks_of(
    connection: Connection,
    mounted: Mounted,
    weeks: Sequence[int],
    *,
    receipts: dict[bytes, int],
) -> Iterator[WeekReads]:
    """Give the reads of ascending weeks; receipts remembers when batches came in."""
    for start in range(0, len(weeks), _WEEKS_AT_ONCE):
        part = weeks[start : start + _WEEKS_AT_ONCE]
        low, high = part[0] * WEEK_HOURS, (part[-1] + 1) * WEEK_HOURS
        whole = _columns(connection, mounted, low, high, receipts=receipts)
        edges = np.array([week * WEEK_US for week in (*part, part[-1] + 1)], dtype=np.int64)
        for index, week in enumerate(part):
            end_us = edges[index] + WEEK_US
            yield whole.week(week, int(edges[index]), int(end_us), mounted.install)


def reads_between(
    connection: Connection, mounted: Mounted, start_us: int, end_us: int
) -> list[RegisterRead]:
    """Return a meter's usable raw reads in [start, end), in order of time."""
    found = [
        RegisterRead(row.read_at_us, row.count, source=repository.source_of(channel, row.batch_id))
        for channel in mounted.channel_ids
        for row in telemetry.rows_between(connection, channel, start_us, end_us)
        if row.count is not None and row.quality in USABLE
    ]
    return sorted(found)


def nearest_us(connection: Connection, mounted: Mounted, at_us: int, *, before: bool) -> int | None:
    """Return when a meter's nearest raw read before (or at or after) an instant was read."""
    nearest = telemetry.nearest_before if before else telemetry.nearest_after
    rows = [nearest(connection, channel, at_us) for channel in mounted.channel_ids]
    found = [row.read_at_us for row in rows if row is not None]
    if not found:
        return None
    return max(found) if before else min(found)


@dataclass(frozen=True)
class _Rows:
    read_at_us: Integers
    counts: Integers
    # 0 for usable, 1 for no count, else 2 + quality
    codes: Integers
    channels: Integers
    # when each one's batch came in, 0 where nobody knows, and its place among the batch ids
    came_us: Integers
    positions: Integers
    batch_ids: Sequence[bytes]

    def week(self, week: int, start_us: int, end_us: int, install: Install) -> WeekReads:
        low = max(start_us, install.installed_at_us)
        high = end_us if install.removed_at_us is None else min(end_us, install.removed_at_us + 1)
        first, last = (
            int(edge) for edge in np.searchsorted(self.read_at_us, [low, max(high, low)])
        )
        at, codes = self.read_at_us[first:last], self.codes[first:last]
        good = codes == 0
        for own_us in install.event_instants_us:
            # the fitter's own reads stand for their instants
            good &= at != own_us
        late = (self.came_us[first:last] - at > LATE_US) & good
        findings = [
            *(_unusable(at, codes) if codes.any() else ()),
            *(_late(at, self.came_us[first:last], late) if late.any() else ()),
        ]
        if good.all():
            good = slice(None)
        return WeekReads(
            week,
            at[good],
            self.counts[first:last][good],
            self.channels[first:last][good],
            self.positions[first:last][good],
            self.batch_ids,
            tuple(findings),
        )


def _unusable(at: Integers, codes: Integers) -> Iterator[Finding]:
    for first, last in _runs(codes):
        code = int(codes[first])
        if code:
            rule = Rule.NOT_AVAILABLE if code == 1 else Rule.UNUSABLE
            parameters = () if code == 1 else (("quality", code - 2),)
            yield _finding(rule, at, first, last, kept=False, parameters=parameters)


def _late(at: Integers, came_us: Integers, late: npt.NDArray[np.bool_]) -> Iterator[Finding]:
    for first, last in _runs(late.astype(np.int64)):
        if late[first]:
            by_us = int((came_us[first : last + 1] - at[first : last + 1]).max())
            parameters = (("late_us", by_us), ("allowed_us", LATE_US))
            yield _finding(Rule.LATE, at, first, last, kept=True, parameters=parameters)


def _columns(
    connection: Connection,
    mounted: Mounted,
    start_hour: int,
    end_hour: int,
    *,
    receipts: dict[bytes, int],
) -> _Rows:
    parts: list[Columns] = []
    for channel in mounted.channel_ids:
        parts.append(telemetry.columns_between(connection, channel, start_hour, end_hour))
        unknown = set(parts[-1].batch_ids) - receipts.keys()
        if unknown:
            receipts.update(dict.fromkeys(unknown, 0))
            receipts.update(received_us(connection, unknown))
    sizes = [len(part.read_at_us) for part in parts]
    batch_ids = (
        [name for part in parts for name in part.batch_ids]
        if parts[1:]
        else (parts[0].batch_ids if parts else [])
    )
    rows = _Rows(
        _joined([part.read_at_us for part in parts]),
        _joined([part.counts for part in parts]),
        _joined([_codes(part) for part in parts]),
        np.repeat(np.array(mounted.channel_ids, dtype=np.int64), sizes),
        np.array([receipts[name] for name in batch_ids], dtype=np.int64),
        np.arange(sum(sizes), dtype=np.int64),
        batch_ids,
    )
    if len(parts) <= 1:
        return rows
    order = np.argsort(rows.read_at_us, kind="stable")
    return _Rows(
        rows.read_at_us[order],
        rows.counts[order],
        rows.codes[order],
        rows.channels[order],
        rows.came_us[order],
        rows.positions[order],
        batch_ids,
    )


def _joined(columns: Sequence[Sequence[int] | Integers]) -> Integers:
    arrays = [np.array(column, dtype=np.int64) for column in columns]
    return arrays[0] if len(arrays) == 1 else np.concatenate([*arrays, _NOTHING])


def _codes(part: Columns) -> Integers:
    codes = np.array(part.qualities, dtype=np.int64)
    if codes.any():
        codes = np.where(np.isin(codes, _USABLE), 0, 2 + codes)
    codes[part.missing] = 1
    return codes


def _runs(codes: Integers) -> list[tuple[int, int]]:
    breaks = np.flatnonzero(np.diff(codes)) + 1
    firsts = [0, *breaks.tolist()]
    return list(zip(firsts, [*(first - 1 for first in firsts[1:]), len(codes) - 1], strict=True))


def _finding(
    rule: Rule,
    at: Integers,
    first: int,
    last: int,
    *,
    kept: bool,
    parameters: tuple[tuple[str, int], ...],
) -> Finding:
    return Finding(
        rule,
        kept,
        int(at[first]),
        int(at[last]),
        last - first + 1,
        None,
        "",
        parameters=parameters,
    )
