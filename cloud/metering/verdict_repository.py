"""All SQL of verdicts on reads, of how far reads are screened, and of their edits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, delete, func, select

from cloud.ingest.tables import envelopes
from cloud.metering.pace import Pace
from cloud.metering.reading_tables import read_edits, read_verdicts, screenings
from cloud.metering.screening import Rule, Standing

_SLICE = 500


@dataclass(frozen=True)
class State:
    """Where the screening of a meter's reads stands at the end of a week."""

    standing: Standing
    pace: Pace


@dataclass(frozen=True)
class WeekScreened:
    """A week that was screened: how many rows there were, and where screening stood after it."""

    week: int
    rows: int
    packed: str

    @classmethod
    def of(cls, week: int, rows: int, state: State) -> "WeekScreened":
        """Return a week with where screening stands after it."""
        return cls(week, rows, msgspec.json.encode(state).decode())

    @property
    def state(self) -> State:
        """Read where screening stood: most weeks are never asked."""
        return msgspec.json.decode(self.packed, type=State)


@dataclass(frozen=True)
class Finding:
    """A verdict as it is stored: of one read, or of `reads` in a row up to until_us."""

    rule: Rule
    kept: bool
    read_at_us: int
    until_us: int
    reads: int
    count: int | None
    source: str
    against_at_us: int | None = None
    against_count: int | None = None
    parameters: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Edit:
    """A version of a read: accept, reject, replace (by count), or raw again."""

    id: int
    read_at_us: int
    source: str
    version: int
    action: str
    count: int | None
    by: str
    why: str
    edited_us: int


def weeks_screened(
    connection: Connection, meter_point_ids: Sequence[str], *, weeks: int
) -> dict[tuple[str, int], list[WeekScreened]]:
    """Return the newest screened weeks by (meter point, installed_at_us), oldest first."""
    place = func.row_number().over(
        partition_by=(screenings.c.meter_point_id, screenings.c.installed_at_us),
        order_by=screenings.c.week.desc(),
    )
    numbered = (
        select(screenings, place.label("place"))
        .where(screenings.c.meter_point_id.in_(meter_point_ids))
        .subquery()
    )
    query = select(numbered).where(numbered.c.place <= weeks).order_by(numbered.c.week)
    found: dict[tuple[str, int], list[WeekScreened]] = {}
    for row in connection.execute(query):
        made = WeekScreened(row.week, row.rows, row.state)
        found.setdefault((row.meter_point_id, row.installed_at_us), []).append(made)
    return found


def week_before(
    connection: Connection, meter_point_id: str, installed_at_us: int, week: int
) -> WeekScreened | None:
    """Return the last screened week of an install before a week, None if there is none."""
    query = (
        select(screenings)
        .where(
            screenings.c.meter_point_id == meter_point_id,
            screenings.c.installed_at_us == installed_at_us,
            screenings.c.week < week,
        )
        .order_by(screenings.c.week.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else WeekScreened(row.week, row.rows, row.state)


def save_weeks(
    connection: Connection,
    key: tuple[str, int],
    done: Sequence[WeekScreened],
    found: Iterable[tuple[int, Finding]],
    *,
    judged_us: int,
    held: bool,
) -> None:
    """Store weeks of an install (meter point, installed_at_us) with their verdicts by week.

    `held` says that verdicts of these weeks may be there already; the new ones replace them.
    """
    names = {"meter_point_id": key[0], "installed_at_us": key[1]}
    for table in (read_verdicts, screenings) if held else ():
        connection.execute(
            delete(table).where(
                table.c.meter_point_id == key[0],
                table.c.installed_at_us == key[1],
                table.c.week.in_([item.week for item in done]),
            )
        )
    rows = [
        names
        | {
            "week": item.week,
            "rows": item.rows,
            "state": item.packed,
        }
        for item in done
    ]
    connection.execute(screenings.insert(), rows)
    verdicts = [
        names
        | {
            "week": week,
            "rule": finding.rule.value,
            "kept": int(finding.kept),
            "read_at_us": finding.read_at_us,
            "until_us": finding.until_us,
            "reads": finding.reads,
            "count": finding.count,
            "source": finding.source,
            "against_at_us": finding.against_at_us,
            "against_count": finding.against_count,
            "parameters": msgspec.json.encode(dict(finding.parameters)).decode(),
            "judged_us": judged_us,
        }
        for week, finding in found
    ]
    if verdicts:
        connection.execute(read_verdicts.insert(), verdicts)


def forget_from(connection: Connection, meter_point_id: str, week: int) -> None:
    """Forget how a meter point's reads were screened from a week on: they will be again."""
    for table in (read_verdicts, screenings):
        connection.execute(
            delete(table).where(table.c.meter_point_id == meter_point_id, table.c.week >= week)
        )


def findings_of(
    connection: Connection,
    meter_point_id: str,
    *,
    rules: Sequence[Rule] | None = None,
    since_us: int | None = None,
) -> list[Finding]:
    """Return the verdicts on a meter point's reads, oldest first, those of some rules only."""
    found = findings_by_point(connection, [meter_point_id], rules=rules, since_us=since_us)
    return found[meter_point_id]


def findings_by_point(
    connection: Connection,
    meter_point_ids: Sequence[str],
    *,
    rules: Sequence[Rule] | None = None,
    since_us: int | None = None,
) -> dict[str, list[Finding]]:
    """Return the verdicts on meter points' reads, oldest first, those of some rules only."""
    query = select(read_verdicts).where(read_verdicts.c.meter_point_id.in_(meter_point_ids))
    if rules is not None:
        query = query.where(read_verdicts.c.rule.in_([rule.value for rule in rules]))
    if since_us is not None:
        query = query.where(read_verdicts.c.until_us >= since_us)
    order = (read_verdicts.c.read_at_us, read_verdicts.c.rule, read_verdicts.c.id)
    found: dict[str, list[Finding]] = {name: [] for name in meter_point_ids}
    for row in connection.execute(query.order_by(*order)).mappings():
        finding = Finding(
            Rule(row["rule"]),
            bool(row["kept"]),
            row["read_at_us"],
            row["until_us"],
            row["reads"],
            row["count"],
            row["source"],
            row["against_at_us"],
            row["against_count"],
            tuple(sorted(msgspec.json.decode(row["parameters"], type=dict[str, int]).items())),
        )
        found[row["meter_point_id"]].append(finding)
    return found


def counts_by_rule(connection: Connection, meter_point_id: str) -> dict[Rule, int]:
    """Return how many reads each rule judged."""
    query = (
        select(read_verdicts.c.rule, func.sum(read_verdicts.c.reads))
        .where(read_verdicts.c.meter_point_id == meter_point_id)
        .group_by(read_verdicts.c.rule)
    )
    return {Rule(rule): int(reads) for rule, reads in connection.execute(query)}


def edits_of(connection: Connection, meter_point_ids: Sequence[str]) -> dict[str, list[Edit]]:
    """Return every version that people made of meter points' reads, oldest first."""
    query = (
        select(read_edits)
        .where(read_edits.c.meter_point_id.in_(meter_point_ids))
        .order_by(read_edits.c.id)
    )
    found: dict[str, list[Edit]] = {name: [] for name in meter_point_ids}
    for row in connection.execute(query).mappings():
        edit = Edit(
            row["id"],
            row["read_at_us"],
            row["source"],
            row["version"],
            row["action"],
            row["count"],
            row["edited_by"],
            row["why"],
            row["edited_us"],
        )
        found[row["meter_point_id"]].append(edit)
    return found


def add_edit(connection: Connection, meter_point_id: str, edit: Edit) -> int:
    """Put a version of a read on record; return its id."""
    values = {
        "meter_point_id": meter_point_id,
        "read_at_us": edit.read_at_us,
        "source": edit.source,
        "version": edit.version,
        "action": edit.action,
        "count": edit.count,
        "edited_by": edit.by,
        "why": edit.why,
        "edited_us": edit.edited_us,
    }
    query = read_edits.insert().values(**values).returning(read_edits.c.id)
    return int(connection.execute(query).scalar_one())


def received_us(connection: Connection, batch_ids: Iterable[bytes]) -> dict[bytes, int]:
    """Return when batches first came in, by batch id."""
    wanted = sorted(batch_ids)
    found: dict[bytes, int] = {}
    for start in range(0, len(wanted), _SLICE):
        query = (
            select(envelopes.c.batch_id, func.min(envelopes.c.received_us))
            .where(envelopes.c.batch_id.in_(wanted[start : start + _SLICE]))
            .group_by(envelopes.c.batch_id)
        )
        found.update((batch, at_us) for batch, at_us in connection.execute(query))
    return found
