"""A small site in a migrated SQLite file, and clients that are logged in by role."""

import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx import Client
from sqlalchemy import Engine, insert

from cloud import auth, problems
from cloud.alerts.tables import alerts
from cloud.billing import bill_tables, run_tables
from cloud.config import Settings
from cloud.database import migrate, open_engine
from cloud.ledger.repository import open_accounts
from cloud.metering.tables import installs, meter_points
from cloud.sites import tables as sites
from cloud.telemetry import repository
from cloud.web import pages
from protocols.delivery.records import Reading

with warnings.catch_warnings():
    # it would rather have another client library than the one that is locked
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PASSWORD = "correct horse battery"
ROLES = ("manager", "maintenance", "clerk", "guard", "integrator", "resident")
HOSTILE = '<script>alert("x")</script>'
PERIOD = "2026-10"
HOUR_US = 3_600_000_000

LogIn = Callable[[str], Client]


@pytest.fixture(scope="session")
def template_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("site") / "site.db"
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine)
    _fill(engine)
    # the last connection to close brings the log into the file
    engine.dispose()
    return path


@pytest.fixture
def engine(template_file: Path, tmp_path: Path) -> Iterator[Engine]:
    path = tmp_path / "site.db"
    shutil.copy(template_file, path)
    engine = open_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    app = FastAPI()
    app.state.engine = engine
    app.state.settings = Settings(allow_unverified_tariffs=True)
    problems.install(app)
    pages.install(app)
    return app


@pytest.fixture
def stranger(app: FastAPI) -> Iterator[Client]:
    with TestClient(app, follow_redirects=False) as client:
        yield client


@pytest.fixture
def log_in(app: FastAPI, engine: Engine) -> Iterator[LogIn]:
    clients: list[Client] = []

    def as_role(role: str) -> Client:
        client = TestClient(app, follow_redirects=False)
        token = auth.log_in(engine, role, PASSWORD)
        client.cookies.set("hutong_session", token)
        clients.append(client)
        return client

    yield as_role
    for client in clients:
        client.close()


def _fill(engine: Engine) -> None:
    now_us = time.time_ns() // 1000
    with engine.begin() as connection:

        def add(table: object, *rows: dict[str, object]) -> None:
            connection.execute(insert(table), list(rows))  # type: ignore[call-overload]  # any table

        add(
            sites.projects,
            {"id": "p", "name": "青松花园", "name_en": "Garden", "time_zone": "Asia/Shanghai"},
            {"id": "q", "name": "别处", "name_en": "Elsewhere", "time_zone": "Asia/Shanghai"},
        )
        add(
            sites.buildings,
            {"id": "b1", "project_id": "p", "name": "1号楼", "name_en": "One", "position": 0},
            {"id": "b2", "project_id": "p", "name": "2号楼", "name_en": "Two", "position": 1},
            {"id": "x1", "project_id": "q", "name": "别楼", "name_en": "Other", "position": 0},
        )
        add(
            sites.gateways,
            {"id": "g", "project_id": "p", "name": "网关", "last_seen_us": now_us, "backlog": 0},
        )
        add(sites.premises, *(_premise(n) for n in range(60)))
        add(sites.premises, {**_premise(0), "id": "x", "project_id": "q", "building_id": "x1"})
        add(sites.devices, *(_device(n) for n in range(60)))
        hashed = auth.hash_password(PASSWORD)
        add(
            sites.users,
            *(
                {
                    "project_id": "p",
                    "username": role,
                    "name": f"某{role}",
                    "role": role,
                    "premise_id": "r0" if role == "resident" else None,
                    "password_hash": hashed,
                }
                for role in ROLES
            ),
        )
        add(
            meter_points,
            {
                "id": "mp0",
                "project_id": "p",
                "building_id": "b1",
                "premise_id": "r0",
                "name": "101 电",
                "service": "electricity",
                "uom": "kWh",
                "role": "sub",
                "supply": "collected",
            },
        )
        add(
            installs,
            {
                "meter_point_id": "mp0",
                "meter_id": "M-0",
                "device_id": "d0",
                "point": "energy_import",
                "exponent": -2,
                "multiplier": "1",
                "installed_at_us": 0,
                "start_count": 0,
            },
        )
        add(alerts, *(_alert(n, now_us) for n in range(70)))
        open_accounts(connection, "p", date(2026, 1, 1))
        open_accounts(connection, "q", date(2026, 1, 1))
        add(bill_tables.bills, *(_bill(n) for n in range(60)))
        other = {"id": "x", "premise_id": "x", "account_id": "x", "project_id": "q"}
        add(bill_tables.bills, _bill(0) | other)
        add(bill_tables.line_items, _line_item("bill-0"), _line_item("bill-1"))
        run = {"project_id": "p", "period": PERIOD, "number": 1, "first": PERIOD}
        run |= {"phase": "finished", "allow_unverified": False, "started_by": "r", "reason": ""}
        run |= {"started_us": now_us, "finished_us": now_us, "bills": 60, "credits": 0, "held": 1}
        add(run_tables.bill_runs, run | {"total_fen": 0})
        held = {"project_id": "p", "period": PERIOD, "subject": "mp0", "meter_point_id": "mp0"}
        add(run_tables.exceptions, held | {"reason": "no closing read"})
        repository.store(connection, [("g", b"0" * 16, _readings(now_us))])


def _premise(number: int) -> dict[str, object]:
    return {
        "id": f"r{number}",
        "project_id": "p",
        "building_id": "b1" if number < 40 else "b2",
        "name": f"房{number:02d}",
        "kind": "home",
        "area_m2": "90.5",
        "people": 3,
        "households": 1,
        "holder": HOSTILE if number == 1 else ("=1+1" if number == 2 else f"户主{number}"),
        "phone": "",
    }


def _device(number: int) -> dict[str, object]:
    return {
        "id": f"d{number}",
        "project_id": "p",
        "gateway_id": "g",
        "building_id": "b1" if number < 40 else "b2",
        "premise_id": f"r{number}" if number < 50 else None,
        "name": HOSTILE if number == 1 else f"电表{number:02d}",
        "name_en": f"Meter {number:02d}",
        "medium": "electricity",
        "profile": "eastron-sdm120",
        "period_s": 60,
    }


def _alert(number: int, now_us: int) -> dict[str, object]:
    detail = {"value": "9420", "limit": "9000", "uom": "W", "point": "active_power"}
    return {
        "project_id": "p",
        "cause": f"cause {number}",
        "kind": "threshold",
        "severity": "critical" if number == 0 else "warning",
        "gateway_id": "g",
        "device_id": f"d{number % 60}",
        "detail": json.dumps(detail),
        "raised_us": now_us - number * HOUR_US,
        "acknowledged_us": None,
        "acknowledged_by": None,
        "cleared_us": None if number < 3 else now_us,
    }


def _bill(number: int) -> dict[str, object]:
    return {
        "id": f"bill-{number}",
        "number": f"F{number:08d}",
        "project_id": "p",
        "account_id": f"r{number}",
        "premise_id": f"r{number}",
        "service": "electricity",
        "period": PERIOD,
        "part": "",
        "revision": 1,
        "from_on": date(2026, 10, 1),
        "to_on": date(2026, 11, 1),
        "holder": _premise(number)["holder"],
        "tariff_id": "t",
        "tariff_hash": None,
        "quantity": "123.45",
        "carried": "0",
        "estimated": 0,
        "inputs": _inputs() if number < 2 else "[]",
        "total_fen": 123_456 if number == 0 else 100,
        "posted_us": 1_790_000_000_000_000,
    }


def _inputs() -> str:
    def boundary(at_us: int, count: int) -> dict[str, object]:
        read = {"read_at_us": at_us + 1_000_000, "count": count, "source": "install"}
        return {"boundary_us": at_us, "count": count, "estimated": False, "reads": [read]}

    part = {
        "meter_point": "mp0",
        "meter_id": "M-0",
        "exponent": -2,
        "multiplier": "1",
        "start": boundary(1_790_000_000_000_000, 502_567),
        "end": boundary(1_792_000_000_000_000, 514_912),
        "counts": 12_345,
        "quantity": "123.45",
    }
    return json.dumps([{"parts": [part]}])


def _line_item(bill: str) -> dict[str, object]:
    return {
        "bill_id": bill,
        "position": 0,
        "segment": 0,
        "code": "energy.tier1",
        "description": "电费 第1档",
        "description_en": "Electricity, tier 1",
        "quantity": "123.45",
        "uom": "kWh",
        "unit_price": "10",
        "amount_fen": 123_456,
        "formula": "123.45 kWh × 10 元 = 1234.56 元 (line)",
    }


def _readings(now_us: int) -> list[Reading]:
    hour = now_us // HOUR_US * HOUR_US
    readings = [
        Reading("d0", "energy_import", "kWh", -2, 1000 + 50 * n, 0, hour - (30 - n) * HOUR_US, 0)
        for n in range(31)
        if n not in {10, 11}
    ]
    for number in range(60):
        age_us = 3_600_000_000 if number == 5 else 5_000_000
        readings.append(Reading(f"d{number}", "active_power", "W", 0, 7_654, 0, now_us - age_us, 0))
    return readings
