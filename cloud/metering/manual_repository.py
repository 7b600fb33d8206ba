"""All SQL of reads that people took, their imports and their reading rounds 抄表."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Select, select, update

from cloud.errors import NotFoundError
from cloud.metering.reading_tables import manual_reads, read_imports, read_rounds, round_points


@dataclass(frozen=True, kw_only=True)
class ManualRead:
    """A register read somebody took (rule empty) or that a rule estimated to close a round.

    photo refers to a stored picture; answer is what plausibility said, for the record.
    """

    id: int = 0
    meter_point_id: str
    read_at_us: int
    count: int
    rule: str = ""
    taken_by: str
    photo: str = ""
    note: str = ""
    answer: str = ""
    import_id: int | None = None
    round_id: int | None = None
    entered_us: int = 0
    withdrawn_us: int | None = None

    @property
    def source(self) -> str:
        """Give the name under which a bill finds it again."""
        return f"manual-{self.id}"


@dataclass(frozen=True)
class ReadImport:
    """A file of reads that came in as one act."""

    id: int
    project_id: str
    name: str
    imported_by: str
    imported_us: int
    undone_us: int | None


@dataclass(frozen=True)
class Round:
    """A round 抄表: meter points to read on a date."""

    id: int
    project_id: str
    name: str
    read_on: date
    opened_by: str
    opened_us: int
    closed_us: int | None


@dataclass(frozen=True)
class Stop:
    """A meter point of a round, by route and position on it."""

    meter_point_id: str
    route: str
    position: int


def manual_reads_of(connection: Connection, meter_point_ids: Sequence[str]) -> list[ManualRead]:
    """Return the reads people took of meter points that stand, in order of time."""
    query = select(manual_reads).where(
        manual_reads.c.meter_point_id.in_(meter_point_ids), manual_reads.c.withdrawn_us.is_(None)
    )
    return _reads(connection, query.order_by(manual_reads.c.read_at_us, manual_reads.c.id))


def manual_read(connection: Connection, read_id: int) -> ManualRead:
    """Return a read people took, withdrawn or not; NotFoundError."""
    found = _reads(connection, select(manual_reads).where(manual_reads.c.id == read_id))
    if not found:
        message = f"manual read {read_id} is unknown"
        raise NotFoundError(message)
    return found[0]


def reads_of_import(connection: Connection, import_id: int) -> list[ManualRead]:
    """Return the reads of an import that stand."""
    query = select(manual_reads).where(
        manual_reads.c.import_id == import_id, manual_reads.c.withdrawn_us.is_(None)
    )
    return _reads(connection, query.order_by(manual_reads.c.id))


def reads_ever_imported(connection: Connection, import_id: int) -> list[ManualRead]:
    """Return what an import stored, withdrawn or not."""
    query = select(manual_reads).where(manual_reads.c.import_id == import_id)
    return _reads(connection, query.order_by(manual_reads.c.id))


def reads_of_round(connection: Connection, round_id: int) -> list[ManualRead]:
    """Return the reads of a round that stand, in the order in which they were entered."""
    query = select(manual_reads).where(
        manual_reads.c.round_id == round_id, manual_reads.c.withdrawn_us.is_(None)
    )
    return _reads(connection, query.order_by(manual_reads.c.id))


def reads_ever_in(connection: Connection, round_id: int) -> list[ManualRead]:
    """Return what a round ever got, withdrawn or not, in the order in which it was entered."""
    query = select(manual_reads).where(manual_reads.c.round_id == round_id)
    return _reads(connection, query.order_by(manual_reads.c.id))


def add_manual_read(connection: Connection, read: ManualRead) -> int:
    """Store a read; return its id."""
    values = {
        name: value for name, value in vars(read).items() if name not in ("id", "withdrawn_us")
    }
    query = manual_reads.insert().values(**values).returning(manual_reads.c.id)
    return int(connection.execute(query).scalar_one())


def withdraw(
    connection: Connection, read_ids: Sequence[int], *, by: str, why: str, now_us: int
) -> None:
    """Mark reads as withdrawn; they stay where they are."""
    if read_ids:
        connection.execute(
            update(manual_reads)
            .where(manual_reads.c.id.in_(read_ids), manual_reads.c.withdrawn_us.is_(None))
            .values(withdrawn_by=by, withdrawn_us=now_us, withdrawn_why=why)
        )


def add_import(connection: Connection, project_id: str, name: str, *, by: str, now_us: int) -> int:
    """Begin an import; return its id."""
    query = (
        read_imports.insert()
        .values(project_id=project_id, name=name, imported_by=by, imported_us=now_us)
        .returning(read_imports.c.id)
    )
    return int(connection.execute(query).scalar_one())


def import_of(connection: Connection, import_id: int) -> ReadImport:
    """Return an import; NotFoundError."""
    row = connection.execute(
        select(read_imports).where(read_imports.c.id == import_id).with_for_update()
    ).one_or_none()
    if row is None:
        message = f"import {import_id} is unknown"
        raise NotFoundError(message)
    return ReadImport(
        row.id, row.project_id, row.name, row.imported_by, row.imported_us, row.undone_us
    )


def undo_import(connection: Connection, import_id: int, *, by: str, now_us: int) -> None:
    """Mark an import as undone."""
    connection.execute(
        update(read_imports)
        .where(read_imports.c.id == import_id)
        .values(undone_by=by, undone_us=now_us)
    )


def add_round(
    connection: Connection,
    project_id: str,
    name: str,
    stops: Sequence[Stop],
    *,
    read_on: date,
    by: str,
    now_us: int,
) -> int:
    """Store a round with its stops; return its id."""
    query = (
        read_rounds.insert()
        .values(project_id=project_id, name=name, read_on=read_on, opened_by=by, opened_us=now_us)
        .returning(read_rounds.c.id)
    )
    round_id = int(connection.execute(query).scalar_one())
    connection.execute(
        round_points.insert(), [{"round_id": round_id, **vars(stop)} for stop in stops]
    )
    return round_id


def round_of(connection: Connection, round_id: int) -> tuple[Round, list[Stop]]:
    """Return a round and its stops in the order of its routes; NotFoundError."""
    row = connection.execute(
        select(read_rounds).where(read_rounds.c.id == round_id).with_for_update()
    ).one_or_none()
    if row is None:
        message = f"round {round_id} is unknown"
        raise NotFoundError(message)
    found = Round(
        row.id, row.project_id, row.name, row.read_on, row.opened_by, row.opened_us, row.closed_us
    )
    query = (
        select(round_points)
        .where(round_points.c.round_id == round_id)
        .order_by(round_points.c.route, round_points.c.position, round_points.c.meter_point_id)
    )
    stops = [Stop(r.meter_point_id, r.route, r.position) for r in connection.execute(query)]
    return found, stops


def close_round(connection: Connection, round_id: int, *, by: str, now_us: int) -> None:
    """Mark a round as closed."""
    connection.execute(
        update(read_rounds)
        .where(read_rounds.c.id == round_id)
        .values(closed_by=by, closed_us=now_us)
    )


def _reads(connection: Connection, query: Select[Any]) -> list[ManualRead]:
    return [
        ManualRead(
            id=row["id"],
            meter_point_id=row["meter_point_id"],
            read_at_us=row["read_at_us"],
            count=row["count"],
            rule=row["rule"],
            taken_by=row["taken_by"],
            photo=row["photo"],
            note=row["note"],
            answer=row["answer"],
            import_id=row["import_id"],
            round_id=row["round_id"],
            entered_us=row["entered_us"],
            withdrawn_us=row["withdrawn_us"],
        )
        for row in connection.execute(query).mappings()
    ]
