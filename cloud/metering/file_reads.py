"""A file of reads taken as one act: each row stored, asked about or refused, with its reason."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from cloud.errors import NotFoundError, RefusedError
from cloud.metering import manual_reads, repository
from cloud.metering import manual_repository as manual
from cloud.metering.manual_repository import ManualRead
from cloud.metering.plausibility import Answer
from cloud.metering.read_files import FileRow, count_of, moment_us
from cloud.metering.repository import Mounted
from cloud.sites.tables import projects

_MOST_NAME: Final = 200
_MOST_NOTE: Final = 500


@dataclass(frozen=True)
class Filing:
    """Whose file of reads, its name, who brings it, and the round 抄表 that it belongs to."""

    project_id: str
    name: str
    by: str
    round_id: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What becomes of a row; exponent is that of its meter, 0 where none was found."""

    row: FileRow
    meter_point_id: str
    exponent: int
    answer: Answer
    reason: str
    is_stored: bool


@dataclass(frozen=True)
class Filed:
    """What becomes of a file; import_id is None for a dry run or where nothing was stored."""

    import_id: int | None
    outcomes: tuple[Outcome, ...]

    def of(self, answer: Answer) -> list[Outcome]:
        """Give the rows that got an answer."""
        return [item for item in self.outcomes if item.answer is answer]

    @property
    def stored(self) -> int:
        """Give how many rows were stored, or would be."""
        return sum(item.is_stored for item in self.outcomes)

    @property
    def left_out(self) -> list[Outcome]:
        """Give the rows that were not stored, or would not be."""
        return [item for item in self.outcomes if not item.is_stored]


def file_reads(
    connection: Connection,
    filing: Filing,
    rows: Sequence[FileRow],
    *,
    confirmed: bool = False,
    dry_run: bool = False,
    now_us: int | None = None,
) -> Filed:
    """Take the rows of a file as one import; `confirmed` stores those to ask about too.

    A row without a time is read on its round's day. RefusedError for a round that is closed or
    of another project.
    """
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    frame = _frame(connection, filing)
    faults: list[Outcome] = []
    reads: list[tuple[FileRow, int, ManualRead]] = []
    for row in rows:
        made = _read_of(frame, row)
        if isinstance(made, Outcome):
            faults.append(made)
        else:
            reads.append((row, *made))
    reads.sort(key=lambda item: (item[2].read_at_us, item[2].meter_point_id))
    report = manual_reads.import_reads(
        connection,
        filing.project_id,
        filing.name[:_MOST_NAME],
        [read for _, _, read in reads],
        by=filing.by,
        confirmed=confirmed,
        dry_run=dry_run,
        now_us=now_us,
    )
    taken = [
        Outcome(
            row,
            read.meter_point_id,
            exponent,
            done.judgement.answer,
            done.judgement.reason,
            done.id != 0,
        )
        for (row, exponent, read), done in zip(reads, report.rows, strict=True)
    ]
    return Filed(report.import_id, tuple(sorted(faults + taken, key=lambda item: item.row.line)))


def undo(
    connection: Connection, project_id: str, import_id: int, *, by: str, why: str, now_us: int
) -> int:
    """Withdraw every read of a project's import; return how many. NotFoundError, RefusedError."""
    if manual.import_of(connection, import_id).project_id != project_id:
        message = f"import {import_id} is unknown"
        raise NotFoundError(message)
    return manual_reads.undo_import(connection, import_id, by=by, why=why, now_us=now_us)


def exponent_at(mounted: Sequence[Mounted], at_us: int) -> int:
    """Return the exponent of the meter that stood somewhere at an instant, else of the last."""
    for item in mounted:
        removed_us = item.install.removed_at_us
        if item.install.installed_at_us <= at_us and (removed_us is None or at_us < removed_us):
            return item.install.exponent
    return mounted[-1].install.exponent if mounted else 0


@dataclass(frozen=True)
class _Frame:
    """What rows are read against; points of a round are those it lists, with what is read."""

    filing: Filing
    zone: ZoneInfo
    mounted: dict[str, list[Mounted]]
    by_meter: dict[str, list[str]]
    read_on: date | None
    listed: frozenset[str] | None
    done: set[str]


def _frame(connection: Connection, filing: Filing) -> _Frame:
    zone = connection.scalar(select(projects.c.time_zone).where(projects.c.id == filing.project_id))
    if zone is None:
        message = f"project {filing.project_id!r} is unknown"
        raise NotFoundError(message)
    points = [point.id for point in repository.meter_points_of(connection, filing.project_id)]
    mounted = repository.mounted_at(connection, points)
    by_meter: dict[str, list[str]] = {}
    for name, held in mounted.items():
        for item in held[-1:]:
            by_meter.setdefault(item.install.meter_id, []).append(name)
    read_on, listed, done = None, None, set[str]()
    if filing.round_id is not None:
        found, stops = manual.round_of(connection, filing.round_id)
        if found.project_id != filing.project_id:
            message = f"round {filing.round_id} is unknown"
            raise NotFoundError(message)
        if found.closed_us is not None:
            message = f"round {filing.round_id} is closed"
            raise RefusedError(message)
        read_on = found.read_on
        listed = frozenset(stop.meter_point_id for stop in stops)
        done = {read.meter_point_id for read in manual.reads_of_round(connection, filing.round_id)}
    return _Frame(filing, ZoneInfo(zone), mounted, by_meter, read_on, listed, done)


def _read_of(frame: _Frame, row: FileRow) -> tuple[int, ManualRead] | Outcome:
    name, fault = _point_of(frame, row)
    if fault:
        return Outcome(row, name, 0, Answer.REFUSE, fault, is_stored=False)
    exponent = 0
    try:
        if not row.read_at and frame.read_on is not None:
            midnight = datetime(
                frame.read_on.year, frame.read_on.month, frame.read_on.day, tzinfo=frame.zone
            )
            at_us = int(midnight.timestamp()) * 1_000_000
        else:
            at_us = moment_us(row.read_at, frame.zone)
        exponent = exponent_at(frame.mounted[name], at_us)
        count = count_of(row.register, exponent)
    except ValueError as error:
        return Outcome(row, name, exponent, Answer.REFUSE, str(error), is_stored=False)
    if frame.filing.round_id is not None:
        frame.done.add(name)
    read = ManualRead(
        meter_point_id=name,
        read_at_us=at_us,
        count=count,
        taken_by=frame.filing.by,
        note=row.note[:_MOST_NOTE],
        round_id=frame.filing.round_id,
    )
    return exponent, read


def _point_of(frame: _Frame, row: FileRow) -> tuple[str, str]:
    name = row.meter_point.strip()
    if not name:
        found = frame.by_meter.get(row.meter.strip(), [])
        if len(found) != 1:
            known = "several meters have it" if found else "no meter has it"
            return "", f"meter: {row.meter!r}: {known}"
        name = found[0]
    if name not in frame.mounted:
        return name, f"meter point {name!r} is unknown"
    if frame.listed is not None and name not in frame.listed:
        return name, "the round does not list it"
    if name in frame.done:
        return name, "the round has a read of it already"
    return name, ""
