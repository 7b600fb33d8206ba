"""What goes to the mirror: of delivered batches, and of the history."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from cloud.ingest import clock_repository as clocks
from cloud.ingest import repository as ingest
from cloud.ingest.dating import boot_of, is_undated, times_of
from cloud.ingest.limits import good_rows
from cloud.mirror import repository
from cloud.mirror.lines import Sample, Series
from cloud.mirror.repository import Channel, ChannelName, Queued
from cloud.telemetry import repository as telemetry
from protocols.delivery import batch
from protocols.delivery.records import DATED, Reading
from protocols.errors import WireError

HOURS_AT_ONCE = 24 * 7
_HOUR_US = 3_600_000_000


def of_batches(connection: Connection, queued: Sequence[Queued]) -> list[Sample]:
    """Return the readings of batches that have a value and a time, at the time that is stored."""
    projects = repository.projects_of(connection)
    made: list[Sample] = []
    for item in queued:
        project = projects.get(item.gateway_id)
        if project is None:
            continue
        try:
            rows, undated = _rows(connection, item)
        except WireError:
            continue  # in quarantine: nothing of it is stored
        rows += _dated(connection, item.gateway_id, undated)
        owners = ingest.owners(connection, {row.device for row in rows})
        series: dict[tuple[str, str, str], Series] = {}
        for row in rows:
            if owners.get(row.device, item.gateway_id) != item.gateway_id:
                continue
            key = (row.device, row.point, row.uom)
            if (of := series.get(key)) is None:
                of = series[key] = Series(project, item.gateway_id, *key)
            if row.count is not None:
                made.append(Sample(of, row.exponent, row.count, row.quality, row.read_at_us))
    return made


def of_history(
    connection: Connection, channel: Channel, start_us: int, end_us: int
) -> Iterator[list[Sample]]:
    """Yield what the history holds of a channel in [start, end), a week at a time."""
    of = Series(
        channel.project_id, channel.gateway_id, channel.device_id, channel.point, channel.uom
    )
    last_hour = -(-end_us // _HOUR_US)
    for hour in range(start_us // _HOUR_US, last_hour, HOURS_AT_ONCE):
        columns = telemetry.columns_between(
            connection, channel.id, hour, min(hour + HOURS_AT_ONCE, last_hour)
        )
        missing = frozenset(columns.missing)
        yield [
            Sample(of, channel.exponent, count, quality, at_us)
            for index, (at_us, count, quality) in enumerate(
                zip(columns.read_at_us, columns.counts, columns.qualities, strict=True)
            )
            if start_us <= at_us < end_us and index not in missing
        ]


def _rows(
    connection: Connection, item: Queued
) -> tuple[list[Reading], list[tuple[bytes, Reading]]]:
    payload = batch.decode(item.payload)
    groups = [(item.batch_id, payload.series)]
    if payload.replaces:
        stored = ingest.stored_for(connection, item.batch_id)
        groups += [
            (part.batch_id, part.series) for part in payload.replaces if part.batch_id in stored
        ]
    rows: list[Reading] = []
    undated: list[tuple[bytes, Reading]] = []
    for origin, series in groups:
        for columns in series:
            for row in good_rows(columns):
                if is_undated(row):
                    undated.append((boot_of(origin), row))
                else:
                    rows.append(row)
    return rows, undated


def _dated(
    connection: Connection, gateway: str, undated: Sequence[tuple[bytes, Reading]]
) -> list[Reading]:
    # nearer fixes may have come since it was dated: the history says at which time it is stored
    if not undated:
        return []
    fixes = clocks.fixes_of(connection, {(gateway, boot) for boot, _ in undated})
    by_channel: dict[ChannelName, list[tuple[set[int], Reading]]] = {}
    for boot, row in undated:
        if row.count is not None and (known := fixes.get((gateway, boot))):
            name = (row.device, row.point, row.uom, row.exponent)
            by_channel.setdefault(name, []).append((times_of(row, known), row))
    ids = repository.channel_ids(connection, gateway)
    made: list[Reading] = []
    for name, rows in by_channel.items():
        if name in ids:
            made += _stored(connection, ids[name], rows)
    return made


def _stored(
    connection: Connection, channel: int, rows: Sequence[tuple[set[int], Reading]]
) -> Iterator[Reading]:
    times = [at_us for of_row, _ in rows for at_us in of_row]
    held = {
        (row.read_at_us, row.count, row.quality)
        for row in telemetry.rows_between(connection, channel, min(times), max(times) + 1)
    }
    for of_row, row in rows:
        quality = int(DATED[row.quality])
        for at_us in of_row:
            if (at_us, row.count, quality) in held:
                yield Reading(
                    row.device, row.point, row.uom, row.exponent, row.count, quality, at_us, 0
                )
