"""Reads that people take: judged at once, stored with who and when, undone as one act."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from cloud.errors import NotFoundError, RefusedError
from cloud.metering import edits, repository
from cloud.metering import manual_repository as manual
from cloud.metering.boundaries import StraightLine
from cloud.metering.installs import RegisterRead
from cloud.metering.manual_repository import ManualRead
from cloud.metering.plausibility import Answer, Judgement, Neighbours, judge
from cloud.metering.point_reads import Estimates, reads_of_points
from cloud.metering.registers import known_reads


@dataclass(frozen=True)
class Taken:
    """A read and what plausibility said; id is 0 where it was not stored."""

    id: int
    read: ManualRead
    judgement: Judgement


@dataclass(frozen=True)
class ImportReport:
    """What became of a file of reads; import_id is None for a dry run or where none was stored."""

    import_id: int | None
    rows: tuple[Taken, ...]

    @property
    def stored(self) -> int:
        """Give how many reads may stand as they are (and do, unless this was a dry run)."""
        return sum(row.id != 0 for row in self.rows)


def plausibility_of(
    connection: Connection, meter_point_id: str, *, read_at_us: int, count: int, now_us: int
) -> Judgement:
    """Say whether a read may be right; NotFoundError for an unknown meter point."""
    point = repository.meter_point_of(connection, meter_point_id)
    reads = reads_of_points(connection, [point.id])[point.id]
    mounted = next(
        (
            item
            for item in reads.mounted
            if item.install.installed_at_us <= read_at_us
            and (item.install.removed_at_us is None or read_at_us < item.install.removed_at_us)
        ),
        None,
    )
    read = RegisterRead(read_at_us, count)
    if mounted is None:
        return judge(read, None, None, history=StraightLine(), now_us=now_us)
    known = known_reads(mounted.install, reads.around(mounted, (read_at_us,)))
    # an estimate gives way to what somebody reads
    real = [item for item in known if not item.estimated]
    before = [item for item in real if item.read_at_us <= read_at_us][-1]
    after = next((item for item in real if item.read_at_us > read_at_us), None)
    return judge(
        read,
        mounted.install,
        Neighbours(before, after),
        history=Estimates(reads, mounted, foretell=True),
        now_us=now_us,
    )


def take(
    connection: Connection,
    read: ManualRead,
    *,
    confirmed: bool = False,
    now_us: int | None = None,
) -> Taken:
    """Judge a read and store it if it may stand; one to ask about again only if `confirmed`."""
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    if not read.taken_by.strip():
        message = f"read of {read.meter_point_id}: taken_by: '': allowed is who took it"
        raise RefusedError(message)
    judgement = plausibility_of(
        connection,
        read.meter_point_id,
        read_at_us=read.read_at_us,
        count=read.count,
        now_us=now_us,
    )
    stands = judgement.answer is Answer.ACCEPT or (confirmed and judgement.may_stand)
    made = replace(read, answer=judgement.reason[:200], entered_us=now_us)
    if not stands:
        return Taken(0, made, judgement)
    return Taken(store(connection, made), made, judgement)


def store(connection: Connection, read: ManualRead) -> int:
    """Store a read that was judged, and let its week be screened again; return its id."""
    repository.lock_meter_points(connection, [read.meter_point_id])
    made = manual.add_manual_read(connection, read)
    edits.forget_from(connection, read.meter_point_id, read.read_at_us)
    return made


def import_reads(
    connection: Connection,
    project_id: str,
    name: str,
    reads: Sequence[ManualRead],
    *,
    by: str,
    confirmed: bool = False,
    dry_run: bool = False,
    now_us: int | None = None,
) -> ImportReport:
    """Take a file of reads as one act; `dry_run` says what would become of it and stores nothing.

    Reads are taken in order of time, each judged after those before it. A read that is refused,
    of another project or to be asked about again (without `confirmed`) is left out and named.
    """
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    inside = connection.begin_nested()
    import_id = manual.add_import(connection, project_id, name, by=by, now_us=now_us)
    rows = [
        _take_of(connection, project_id, replace(read, import_id=import_id), confirmed, now_us)
        for read in sorted(reads, key=lambda read: (read.read_at_us, read.meter_point_id))
    ]
    if dry_run or not any(row.id for row in rows):
        inside.rollback()
        return ImportReport(None, tuple(rows))
    inside.commit()
    return ImportReport(import_id, tuple(rows))


def undo_import(
    connection: Connection, import_id: int, *, by: str, why: str, now_us: int | None = None
) -> int:
    """Withdraw every read of an import; return how many. RefusedError if it was undone before."""
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    held = manual.import_of(connection, import_id)
    if held.undone_us is not None:
        message = f"import {import_id} was undone before"
        raise RefusedError(message)
    reads = manual.reads_of_import(connection, import_id)
    _withdraw(connection, reads, by=by, why=why, now_us=now_us)
    manual.undo_import(connection, import_id, by=by, now_us=now_us)
    return len(reads)


def withdraw_read(
    connection: Connection, read_id: int, *, by: str, why: str, now_us: int | None = None
) -> None:
    """Withdraw one read; it stays on file. RefusedError if it was withdrawn before."""
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    read = manual.manual_read(connection, read_id)
    if read.withdrawn_us is not None:
        message = f"manual read {read_id} was withdrawn before"
        raise RefusedError(message)
    _withdraw(connection, [read], by=by, why=why, now_us=now_us)


def _withdraw(
    connection: Connection, reads: Sequence[ManualRead], *, by: str, why: str, now_us: int
) -> None:
    for key, text in (("by", by), ("why", why)):
        if not text.strip():
            message = f"withdrawal: {key}: '': allowed is a text that says it"
            raise RefusedError(message)
    manual.withdraw(connection, [read.id for read in reads], by=by, why=why, now_us=now_us)
    earliest: dict[str, int] = {}
    for read in reads:
        known = earliest.get(read.meter_point_id, read.read_at_us)
        earliest[read.meter_point_id] = min(known, read.read_at_us)
    for meter_point_id, at_us in sorted(earliest.items()):
        repository.lock_meter_points(connection, [meter_point_id])
        edits.forget_from(connection, meter_point_id, at_us)


def _take_of(
    connection: Connection,
    project_id: str,
    read: ManualRead,
    confirmed: bool,  # noqa: FBT001 - private
    now_us: int,
) -> Taken:
    try:
        point = repository.meter_point_of(connection, read.meter_point_id)
    except NotFoundError as error:
        return Taken(0, read, Judgement(Answer.REFUSE, str(error)))
    if point.project_id != project_id:
        reason = f"meter point {point.id!r} is unknown"
        return Taken(0, read, Judgement(Answer.REFUSE, reason))
    return take(connection, read, confirmed=confirmed, now_us=now_us)
