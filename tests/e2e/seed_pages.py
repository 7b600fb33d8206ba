"""A database full of plausible life for looking at pages: the demo estate, two months, alerts.

Run as a script it serves the pages alone: seed_pages.py --folder .demo/pages --serve 8090
"""

import argparse
import hashlib
import json
import math
import random
import struct
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import uvicorn
from fastapi import FastAPI
from seed_commands import Nowhere, ask
from seed_payments import collect
from seed_reads import read_meters
from sqlalchemy import Connection, Engine, insert, select, update

from cloud import auth, problems
from cloud.alerts.tables import alerts
from cloud.billing import runs
from cloud.billing.tables import supplier_invoices
from cloud.commands.service import Commands
from cloud.config import Settings
from cloud.database import migrate, open_engine
from cloud.ingest.tables import batches, envelopes
from cloud.sites.importer import import_project, load_project_file
from cloud.sites.project_file import MeterEntry, ProjectFile
from cloud.sites.tables import gateways, users
from cloud.telemetry import repository
from cloud.web import pages
from protocols.delivery import batch as wire
from protocols.delivery.records import Reading

PROJECT = Path(__file__).parents[2] / "firmware-configs" / "demo" / "qingsong-project.yaml"
ZONE = ZoneInfo("Asia/Shanghai")
HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000
_RECENT_US = 26 * HOUR_US
_SHAPE = [3, 2, 2, 2, 2, 3, 5, 7, 6, 5, 5, 6, 7, 6, 5, 5, 6, 9, 13, 15, 14, 11, 8, 5]
_SILENT = {"e-2-402": 190 * MINUTE_US, "e-2-503": 30 * HOUR_US, "e-1-602": 7 * MINUTE_US}


def seed(engine: Engine, now_us: int, *, months: int = 2) -> list[tuple[str, str, str]]:
    """Fill a migrated database up to `now_us`; return (role, user name, password) of its users."""
    file = load_project_file(PROJECT)
    starts = _months(now_us, months)
    with engine.begin() as connection:
        import_project(connection, file, cutover_on=starts[0])
        people = _add_users(connection, file)
        _add_invoices(connection, file, starts)
        for records in _life(file, starts[0], now_us):
            _store(connection, records, now_us)
        connection.execute(
            update(gateways).values(last_seen_us=now_us - 4_000_000, firmware="0.1.0", backlog=0)
        )
        _add_alerts(connection, now_us)
    for start in starts[:-1]:
        runs.run(engine, file.project.id, f"{start:%Y-%m}", allow_unverified=True)
    with engine.begin() as connection:
        collect(connection, file.project.id, now_us)
        read_meters(connection, file.project.id, now_us)
        ask(connection, file.project.id, now_us)
    return people


def keep_alive(engine: Engine, now_us: int) -> None:
    """Deliver one minute more of each powered meter, as the gateway would."""
    with engine.begin() as connection:
        generator = random.Random(now_us)
        file = load_project_file(PROJECT)
        records = [
            _power(meter, now_us, generator) for meter in file.meters if meter.device not in _SILENT
        ]
        _store(connection, records, now_us)
        connection.execute(update(gateways).values(last_seen_us=now_us))


def serving_app(engine: Engine) -> FastAPI:
    """Return an application that carries the pages and nothing else."""
    app = FastAPI(openapi_url=None)
    app.state.engine = engine
    folder = Path(engine.url.database or ".").parent
    app.state.settings = Settings(allow_unverified_tariffs=True, data_dir=folder)
    app.state.commands = Commands(engine, folder / "command.key", Nowhere())
    problems.install(app)
    pages.install(app)
    return app


def write_access(path: Path, url: str, people: list[tuple[str, str, str]]) -> None:
    """Write the logins as the demo does."""
    named = [{"role": role, "username": name, "password": word} for role, name, word in people]
    path.write_text(json.dumps({"url": url, "users": named}, ensure_ascii=False), encoding="utf-8")


def _months(now_us: int, months: int) -> list[date]:
    first = datetime.fromtimestamp(now_us / 1e6, ZONE).date().replace(day=1)
    starts = [first]
    for _ in range(months):
        starts.insert(0, (starts[0] - timedelta(days=1)).replace(day=1))
    return starts


def _add_users(connection: Connection, file: ProjectFile) -> list[tuple[str, str, str]]:
    # one hash for all: argon2 is slow on purpose
    password = auth.generate_password()
    hashed = auth.hash_password(password)
    for entry in file.users:
        connection.execute(
            insert(users).values(
                project_id=file.project.id,
                username=entry.username,
                name=entry.name,
                role=entry.role,
                premise_id=entry.premise,
                password_hash=hashed,
            )
        )
    return [(entry.role, entry.username, password) for entry in file.users]


def _add_invoices(connection: Connection, file: ProjectFile, starts: list[date]) -> None:
    held = set(
        connection.execute(select(supplier_invoices.c.meter_point_id, supplier_invoices.c.period))
    )
    for start in starts:
        for item in file.invoices:
            period = f"{start:%Y-%m}"
            if (item.master, period) not in {tuple(row) for row in held}:
                connection.execute(
                    insert(supplier_invoices).values(
                        meter_point_id=item.master,
                        period=period,
                        number=f"{item.number}-{period}",
                        quantity=item.quantity,
                        amount=item.amount,
                    )
                )


def _life(file: ProjectFile, start: date, now_us: int) -> Iterator[list[Reading]]:
    # a batch a day: hourly registers, and five-minute powers of the last day
    generator = random.Random(20250901)
    begin = int(datetime(start.year, start.month, start.day, tzinfo=ZONE).timestamp()) * 1_000_000
    totals = {meter.id: float(meter.start_count) + 9000 for meter in file.meters}
    scale = {meter.id: generator.uniform(0.5, 1.6) for meter in file.meters}
    day: list[Reading] = []
    for at_us in range(begin, now_us, HOUR_US):
        hour = datetime.fromtimestamp(at_us / 1e6, ZONE).hour
        behind: dict[str, float] = {}
        for meter in sorted(file.meters, key=lambda item: item.role == "master"):
            stamp = at_us + generator.randrange(2_000_000, 20_000_000)
            silent = now_us - at_us < _SILENT.get(meter.device, 0)
            # the night of a power cut: 02:00 to 05:00 three days ago in building 2
            cut = meter.building == "b2" and 70 < (now_us - at_us) / HOUR_US < 74
            if not silent and not cut and stamp < now_us:
                day.append(_register(meter, int(totals[meter.id]), stamp))
            used = _hour_use(meter, hour, scale[meter.id], generator, behind)
            if meter.parent:
                behind[meter.parent] = behind.get(meter.parent, 0.0) + used
            totals[meter.id] += used / 10**meter.exponent / float(meter.multiplier)
        if hour == 23:
            yield day
            day = []
    yield day
    for at_us in range(now_us - _RECENT_US, now_us, 5 * MINUTE_US):
        stamp = at_us // MINUTE_US * MINUTE_US + 7_000_000
        yield [
            _power(meter, stamp, generator)
            for meter in file.meters
            if now_us - stamp >= _SILENT.get(meter.device, 0)
        ]
    yield [
        _power(meter, now_us - generator.randrange(2_000_000, 50_000_000), generator)
        for meter in file.meters
        if meter.device not in _SILENT
    ]


def _hour_use(
    meter: MeterEntry, hour: int, scale: float, generator: random.Random, behind: dict[str, float]
) -> float:
    if meter.role == "master":
        return behind.get(meter.id, 0.0) * (1.021 if meter.device == "m-2" else 1.004)
    shape = _SHAPE[hour] / 6.3
    if meter.service == "water":
        leak = 0.03 if meter.device == "w-1-303" else 0.0
        return leak + (0 if hour in {2, 3, 4} else 0.012 * shape * scale * generator.uniform(0, 2))
    if meter.role == "public":
        return 1.4 if meter.device == "e-pump" else (0.9 if hour >= 18 or hour < 6 else 0.25)
    if meter.building == "bs":
        return 2.6 * scale * (1.4 if 9 <= hour <= 21 else 0.35) * generator.uniform(0.8, 1.2)
    return 0.34 * shape * scale * generator.uniform(0.6, 1.4)


def _register(meter: MeterEntry, count: int, at_us: int) -> Reading:
    value = count * 10.0**meter.exponent
    words = struct.pack(">I", count)
    if not meter.profile.startswith("acrel"):
        words = struct.pack("<f" if meter.service == "water" else ">f", value)
    uom = "m3" if meter.service == "water" else "kWh"
    return Reading(meter.device, meter.point, uom, meter.exponent, count, 0, at_us, at_us, words)


def _power(meter: MeterEntry, at_us: int, generator: random.Random) -> Reading:
    local = datetime.fromtimestamp(at_us / 1e6, ZONE)
    phase = local.hour + local.minute / 60
    shape = _SHAPE[local.hour] / 6.3 * (1 + 0.08 * math.sin(phase * 7))
    if meter.service == "water":
        flow = generator.choice([0, 0, 0, 120, 340, 560]) + (31 if meter.device == "w-1-303" else 0)
        return Reading(meter.device, "flow_rate", "m3/h", -3, flow, 0, at_us, at_us)
    watts = 340 * shape
    if meter.role == "master":
        watts = (9000 if meter.device == "m-s" else 7600) * shape
    elif meter.device == "e-pump":
        watts = 9420
    elif meter.building == "bs":
        watts = 2600 * shape
    return Reading(
        meter.device,
        "active_power",
        "W",
        0,
        int(watts * generator.uniform(0.93, 1.07)),
        0,
        at_us,
        at_us,
    )


def _store(connection: Connection, records: list[Reading], now_us: int) -> None:
    if not records:
        return
    seed_bytes = hashlib.sha256(repr(records[0]).encode()).digest()
    payload = wire.encode(records, seed_bytes)
    digest = hashlib.sha256(payload).digest()
    seq = connection.execute(select(envelopes.c.seq).order_by(envelopes.c.seq.desc())).scalar() or 0
    place = {"gateway_id": "gw-qingsong-1", "lane": 0}
    connection.execute(
        insert(batches).values(
            **place,
            batch_id=digest[:16],
            payload_hash=digest,
            payload=payload,
            records=len(records),
            received_us=now_us,
        )
    )
    connection.execute(
        insert(envelopes).values(
            **place,
            epoch=(7).to_bytes(8, "big"),
            seq=seq + 1,
            batch_id=digest[:16],
            prev_hash=bytes(32),
            root=digest,
            hash=hashlib.sha256(digest).digest(),
            received_us=now_us,
        )
    )
    repository.store(connection, [("gw-qingsong-1", digest[:16], records)])


def _add_alerts(connection: Connection, now_us: int) -> None:
    def add(
        kind: str,
        severity: str,
        device: str | None,
        minutes: int,
        detail: dict[str, object],
        *,
        rule: str | None = None,
        cleared: int | None = None,
        seen: str | None = None,
    ) -> None:
        raised = now_us - minutes * MINUTE_US
        connection.execute(
            insert(alerts).values(
                project_id="qingsong",
                cause=f"{kind}:{device}:{minutes}",
                kind=kind,
                severity=severity,
                rule_id=rule,
                gateway_id="gw-qingsong-1",
                device_id=device,
                detail=json.dumps(detail),
                raised_us=raised,
                acknowledged_us=raised + 9 * MINUTE_US if seen else None,
                acknowledged_by=seen,
                cleared_us=None if cleared is None else raised + cleared * MINUTE_US,
            )
        )

    power = {"uom": "W", "point": "active_power"}
    night = f"{datetime.fromtimestamp(now_us / 1e6, UTC):%Y-%m-%d}"
    add(
        "threshold",
        "critical",
        "e-pump",
        34,
        {"value": "9420", "limit": "9000", **power},
        rule="pump-high",
    )
    add("device_offline", "warning", "e-2-402", 187, {"since_us": now_us - 190 * MINUTE_US})
    add(
        "night_flow",
        "warning",
        "w-1-303",
        460,
        {"flow": "0.031", "limit": "0.010", "night": night},
        rule="leak",
        seen="wang",
    )
    add(
        "threshold",
        "warning",
        "m-s",
        12,
        {"value": "31240", "limit": "30000", **power},
        rule="load-high",
    )
    add(
        "device_offline",
        "warning",
        "e-2-503",
        1790,
        {"since_us": now_us - 30 * HOUR_US},
        seen="wang",
    )
    add(
        "gateway_offline",
        "critical",
        None,
        4300,
        {"since_us": now_us - 4305 * MINUTE_US},
        cleared=212,
        seen="guard",
    )
    for index in range(58):
        detail = {"value": f"{30100 + index * 13}", "limit": "30000", **power}
        add(
            "threshold",
            "warning",
            "m-1",
            6000 + index * 1440,
            detail,
            rule="load-high",
            cleared=55,
            seen="guard",
        )


def _live(engine: Engine) -> None:
    while True:
        keep_alive(engine, time.time_ns() // 1000)
        time.sleep(5)


def main() -> None:
    """Seed a folder and, if asked, serve its pages on loopback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--serve", type=int, default=0)
    wanted = parser.parse_args()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    database = wanted.folder / "pages.db"
    fresh = not database.exists()
    engine = open_engine(f"sqlite:///{database}")
    migrate(engine)
    if fresh:
        people = seed(engine, time.time_ns() // 1000)
        write_access(wanted.folder / "access.json", f"http://127.0.0.1:{wanted.serve}", people)
    if wanted.serve:
        threading.Thread(target=_live, args=(engine,), daemon=True).start()
        uvicorn.run(serving_app(engine), host="127.0.0.1", port=wanted.serve, log_level="warning")


if __name__ == "__main__":
    main()
