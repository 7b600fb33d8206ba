"""The reads of one meter point that bill: raw ones and people's, less what verdicts set aside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection

from cloud.metering import raw_reads, repository
from cloud.metering import verdict_repository as verdicts
from cloud.metering.edits import Overlay
from cloud.metering.installs import Install, RegisterRead
from cloud.metering.registers import known_reads
from cloud.metering.repository import Mounted
from cloud.metering.screening import Rule
from cloud.metering.shapes import HISTORY_US, History, history_of
from cloud.metering.verification import screened_points

HOUR_US: Final = 3_600_000_000
MARGIN_US: Final = 2 * HOUR_US
# how far back a mean is taken where reads are few
MEAN_US: Final = 400 * 24 * HOUR_US
_ASIDE: Final = [rule for rule in Rule if rule not in (Rule.STUCK, Rule.LATE, Rule.SPIKE_HISTORY)]


@dataclass(frozen=True)
class _Decided:
    """A meter point with what was decided on its reads."""

    zone: ZoneInfo
    mounted: list[Mounted]
    overlay: Overlay
    aside: frozenset[tuple[int, int, str]]
    turns: tuple[tuple[RegisterRead, RegisterRead], ...]


def reads_of_points(
    connection: Connection, meter_point_ids: Sequence[str]
) -> dict[str, "PointReads"]:
    """Return the reads of meter points, their verdicts brought up to date; NotFoundError."""
    zones = repository.time_zones_of(connection, meter_point_ids)
    standing, _ = screened_points(connection, sorted(set(meter_point_ids)))
    found = verdicts.findings_by_point(connection, meter_point_ids, rules=_ASIDE)
    return {
        name: PointReads(
            connection,
            _Decided(
                ZoneInfo(zones[name]),
                *standing[name],
                frozenset(
                    (item.read_at_us, item.count, item.source)
                    for item in found[name]
                    if not item.kept and item.count is not None
                ),
                tuple(
                    (
                        RegisterRead(item.against_at_us, item.against_count),
                        RegisterRead(item.read_at_us, item.count, source=item.source),
                    )
                    for item in found[name]
                    if item.rule is Rule.ROLLOVER
                    and item.count is not None
                    and item.against_at_us is not None
                    and item.against_count is not None
                ),
            ),
        )
        for name in meter_point_ids
    }


class PointReads:
    """A meter point's reads, as far as verdicts keep them."""

    def __init__(self, connection: Connection, decided: _Decided) -> None:
        self._connection = connection
        self._zone = decided.zone
        self.mounted = decided.mounted
        self._decided = decided

    def kept(self, mounted: Mounted, start_us: int, end_us: int) -> list[RegisterRead]:
        """Return every kept read of an install in [start, end), in order of time."""
        install = mounted.install
        low = max(start_us, install.installed_at_us)
        high = end_us if install.removed_at_us is None else min(end_us, install.removed_at_us + 1)
        if high <= low:
            return []
        raw = raw_reads.reads_between(self._connection, mounted, low, high)
        raw += self._decided.overlay.reads(low, high)
        own = install.event_instants_us
        return sorted(
            read
            for read in raw
            if (read.read_at_us, read.count, read.source) not in self._decided.aside
            and read.read_at_us not in own
        )

    def around(
        self, mounted: Mounted, instants_us: tuple[int, ...], *, tolerance_us: int = MARGIN_US
    ) -> list[RegisterRead]:
        """Return the kept reads that bound instants, people's, and those at each rollover."""
        install = mounted.install
        found: dict[int, RegisterRead] = {}
        for at_us in instants_us:
            if install.installed_at_us < at_us and (
                install.removed_at_us is None or at_us < install.removed_at_us
            ):
                for read in self._bounding(mounted, at_us, tolerance_us):
                    found[read.read_at_us] = read
        for edge in self._of_people(install):
            found.setdefault(edge.read_at_us, edge)
        for turn in self._decided.turns:
            if turn[0].read_at_us >= install.installed_at_us and self._stands(install, turn[1]):
                for edge in turn:
                    if edge.read_at_us not in install.event_instants_us:
                        found.setdefault(edge.read_at_us, edge)
        return [found[at_us] for at_us in sorted(found)]

    def history(self, mounted: Mounted, left: RegisterRead) -> History:
        """Return what a meter's reads up to one of them say of how it is used."""
        install = mounted.install
        low = left.read_at_us - HISTORY_US
        reads = self.kept(mounted, low, left.read_at_us + 1)
        if len(reads) < 2 or reads[-1].read_at_us - reads[0].read_at_us < 24 * HOUR_US:  # noqa: PLR2004 - two make a span
            since_us = left.read_at_us - MEAN_US
            people = [
                read
                for read in self._of_people(install)
                if since_us <= read.read_at_us <= left.read_at_us
            ]
            sparse = {read.read_at_us: read for read in (*people, *reads)}
            reads = [sparse[at_us] for at_us in sorted(sparse)]
            known = [read for read in known_reads(install, reads) if read.read_at_us >= since_us]
            reads = [read for read in known if read.read_at_us <= left.read_at_us]
        at = np.array([read.read_at_us for read in reads], dtype=np.int64)
        counts = np.array([read.count for read in reads], dtype=np.int64)
        steps = np.diff(counts)
        if install.capacity is not None:
            steps = np.where(steps < 0, steps + install.capacity, steps)
        return history_of(at, np.concatenate(([0], np.cumsum(steps))), self._zone)

    def _of_people(self, install: Install) -> list[RegisterRead]:
        high = install.removed_at_us
        return [
            read
            for read in self._decided.overlay.reads(
                install.installed_at_us, (1 << 62) if high is None else high + 1
            )
            if (read.read_at_us, read.count, read.source) not in self._decided.aside
            and read.read_at_us not in install.event_instants_us
        ]

    def _bounding(self, mounted: Mounted, at_us: int, tolerance_us: int) -> list[RegisterRead]:
        low, high = at_us - MARGIN_US, at_us + max(tolerance_us, MARGIN_US)
        reads = self.kept(mounted, low, high)
        reach_us = MARGIN_US
        while not any(read.read_at_us < at_us for read in reads):
            nearest = raw_reads.nearest_us(self._connection, mounted, low, before=True)
            if nearest is None or nearest < mounted.install.installed_at_us:
                break
            reads = [*self.kept(mounted, nearest - reach_us, low), *reads]
            low, reach_us = nearest - reach_us, 2 * reach_us
        reach_us = MARGIN_US
        while not any(read.read_at_us >= at_us for read in reads):
            nearest = raw_reads.nearest_us(self._connection, mounted, high, before=False)
            if nearest is None:
                break
            reads = [*reads, *self.kept(mounted, high, nearest + reach_us)]
            high, reach_us = nearest + reach_us, 2 * reach_us
        return reads

    @staticmethod
    def _stands(install: Install, read: RegisterRead) -> bool:
        return install.installed_at_us <= read.read_at_us and (
            install.removed_at_us is None or read.read_at_us <= install.removed_at_us
        )


class Estimates:
    """An estimator over one install, whose history is looked up when a boundary needs it."""

    def __init__(self, reads: PointReads, mounted: Mounted, *, foretell: bool) -> None:
        self._reads = reads
        self._mounted = mounted
        self._foretell = foretell
        self._held: dict[int, History] = {}

    def gone(
        self, left: RegisterRead, right: RegisterRead, boundary_us: int, *, counts: int
    ) -> tuple[int, str]:
        """Return how many of the counts between two reads had passed at a boundary (floor)."""
        if right.read_at_us - left.read_at_us <= MARGIN_US:
            return History().gone(left, right, boundary_us, counts=counts)
        return self._history(left).gone(left, right, boundary_us, counts=counts)

    def expected(self, left: RegisterRead, boundary_us: int) -> tuple[int, str] | None:
        """Return the counts to expect after the last read, None where it may not foretell."""
        return self._history(left).expected(left, boundary_us) if self._foretell else None

    def _history(self, left: RegisterRead) -> History:
        if left.read_at_us not in self._held:
            self._held[left.read_at_us] = self._reads.history(self._mounted, left)
        return self._held[left.read_at_us]
