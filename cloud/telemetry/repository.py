"""All SQL of readings: store, latest, range, and the raw words behind one of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from cloud.database import insert_new, upsert
from cloud.errors import NotFoundError
from cloud.ingest import clock_repository as clocks
from cloud.ingest.clocks import Part
from cloud.ingest.dating import boot_of, times_of
from cloud.ingest.tables import batches
from cloud.sites.tables import channels
from cloud.telemetry import chunk
from cloud.telemetry.chunk import Row
from cloud.telemetry.tables import chunks, latest
from protocols.delivery import batch as wire
from protocols.delivery.records import Reading

_SLICE = 500
_HOURS_AT_ONCE = 24


class Series(NamedTuple):
    """What a channel is called on the wire."""

    gateway_id: str
    device_id: str
    point: str
    uom: str
    exponent: int


@dataclass(frozen=True)
class Latest:
    """The newest reading of a channel."""

    channel_id: int
    device_id: str
    point: str
    uom: str
    exponent: int
    read_at_us: int
    count: int | None
    quality: int


@dataclass(frozen=True)
class HourStats:
    """One hour of a channel: counts of its good rows."""

    hour: int
    first: int | None
    last: int | None
    min: int | None
    max: int | None


@dataclass(frozen=True)
class SealedReading:
    """A reading as it was sealed, and the clock quality of its batch."""

    reading: Reading
    clock_quality: wire.ClockQuality


def channel_ids(connection: Connection, wanted: Iterable[Series]) -> dict[Series, int]:
    """Return the ids of channels, making those that are new."""
    missing = set(wanted)
    gateways = {series.gateway_id for series in missing}
    found: dict[Series, int] = {}
    for attempt in range(2):
        rows = connection.execute(select(channels).where(channels.c.gateway_id.in_(gateways)))
        for row in rows:
            series = Series(row.gateway_id, row.device_id, row.point, row.uom, row.exponent)
            if series in missing:
                found[series] = row.id
        missing -= found.keys()
        if not missing or attempt:
            break
        insert_new(connection, channels, [series._asdict() for series in sorted(missing)])
    return found


def store(connection: Connection, arrived: Sequence[tuple[str, bytes, Sequence[Reading]]]) -> None:
    """Store the readings of batches (gateway, batch id, readings): history and latest."""
    by_series: dict[Series, list[Row]] = {}
    for gateway, batch_id, readings in arrived:
        for reading in readings:
            series = Series(gateway, reading.device, reading.point, reading.uom, reading.exponent)
            by_series.setdefault(series, []).append(
                Row(reading.read_at_us, reading.count, reading.quality, batch_id)
            )
    if not by_series:
        return
    ids = channel_ids(connection, by_series)
    newest: list[dict[str, object]] = []
    by_hour: dict[tuple[int, int], list[Row]] = {}
    for series, rows in by_series.items():
        channel = ids[series]
        last = max(rows, key=lambda row: row.read_at_us)
        newest.append(
            {
                "channel_id": channel,
                "read_at_us": last.read_at_us,
                "count": last.count,
                "quality": last.quality,
            }
        )
        for row in rows:
            by_hour.setdefault((channel, chunk.hour_of(row.read_at_us)), []).append(row)
    newest.sort(key=lambda row: str(row["channel_id"]))
    upsert(connection, latest, newest, newer="read_at_us")
    _merge_chunks(connection, by_hour)


def not_stored(connection: Connection, part: Part) -> list[Reading]:
    """Return those readings of a part of a batch that the history does not hold."""
    fixes = clocks.fixes_of(connection, [part.boot]).get(part.boot, [])
    times = [times_of(row, fixes) for row in part.rows]
    known = [at_us for of_row in times for at_us in of_row]
    if not known:
        return list(part.rows)
    query = select(channels).where(
        channels.c.gateway_id == part.gateway,
        channels.c.device_id.in_({row.device for row in part.rows}),
    )
    held = {
        (channel.device_id, channel.point, channel.uom, channel.exponent, row.read_at_us, row.count)
        for channel in connection.execute(query).all()
        for row in rows_between(connection, channel.id, min(known), max(known) + 1)
    }
    return [
        row
        for row, of_row in zip(part.rows, times, strict=True)
        if not any(
            (row.device, row.point, row.uom, row.exponent, at_us, row.count) in held
            for at_us in of_row
        )
    ]


def latest_of(connection: Connection, device_ids: Sequence[str]) -> list[Latest]:
    """Return the newest reading of every channel of some devices."""
    query = (
        select(channels, latest)
        .join(latest, latest.c.channel_id == channels.c.id)
        .where(channels.c.device_id.in_(device_ids))
        .order_by(channels.c.device_id, channels.c.id)
    )
    return [
        Latest(
            row["channel_id"],
            row["device_id"],
            row["point"],
            row["uom"],
            row["exponent"],
            row["read_at_us"],
            row["count"],
            row["quality"],
        )
        for row in connection.execute(query).mappings()
    ]


def rows_between(connection: Connection, channel: int, start_us: int, end_us: int) -> list[Row]:
    """Return a channel's rows in [start, end), in order of time."""
    query = (
        select(chunks.c.data)
        .where(
            chunks.c.channel_id == channel,
            chunks.c.hour >= chunk.hour_of(start_us),
            chunks.c.hour <= chunk.hour_of(end_us),
        )
        .order_by(chunks.c.hour)
    )
    return [
        row
        for data in connection.scalars(query)
        for row in chunk.decode(data)
        if start_us <= row.read_at_us < end_us
    ]


def columns_between(
    connection: Connection, channel: int, start_hour: int, end_hour: int
) -> chunk.Columns:
    """Return a channel's rows of the hours [start_hour, end_hour) as columns, in order of time."""
    query = (
        select(chunks.c.data)
        .where(
            chunks.c.channel_id == channel,
            chunks.c.hour >= start_hour,
            chunks.c.hour < end_hour,
        )
        .order_by(chunks.c.hour)
    )
    return chunk.decode_columns(connection.scalars(query).all())


def rows_by_block(
    connection: Connection, channel_ids: Sequence[int], start_hour: int, *, hours: int
) -> dict[int, dict[int, int]]:
    """Return how many rows each block of so many hours holds, by channel, from an hour on."""
    block = chunks.c.hour // hours
    query = (
        select(chunks.c.channel_id, block.label("block"), func.sum(chunks.c.rows))
        .where(chunks.c.channel_id.in_(channel_ids), chunks.c.hour >= start_hour)
        .group_by(chunks.c.channel_id, block)
    )
    found: dict[int, dict[int, int]] = {}
    for channel, name, rows in connection.execute(query):
        found.setdefault(channel, {})[int(name)] = int(rows)
    return found


def hours_between(
    connection: Connection, channel: int, start_us: int, end_us: int
) -> list[HourStats]:
    """Return the summary of each hour of a channel that begins in [start, end)."""
    query = (
        select(chunks.c.hour, chunks.c.first, chunks.c.last, chunks.c.min, chunks.c.max)
        .where(
            chunks.c.channel_id == channel,
            chunks.c.hour >= chunk.hour_of(start_us),
            chunks.c.hour < chunk.hour_of(end_us + chunk.HOUR_US - 1),
        )
        .order_by(chunks.c.hour)
    )
    return [HourStats(*row) for row in connection.execute(query)]


def nearest_before(connection: Connection, channel: int, at_us: int) -> Row | None:
    """Return the last row with a value before an instant."""
    return _nearest(connection, channel, at_us, before=True)


def nearest_after(connection: Connection, channel: int, at_us: int) -> Row | None:
    """Return the first row with a value at or after an instant."""
    return _nearest(connection, channel, at_us, before=False)


def raw_reading(connection: Connection, channel: int, row: Row) -> Reading:
    """Return a stored row as its gateway sealed it, raw register words included."""
    return sealed_reading(connection, channel, row).reading


def sealed_reading(connection: Connection, channel: int, row: Row) -> SealedReading:
    """Return a stored row as its gateway sealed it, with what is known of its batch's clock."""
    series = connection.execute(select(channels).where(channels.c.id == channel)).one()
    payload = connection.scalar(select(batches.c.payload).where(batches.c.batch_id == row.batch_id))
    if payload is None:
        message = f"batch {row.batch_id.hex()} is no longer held"
        raise NotFoundError(message)
    decoded = wire.decode(payload)
    groups = [(row.batch_id, decoded.series)]
    groups += [(item.batch_id, item.series) for item in decoded.replaces]
    boots = [(series.gateway_id, boot_of(origin)) for origin, _ in groups]
    fixes = clocks.fixes_of(connection, boots)
    for boot, (_, held) in zip(boots, groups, strict=True):
        for columns in held:
            if (columns.device, columns.point) != (series.device_id, series.point):
                continue
            for reading in wire.readings(columns):
                if reading.count == row.count and row.read_at_us in times_of(
                    reading, fixes.get(boot, ())
                ):
                    return SealedReading(reading, wire.clock_quality(decoded))
    message = f"batch {row.batch_id.hex()} holds no reading of {series.device_id} then"
    raise NotFoundError(message)


def _nearest(connection: Connection, channel: int, at_us: int, *, before: bool) -> Row | None:
    hour = chunk.hour_of(at_us)
    order = chunks.c.hour.desc() if before else chunks.c.hour
    while True:
        side = chunks.c.hour <= hour if before else chunks.c.hour >= hour
        found = connection.execute(
            select(chunks.c.hour, chunks.c.data)
            .where(chunks.c.channel_id == channel, side)
            .order_by(order)
            .limit(_HOURS_AT_ONCE)
        ).all()
        for _, data in found:
            rows = [
                row
                for row in chunk.decode(data)
                if row.count is not None and (row.read_at_us < at_us) == before
            ]
            if rows:
                return rows[-1] if before else rows[0]
        if len(found) < _HOURS_AT_ONCE:
            return None
        hour = found[-1].hour + (-1 if before else 1)


def _merge_chunks(connection: Connection, by_hour: Mapping[tuple[int, int], list[Row]]) -> None:
    held: dict[tuple[int, int], bytes] = {}
    wanted = sorted({channel for channel, _ in by_hour})
    low = min(hour for _, hour in by_hour)
    high = max(hour for _, hour in by_hour)
    for start in range(0, len(wanted), _SLICE):
        query = select(chunks.c.channel_id, chunks.c.hour, chunks.c.data).where(
            chunks.c.channel_id.in_(wanted[start : start + _SLICE]),
            chunks.c.hour.between(low, high),
        )
        for channel, hour, data in connection.execute(query):
            if (channel, hour) in by_hour:
                held[channel, hour] = data
    rows: list[dict[str, object]] = []
    for key in sorted(by_hour):
        before = chunk.decode(held[key]) if key in held else []
        made = chunk.encode(chunk.merge(before, by_hour[key]))
        rows.append({"channel_id": key[0], "hour": key[1], **made._asdict()})
    upsert(connection, chunks, rows)
