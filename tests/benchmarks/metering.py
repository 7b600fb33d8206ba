"""A month of 1,000 meter points read every quarter of an hour: verdicts, consumption, hours."""

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, func, select

from cloud.database import migrate, open_engine
from cloud.metering import service, verification
from cloud.metering.reading_tables import read_verdicts
from cloud.metering.tables import installs, meter_points
from cloud.sites.tables import buildings, devices, gateways, projects
from cloud.telemetry import chunk
from cloud.telemetry import repository as telemetry
from cloud.telemetry.chunk import HOUR_US, Row
from cloud.telemetry.repository import Series
from cloud.telemetry.tables import chunks, latest
from tests.benchmarks.measure import Figure, measured

POINTS = int(os.environ.get("METER_POINTS", "1000"))
QUARTER_US = HOUR_US // 4
# of a hundred meters, this many show a false zero each week
DIRTY_PERCENT = 5
ZONE = ZoneInfo("Asia/Shanghai")
MOST_S = 10


def run() -> list[Figure]:
    """Measure on SQLite, in a temporary folder, on one core."""
    span = service.month("2026-10", ZONE)
    with tempfile.TemporaryDirectory(prefix="hutong-bench-metering-") as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'hutong.db'}")
        migrate(engine)
        names = _fill(engine, span)
        rows = POINTS * ((span.end_us - span.start_us) // QUARTER_US)
        with engine.begin() as connection:
            with measured("metering", "verdicts of a month", rows) as screening:
                verification.screen_points(connection, names)
            found = connection.scalar(select(func.count()).select_from(read_verdicts))
        screening.more = f"{POINTS} points, {found} verdicts, {_seconds(screening):.2f} s"
        with engine.begin() as connection, measured("metering", "consumption", rows) as using:
            used = service.consumptions(connection, names, span)
        whole = _seconds(screening) + _seconds(using)
        using.more = f"{len(used)} points; with verdicts {whole:.2f} s of {MOST_S} s allowed"
        with engine.begin() as connection, measured("metering", "one more read", POINTS) as again:
            _one_more(connection, names, span)
            verification.screen_points(connection, names)
        again.more = f"stored and screened: {_seconds(again):.2f} s"
        some = names[: max(POINTS // 10, 1)]
        with engine.begin() as connection, measured("metering", "hours", len(some)) as by_hour:
            hours = sum(len(service.hourly(connection, name, span)) for name in some)
        by_hour.more = f"{hours} hours of {len(some)} points"
        engine.dispose()
    return [screening, using, again, by_hour]


def _seconds(figure: Figure) -> float:
    return figure.cpu_us * figure.items / 1e6


def _fill(engine: Engine, span: service.Span) -> list[str]:
    names = [f"mp-{number:04}" for number in range(POINTS)]
    with engine.begin() as connection:
        connection.execute(
            projects.insert().values(id="p", name="p", name_en="p", time_zone=str(ZONE))
        )
        connection.execute(gateways.insert().values(id="g", project_id="p", name="g"))
        connection.execute(
            buildings.insert().values(id="b", project_id="p", name="b", name_en="b", position=0)
        )
        connection.execute(devices.insert(), [_device(name) for name in names])
        connection.execute(meter_points.insert(), [_point(name) for name in names])
        opened_us = span.start_us - 24 * HOUR_US
        connection.execute(installs.insert(), [_install(name, opened_us) for name in names])
        wanted = [Series("g", name, "energy_import", "kWh", -2) for name in names]
        ids = telemetry.channel_ids(connection, wanted)
        for number, series in enumerate(wanted):
            made = list(_chunks(ids[series], number, span))
            connection.execute(chunks.insert(), made)
            connection.execute(
                latest.insert().values(
                    channel_id=ids[series], read_at_us=span.end_us, count=0, quality=0
                )
            )
    return names


def _chunks(channel: int, number: int, span: service.Span) -> Iterator[dict[str, object]]:
    draw, count = random.Random(number), 0
    dirty = number % 100 < DIRTY_PERCENT
    hour: list[Row] = []
    for at_us in range(span.start_us - HOUR_US, span.end_us + HOUR_US, QUARTER_US):
        count += draw.randrange(12)
        odd = dirty and at_us // QUARTER_US % 672 == number % 672
        hour.append(Row(at_us + 2_000_000, 0 if odd else count, 0, at_us.to_bytes(16, "big")))
        if (at_us + QUARTER_US) % HOUR_US == 0:
            made = chunk.encode(hour)
            yield {"channel_id": channel, "hour": chunk.hour_of(at_us), **made._asdict()}
            hour = []


def _one_more(connection: Connection, names: list[str], span: service.Span) -> None:
    at_us = span.end_us + HOUR_US
    series = [Series("g", name, "energy_import", "kWh", -2) for name in names]
    ids = telemetry.channel_ids(connection, series)
    row = chunk.encode([Row(at_us, 17_000, 0, b"1" * 16)])
    connection.execute(
        chunks.insert(),
        [
            {"channel_id": channel, "hour": chunk.hour_of(at_us), **row._asdict()}
            for channel in ids.values()
        ],
    )


def _device(name: str) -> dict[str, object]:
    return {
        "id": name,
        "project_id": "p",
        "gateway_id": "g",
        "name": name,
        "name_en": name,
        "medium": "electricity",
        "profile": "eastron-sdm120",
        "period_s": 900,
    }


def _point(name: str) -> dict[str, object]:
    return {
        "id": name,
        "project_id": "p",
        "building_id": "b",
        "name": name,
        "service": "electricity",
        "uom": "kWh",
        "role": "sub",
        "supply": "collected",
    }


def _install(name: str, installed_at_us: int) -> dict[str, object]:
    return {
        "meter_point_id": name,
        "meter_id": name,
        "device_id": name,
        "point": "energy_import",
        "exponent": -2,
        "multiplier": "1",
        "capacity": 100_000_000,
        "max_per_hour": 2_000,
        "installed_at_us": installed_at_us,
        "start_count": 0,
    }
