"""A month of many households with three services: posted, billed again, and at new prices."""

import multiprocessing
import os
import re
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from sqlalchemy import Engine

from cloud.billing import crew, runs
from cloud.billing.run_repository import Run, RunKey
from cloud.database import migrate, open_engine
from cloud.metering import verification
from cloud.metering.reading_tables import manual_reads
from cloud.sites.importer import import_project
from cloud.sites.project_file import ProjectFile
from cloud.tariffs.files import BUILT_IN
from tests.benchmarks import postgres
from tests.benchmarks.measure import Figure
from tests.fixtures.estate import at, meter, premise

HOUSEHOLDS = int(os.environ.get("HOUSEHOLDS", "1000"))
# what a hundred thousand households may take
MOST_S, MOST_MIB = 60, 512
WORKERS = {"SQLite": 2, "PostgreSQL": 2}
PERIOD = "2026-10"
BY_HAND = {"gateway": None, "device": None, "profile": None, "point": None}
ENDS = ("2026-10-01T00:00:00", "2026-11-01T00:00:00")


def run() -> list[Figure]:
    """Measure on both databases; each has its own estate."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="hutong-bench-billing-") as text:
        folder = Path(text)
        tariffs = _new_prices(folder / "tariffs")
        figures += _measure("SQLite", f"sqlite:///{folder / 'hutong.db'}", tariffs)
        with postgres.cluster() as url:
            figures += _measure("PostgreSQL", url, tariffs)
    return figures


def _measure(database: str, url: str, tariffs: Path) -> Iterator[Figure]:
    engine = open_engine(url)
    migrate(engine)
    names = _fill(engine)
    for start in range(0, len(names), 1000):
        with engine.begin() as connection:
            verification.screen_points(connection, names[start : start + 1000])
    with engine.begin() as connection:
        begun = runs.start(connection, "p", PERIOD, allow_unverified=True, by="bench")
    done, figure = _posted(engine, url, begun.key, f"posted, {database}", WORKERS[database])
    assert (done.bills, done.held) == (3 * HOUSEHOLDS, 0)
    yield figure
    for what, own, changed in (("billed again", None, 0), ("at new prices", tariffs, HOUSEHOLDS)):
        with engine.begin() as connection:
            again = runs.start_again(
                connection, "p", PERIOD, reason="bench", by="bench", allow_unverified=True
            )
        named = f"{what}, {database}"
        done, figure = _posted(engine, url, again.key, named, WORKERS[database], own)
        assert (done.bills, done.credits) == (3 * changed, 3 * changed)
        yield figure
    engine.dispose()


def _new_prices(folder: Path) -> Path:
    # the same tariffs, a fen dearer since the first of the month
    folder.mkdir()
    for name, price, dearer in (
        ("cn-beijing-electricity-tiered", '"0.4883"', '"0.4983"'),
        ("cn-beijing-water", 'water: "2.07"', 'water: "2.08"'),
        ("cn-property-fee-area", 'price: "', 'price: "1'),
    ):
        text = (BUILT_IN / f"{name}.yaml").read_text(encoding="utf-8")
        assert price in text
        text = text.replace(price, dearer, 1).replace('total: "5"', 'total: "5.01"')
        text = re.sub(r"(?m)^effective_from: .*", "effective_from: 2026-10-01", text)
        text = re.sub(r"(?m)^version: .*", 'version: "dearer"', text)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def _posted(
    engine: Engine, url: str, key: RunKey, what: str, workers: int, own: Path | None = None
) -> tuple[Run, Figure]:
    spawn = multiprocessing.get_context("spawn")
    used: multiprocessing.Queue[tuple[float, float]] = spawn.Queue()
    bills = 3 * HOUSEHOLDS
    begun = time.perf_counter()
    processes = [spawn.Process(target=_work, args=(url, key, used, own)) for _ in range(workers)]
    for process in processes:
        process.start()
    spent = [used.get(timeout=3600) for _ in processes]
    for process in processes:
        process.join()
    wall_s = time.perf_counter() - begun
    with engine.connect() as connection:
        done = runs.run_repository.required_run(connection, key)
    mib = max(peak for _, peak in spent)
    whole_s = wall_s * 100_000 / HOUSEHOLDS
    more = f"{workers} workers, {wall_s:.1f} s, peak {mib:.0f} MiB each ({MOST_MIB} allowed);"
    more += f" 100,000 households would take {whole_s:.0f} s ({MOST_S} allowed)"
    cpu_us = sum(cpu for cpu, _ in spent) / bills * 1e6
    return done, Figure("billing", what, bills, cpu_us, wall_s / bills * 1e6, more)


def _work(
    url: str, key: RunKey, used: "multiprocessing.Queue[tuple[float, float]]", own: Path | None
) -> None:
    # no crew: these are the processes that are measured
    crew.MOST_PROCESSES = 1
    engine = open_engine(url)
    begun = time.process_time()
    runs.finish(engine, key, own_tariffs=own)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    used.put((time.process_time() - begun, peak))


def _fill(engine: Engine) -> list[str]:
    homes = [f"h{number:06}" for number in range(HOUSEHOLDS)]
    power = {"tariff": "cn-beijing-electricity-tiered"}
    water = {"service": "water", "exponent": -3, "tariff": "cn-beijing-water"}
    fee = {"item": "property-fee", "tariff": "cn-property-fee-area", "from_on": "2026-10-01"}
    file = ProjectFile.model_validate(
        {
            "project": {"id": "p", "name": "p", "name_en": "p", "time_zone": "Asia/Shanghai"},
            "gateways": [{"id": "g", "name": "g"}],
            "buildings": [{"id": "b1", "name": "b", "name_en": "b"}],
            "premises": [premise(name) for name in homes],
            "meters": [
                meter(f"{kind}{name}", premise=name, **of_kind, **BY_HAND)
                for kind, of_kind in (("e", power), ("w", water))
                for name in homes
            ],
            "charges": [fee | {"premise": name} for name in homes],
        }
    )
    with engine.begin() as connection:
        import_project(connection, file, cutover_on=date(2026, 10, 1))
        for kind, least, most in (("e", 21_000, 61_000), ("w", 4_000, 19_000)):
            rows = [
                {
                    "meter_point_id": f"mp-{kind}{name}",
                    "read_at_us": at(end),
                    "count": (least + number * 7919 % (most - least)) * place,
                    **dict.fromkeys(("rule", "photo", "note", "answer"), ""),
                    "taken_by": "bench",
                    "entered_us": at(end),
                }
                for number, name in enumerate(homes)
                for place, end in enumerate(ENDS)
            ]
            connection.execute(manual_reads.insert(), rows)
    return [f"mp-{kind}{name}" for kind in "ew" for name in homes]
