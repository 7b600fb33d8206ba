"""All SQL of bill runs: their phases, the shards that workers claim, drafts and what was held."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, func, select
from sqlalchemy.sql.elements import ColumnElement

from cloud.billing.drafts import Drafted, Held, Use, kind_of, pack, unpack, unpack_use
from cloud.billing.run_tables import bill_runs, drafts, exceptions, run_shards, uses
from cloud.bulk import insert_rows
from cloud.database import upsert
from cloud.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class RunKey:
    """A run: number 1 bills a period, later ones bill it and those before it again."""

    project_id: str
    period: str
    number: int

    def of(self, table: Table) -> ColumnElement[bool]:
        """Return what selects this run's rows of a table."""
        return and_(*(table.c[name] == getattr(self, name) for name in self.__slots__))

    @property
    def row(self) -> dict[str, object]:
        """Give the columns that name the run."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True)
class Run:
    """A bill run of the periods first .. period; times are microseconds since the epoch."""

    project_id: str
    period: str
    number: int
    first: str
    phase: str
    allow_unverified: bool
    started_by: str
    reason: str
    started_us: int
    posted_us: int | None = None
    finished_us: int | None = None
    bills: int = 0
    credits: int = 0
    held: int = 0
    total_fen: int = 0

    @property
    def key(self) -> RunKey:
        """Name it."""
        return RunKey(self.project_id, self.period, self.number)


@dataclass(frozen=True)
class Shard:
    """Accounts of a run that are worked on together, and the numbers their bills begin at."""

    shard: int
    accounts: tuple[str, ...]
    first_bill: int
    first_credit: int


def run_of(connection: Connection, key: RunKey, *, lock: bool = False) -> Run | None:
    """Return a run, None if there is none."""
    query = select(bill_runs).where(key.of(bill_runs))
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else Run(**row)


def required_run(connection: Connection, key: RunKey, *, lock: bool = False) -> Run:
    """Return a run; NotFoundError."""
    run = run_of(connection, key, lock=lock)
    if run is None:
        message = f"there is no bill run {key.number} of {key.period}"
        raise NotFoundError(message)
    return run


def runs_of(connection: Connection, project_id: str) -> list[Run]:
    """Return the runs of a project, the newest period first."""
    query = select(bill_runs).where(bill_runs.c.project_id == project_id)
    ordered = query.order_by(bill_runs.c.period.desc(), bill_runs.c.number.desc())
    return [Run(**row) for row in connection.execute(ordered).mappings()]


def unfinished(connection: Connection, phases: Iterable[str]) -> list[Run]:
    """Return all runs in some phases, the oldest first."""
    query = select(bill_runs).where(bill_runs.c.phase.in_(list(phases)))
    ordered = query.order_by(bill_runs.c.started_us)
    return [Run(**row) for row in connection.execute(ordered).mappings()]


def add_run(connection: Connection, run: Run, shards: Sequence[Sequence[str]]) -> None:
    """Begin a run over accounts."""
    connection.execute(bill_runs.insert().values(**vars(run)))
    rows = [_shard_row(run.key, place, names) for place, names in enumerate(shards)]
    if rows:
        connection.execute(run_shards.insert(), rows)


def add_shard(connection: Connection, key: RunKey, shard: int, *, done: str) -> None:
    """Add a shard without accounts."""
    connection.execute(run_shards.insert().values(_shard_row(key, shard, (), done=done)))


def change_run(connection: Connection, key: RunKey, **values: object) -> None:
    """Change how a run stands."""
    connection.execute(bill_runs.update().where(key.of(bill_runs)).values(**values))


def claim(connection: Connection, key: RunKey, *, done: str) -> Shard | None:
    """Claim a shard that has done a phase and no later one, till this transaction ends."""
    query = (
        select(run_shards)
        .where(key.of(run_shards), run_shards.c.done == done)
        .order_by(run_shards.c.shard)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _shard(row)


def one_of_many(connection: Connection, key: RunKey, *, done: str, place: int) -> Shard | None:
    """Return one of the shards that `claim` would, by a place among them, and claim nothing."""
    mine = key.of(run_shards) & (run_shards.c.done == done)
    count = connection.scalar(select(func.count()).select_from(run_shards).where(mine)) or 0
    if not count:
        return None
    query = select(run_shards).where(mine).order_by(run_shards.c.shard)
    return _shard(connection.execute(query.offset(place % count).limit(1)).one())


def has_done(connection: Connection, key: RunKey, shard: int) -> str | None:
    """Return which phase a shard has done as its last, None if its run is gone."""
    mine = key.of(run_shards) & (run_shards.c.shard == shard)
    done: str | None = connection.scalar(select(run_shards.c.done).where(mine))
    return done


def is_any(connection: Connection, key: RunKey, *, done: str) -> bool:
    """Say whether a shard is no further than a phase, whoever works on it."""
    query = select(run_shards.c.shard).where(key.of(run_shards), run_shards.c.done == done)
    return connection.execute(query.limit(1)).first() is not None


def shards_done(connection: Connection, key: RunKey) -> Counter[str]:
    """Return how many shards have done which phase as their last."""
    query = select(run_shards.c.done, func.count()).where(key.of(run_shards))
    rows = connection.execute(query.group_by(run_shards.c.done))
    return Counter({done: int(count) for done, count in rows})


def shards_of(connection: Connection, key: RunKey) -> list[Shard]:
    """Return the shards of a run, in order."""
    query = select(run_shards).where(key.of(run_shards)).order_by(run_shards.c.shard)
    return [_shard(row) for row in connection.execute(query)]


def change_shard(connection: Connection, key: RunKey, shard: int, **values: object) -> None:
    """Change how a shard stands."""
    mine = key.of(run_shards) & (run_shards.c.shard == shard)
    connection.execute(run_shards.update().where(mine).values(**values))


def save_drafts(
    connection: Connection, key: RunKey, shard: int, some: Sequence[Drafted], *, first: int = 0
) -> None:
    """Keep drafts of a shard in their order, from a position on."""
    columns = (*key.row, "shard", "position", "kind", "total_fen", "body")
    mine = (*key.row.values(), shard)
    rows = [
        (*mine, first + place, kind_of(drafted), drafted.total_fen, pack(drafted))
        for place, drafted in enumerate(some)
    ]
    insert_rows(connection, drafts, columns, rows)


def drafts_of(connection: Connection, key: RunKey, shard: int | None = None) -> list[Drafted]:
    """Return the drafts of a run or of one of its shards, in order."""
    query = select(drafts.c.kind, drafts.c.body).where(key.of(drafts))
    if shard is not None:
        query = query.where(drafts.c.shard == shard)
    rows = connection.execute(query.order_by(drafts.c.shard, drafts.c.position))
    return [unpack(row.kind, row.body) for row in rows]


def counts(connection: Connection, key: RunKey) -> dict[tuple[int, str], tuple[int, int]]:
    """Return how many drafts of each kind a shard has, and their sum in fen."""
    query = (
        select(drafts.c.shard, drafts.c.kind, func.count(), func.sum(drafts.c.total_fen))
        .where(key.of(drafts))
        .group_by(drafts.c.shard, drafts.c.kind)
    )
    return {
        (shard, kind): (int(count), int(fen))
        for shard, kind, count, fen in connection.execute(query)
    }


def save_uses(connection: Connection, key: RunKey, shard: int, some: Mapping[str, Use]) -> None:
    """Keep what meter points used."""
    columns = (*key.row, "shard", "meter_point_id", "body")
    mine = (*key.row.values(), shard)
    rows = [(*mine, name, pack(use)) for name, use in sorted(some.items())]
    insert_rows(connection, uses, columns, rows)


def uses_of(connection: Connection, key: RunKey) -> dict[str, Use]:
    """Return what meter points used, as far as shards kept it."""
    query = select(uses.c.meter_point_id, uses.c.body).where(key.of(uses))
    return {row.meter_point_id: unpack_use(row.body) for row in connection.execute(query)}


def drop_drafts(connection: Connection, key: RunKey, shard: int | None = None) -> None:
    """Forget the drafts of a run, or of a shard, and what meter points used."""
    for table in (drafts, uses):
        mine = key.of(table)
        if shard is not None:
            mine &= table.c.shard == shard
        connection.execute(table.delete().where(mine))


def drop_shards(connection: Connection, key: RunKey) -> None:
    """Forget the shards of a run."""
    connection.execute(run_shards.delete().where(key.of(run_shards)))


def drop_run(connection: Connection, key: RunKey) -> None:
    """Forget a run that posted nothing."""
    connection.execute(bill_runs.delete().where(key.of(bill_runs)))


def save_held(
    connection: Connection,
    project_id: str,
    held: Mapping[str, Sequence[Held]],
    *,
    account_ids: Sequence[str] = (),
) -> None:
    """Remember what could not be billed, by period, in place of what accounts were held for."""
    for period, some in held.items():
        of_period = (exceptions.c.project_id == project_id) & (exceptions.c.period == period)
        if account_ids:
            connection.execute(
                exceptions.delete().where(of_period, exceptions.c.account_id.in_(account_ids))
            )
        rows = {
            each.subject: {
                "project_id": project_id,
                "period": period,
                "subject": each.subject,
                "meter_point_id": each.meter_point_id,
                "account_id": each.account_id,
                "reason": each.reason,
            }
            for each in some
        }
        upsert(connection, exceptions, list(rows.values()))


def count_held(connection: Connection, project_id: str, first: str, last: str) -> int:
    """Return how much is held of the periods first .. last."""
    query = select(func.count()).where(
        exceptions.c.project_id == project_id, exceptions.c.period.between(first, last)
    )
    return int(connection.execute(query).scalar_one())


def drop_held(connection: Connection, project_id: str, period: str) -> None:
    """Forget what was held of a period."""
    connection.execute(
        exceptions.delete().where(
            exceptions.c.project_id == project_id, exceptions.c.period == period
        )
    )


def _shard(row: Row[Any]) -> Shard:
    return Shard(row.shard, tuple(json.loads(row.accounts)), row.first_bill, row.first_credit)


def _shard_row(key: RunKey, shard: int, names: Sequence[str], *, done: str = "") -> dict[str, Any]:
    row = {"shard": shard, "accounts": json.dumps(list(names)), "done": done}
    return key.row | row | {"first_bill": 0, "first_credit": 0}
