"""Validation of reads 校验: every verdict stored, week by week, and the raw reads left alone."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from sqlalchemy import Connection

from cloud.metering import raw_reads, repository
from cloud.metering import verdict_repository as verdicts
from cloud.metering.edits import Overlay, overlays_of
from cloud.metering.installs import RegisterRead
from cloud.metering.pace import WEEK_US, first_pace, judge_week, rising
from cloud.metering.raw_reads import WeekReads, week_of
from cloud.metering.repository import Mounted
from cloud.metering.screening import LOOKAHEAD, RUN, SENTINELS, Rule, Standing, Verdict
from cloud.metering.screening import beginning as first_standing
from cloud.metering.screening import screen as screen_reads
from cloud.metering.verdict_repository import Finding, State, WeekScreened

# reads that come in later than this after the newest are not looked for without `anew`
LATE_WEEKS: Final = 13
_POINTS_AT_ONCE: Final = 200
_ODD: Final = sorted(SENTINELS)


def screen_point(connection: Connection, meter_point_id: str, *, anew: bool = False) -> int:
    """Bring the verdicts on a meter point's reads up to date; return how many weeks it took.

    Weeks are screened where their rows changed, and on from there until nothing changes. The
    same reads give the same verdicts in whatever order they came. `anew` forgets them first.
    """
    if anew:
        repository.lock_meter_points(connection, [meter_point_id])
        verdicts.forget_from(connection, meter_point_id, 0)
    return screen_points(connection, [meter_point_id])


def screen_points(connection: Connection, meter_point_ids: Iterable[str]) -> int:
    """Bring the verdicts of many meter points up to date; return how many weeks it took."""
    names = sorted(set(meter_point_ids))
    weeks = 0
    for start in range(0, len(names), _POINTS_AT_ONCE):
        _, screened = screened_points(connection, names[start : start + _POINTS_AT_ONCE])
        weeks += screened
    return weeks


def screened_points(
    connection: Connection, names: Sequence[str]
) -> tuple[dict[str, tuple[list[Mounted], Overlay]], int]:
    """Bring verdicts up to date as `screen_points` does; return what they stand on, by point."""
    repository.lock_meter_points(connection, names)
    overlays = overlays_of(connection, names)
    every = repository.mounted_at(connection, names)
    weeks = _screen_some(connection, every, overlays)
    return {name: (mounted, overlays[name]) for name, mounted in every.items()}, weeks


def _screen_some(
    connection: Connection,
    every: Mapping[str, Sequence[Mounted]],
    overlays: Mapping[str, Overlay],
) -> int:
    receipts: dict[bytes, int] = {}
    held = verdicts.weeks_screened(connection, list(every), weeks=LATE_WEEKS + 1)
    waiting: list[tuple[_Screening, dict[int, WeekScreened], int]] = []
    wanted: list[tuple[Mounted, int]] = []
    for name, all_mounted in every.items():
        for mounted in all_mounted:
            weeks = {
                item.week: item for item in held.get((name, mounted.install.installed_at_us), ())
            }
            # without a full window of weeks every week is in it
            horizon = min(weeks) if len(weeks) > LATE_WEEKS else 0
            screening = _Screening(connection, name, mounted, overlays[name], receipts)
            waiting.append((screening, weeks, horizon))
            wanted.append((mounted, horizon))
    rows = raw_reads.rows_by_week(connection, wanted)
    return sum(
        screening.run(by_week, weeks, horizon)
        for by_week, (screening, weeks, horizon) in zip(rows, waiting, strict=True)
    )


class _Screening:
    """The screening of one install's reads."""

    def __init__(
        self,
        connection: Connection,
        meter_point_id: str,
        mounted: Mounted,
        overlay: Overlay,
        receipts: dict[bytes, int],
    ) -> None:
        self._connection = connection
        self._key = (meter_point_id, mounted.install.installed_at_us)
        self._mounted = mounted
        self._install = mounted.install
        self._overlay = overlay
        self._receipts = receipts

    def run(self, rows: dict[int, int], held: dict[int, WeekScreened], horizon: int) -> int:
        """Screen the weeks that changed: there are `rows` now, `held` says what there was."""
        connection, key = self._connection, self._key
        for week in self._weeks_of_people(horizon):
            rows.setdefault(week, 0)
        dirty = [week for week, size in rows.items() if week not in held or held[week].rows != size]
        if not dirty:
            return 0
        first, last = min(dirty), max(dirty)
        if first - 1 in rows:
            # its last reads were weighed against the first ones of this
            first -= 1
        before = held.get(max((week for week in held if week < first), default=-1))
        if before is None and horizon:
            before = verdicts.week_before(connection, *key, first)
        state = (
            before.state
            if before is not None
            else State(first_standing(self._install), first_pace(self._install.installed_at_us))
        )
        weeks = sorted(week for week in rows if week >= first)
        return self._screen(weeks, rows, held, state=state, last_dirty=last)

    def _screen(
        self,
        weeks: Sequence[int],
        rows: dict[int, int],
        held: dict[int, WeekScreened],
        *,
        state: State,
        last_dirty: int,
    ) -> int:
        done: list[WeekScreened] = []
        found: list[tuple[int, Finding]] = []
        source = raw_reads.weeks_of(self._connection, self._mounted, weeks, receipts=self._receipts)
        this = next(source)
        while this is not None:
            following = next(source, None)
            near = following if following is not None and following.week == this.week + 1 else None
            state, findings = self._week(this, near, state)
            found += [(this.week, finding) for finding in findings]
            done.append(WeekScreened.of(this.week, rows[this.week], state))
            unchanged = this.week in held and held[this.week].state == state
            if this.week >= last_dirty and unchanged:
                break
            if following is None:
                break
            this = following
        verdicts.save_weeks(
            self._connection,
            self._key,
            done,
            found,
            judged_us=time.time_ns() // 1000,
            held=any(item.week in held for item in done),
        )
        return len(done)

    def _week(
        self, this: WeekReads, near: WeekReads | None, state: State
    ) -> tuple[State, list[Finding]]:
        install, standing = self._install, state.standing
        found = list(this.findings)
        base = (standing.base.read_at_us, standing.base.count)
        if this.week not in self._overlay.weeks() and (
            not len(this.counts)
            or rising(
                this.read_at_us,
                this.counts,
                base=base,
                limits=(install.capacity, install.max_per_hour),
                odd=_ODD,
            )
        ):
            at, counts = this.read_at_us, this.counts
            standing = _standing_after(this, standing)
        else:
            done, kept = self._one_by_one(this, near, standing)
            found += done
            standing = kept[1]
            at = np.array([read.read_at_us for read in kept[0]], dtype=np.int64)
            counts = np.array([read.count for read in kept[0]], dtype=np.int64)
        unlike, pace = judge_week(at, counts, state.pace, base=base, capacity=install.capacity or 0)
        found += [
            Finding(
                item.rule,
                True,  # noqa: FBT003 - the verdict keeps them
                item.since_us,
                int(at[item.last]),
                item.last - item.first + 1,
                int(counts[item.last]),
                "",
                parameters=item.parameters,
            )
            for item in unlike
        ]
        return State(standing, pace), found

    def _one_by_one(
        self, this: WeekReads, near: WeekReads | None, standing: Standing
    ) -> tuple[list[Finding], tuple[tuple[RegisterRead, ...], Standing]]:
        reads, accepted, found = self._with_overlay(this.week, this.reads())
        ahead: list[RegisterRead] = []
        if near is not None:
            following, _, _ = self._with_overlay(near.week, near.reads(2 * LOOKAHEAD))
            ahead = sorted(following)[:LOOKAHEAD]
        done = screen_reads(reads, self._install, standing=standing, ahead=ahead, accepted=accepted)
        found += [_finding(verdict) for verdict in done.verdicts]
        return found, (done.kept, done.standing)

    def _with_overlay(
        self, week: int, raw: list[RegisterRead]
    ) -> tuple[list[RegisterRead], set[RegisterRead], list[Finding]]:
        low, high = week * WEEK_US, (week + 1) * WEEK_US
        removed_at_us = self._install.removed_at_us
        low = max(low, self._install.installed_at_us)
        high = high if removed_at_us is None else min(high, removed_at_us + 1)
        added = [
            read
            for read in self._overlay.reads(low, high)
            if read.read_at_us not in self._install.event_instants_us
        ]
        edits = {
            (edit.read_at_us, edit.source): edit
            for edit in self._overlay.edits
            if low <= edit.read_at_us < high
        }
        reads: list[RegisterRead] = []
        accepted = {read for read in added if read.source.startswith("edit-")}
        found: list[Finding] = []
        for read in (*raw, *added):
            edit = edits.get((read.read_at_us, read.source))
            if edit is not None and edit.action in ("reject", "replace"):
                parameters = (("version", edit.version),)
                found.append(_finding(Verdict(Rule.EDITED, read), parameters))
                continue
            if edit is not None:
                accepted.add(read)
            reads.append(read)
        return reads, accepted, found

    def _weeks_of_people(self, horizon: int) -> list[int]:
        install = self._install
        low = max(horizon, week_of(install.installed_at_us))
        return [
            week
            for week in self._overlay.weeks()
            if week >= low
            and (install.removed_at_us is None or week <= week_of(install.removed_at_us))
        ]


def _standing_after(this: WeekReads, standing: Standing) -> Standing:
    # as if the reads had been kept one by one
    size = len(this.counts)
    if not size:
        return standing
    changes = np.flatnonzero(np.diff(this.counts))
    first = int(changes[-1]) + 1 if len(changes) else 0
    run = tuple(this.read(index) for index in range(max(first, size - RUN), size))
    if first:
        return Standing(run, this.read(first - 1), run[-1])
    if int(this.counts[0]) == standing.base.count:
        return Standing((*standing.run, *run)[-RUN:], standing.before, run[-1])
    return Standing(run, standing.base, run[-1])


def _finding(verdict: Verdict, parameters: tuple[tuple[str, int], ...] = ()) -> Finding:
    read, against = verdict.read, verdict.against
    return Finding(
        verdict.rule,
        verdict.kept,
        read.read_at_us,
        read.read_at_us,
        1,
        read.count,
        read.source,
        None if against is None else against.read_at_us,
        None if against is None else against.count,
        parameters,
    )
