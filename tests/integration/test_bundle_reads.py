"""Bundles of registers that were replaced, rolled over, estimated, trued up or read by people."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, update

from cloud.billing import tariff_book
from cloud.billing.bundle import bundle_of
from cloud.billing.verify_bill import verify
from cloud.metering import manual_reads
from cloud.metering.manual_repository import ManualRead
from cloud.metering.tables import installs
from cloud.tariffs.files import load_tariffs
from protocols.delivery.records import Event
from tests.fixtures.estate import at, meter, premise, put_on_file, series
from tests.fixtures.proven_site import PUBLIC
from tests.fixtures.signed_estate import PROFILE, TIERED, deliver_signed, run

OCTOBER = date(2026, 10, 1)


def one_home(engine: Engine, **changed: object) -> None:
    fields = {"premise": "1-101", "tariff": TIERED, "profile": PROFILE} | changed
    with engine.begin() as connection:
        meters = [meter("e-1", **fields)]
        put_on_file(connection, OCTOBER, premises=[premise("1-101")], meters=meters)


def deliver(engine: Engine, folder: Path, reads: Mapping[str, int]) -> None:
    deliver_signed(engine, folder, series("e-1", reads))


def told(engine: Engine, period: str = "2026-10") -> str:
    """Bill a month, and return what the verifier says of the bill."""
    run(engine, period)
    with engine.connect() as connection:
        raw = bundle_of(connection, f"{period}-1-101-electricity-1")
    return "\n".join(verify(raw, [PUBLIC]))


def test_a_replaced_meter_that_rolled_over(sqlite_engine: Engine, tmp_path: Path) -> None:
    one_home(sqlite_engine, capacity=1_000_000, max_per_hour=2_000)
    with sqlite_engine.begin() as connection:
        connection.execute(
            update(installs).values(removed_at_us=at("2026-10-10T12:00:00"), end_count=1_500)
        )
        connection.execute(
            installs.insert().values(
                meter_point_id="mp-e-1",
                meter_id="e-2",
                device_id="e-1",
                point="energy_import",
                exponent=-2,
                multiplier="40",
                installed_at_us=at("2026-10-10T12:00:00"),
                start_count=700,
            )
        )
    old = {"2026-10-01T00:00:00": 999_000, "2026-10-08T00:00:00": 400}
    new = {"2026-10-11T00:00:00": 800, "2026-11-01T00:00:00": 20_700}
    deliver(sqlite_engine, tmp_path, old | new)
    text = told(sqlite_engine)
    assert "2 个示数 reads signed by gateway gw-1" in text
    assert "2 个人工示数 reads written down by a person" in text


def test_an_end_that_is_foretold_and_trued_up(
    sqlite_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tariffs = [
        tariff.model_copy(update={"missing_end": "estimate"}) if tariff.id == TIERED else tariff
        for tariff in load_tariffs()
    ]
    monkeypatch.setattr(tariff_book, "built_in", lambda: tariffs)
    one_home(sqlite_engine)
    days = {f"2026-10-{day:02}T00:00:00": day * 100 for day in range(1, 22)}
    deliver(sqlite_engine, tmp_path, days)
    assert "1 个预估示数 registers foretold" in told(sqlite_engine)
    deliver(sqlite_engine, tmp_path, {"2026-12-01T00:00:00": 2_150})
    text = told(sqlite_engine, "2026-11")
    assert "1 项退补 true-ups" in text
    assert "0 行 lines" in text
    deliver(sqlite_engine, tmp_path, {"2027-01-01T00:00:00": 6_150})
    assert "1 项退补 true-ups" in told(sqlite_engine, "2026-12")


def test_an_end_between_reads_by_the_meters_own_shape(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    one_home(sqlite_engine)
    reads, count = {}, 0
    for day in range(1, 29):
        for hour in range(24):
            reads[f"2026-10-{day:02}T{hour:02}:00:00"] = count
            count += 50 if 8 <= hour < 20 else 10
    deliver(sqlite_engine, tmp_path, reads | {"2026-11-03T00:00:00": count + 5_000})
    assert "1 个估算示数 registers estimated between two reads" in told(sqlite_engine)


def test_what_people_read_has_no_words(sqlite_engine: Engine) -> None:
    gone = {"gateway": None, "device": None, "profile": None, "point": None}
    one_home(sqlite_engine, **gone)
    for when, count in (("2026-10-01T00:00:00", 3_000), ("2026-11-01T00:00:00", 6_000)):
        with sqlite_engine.begin() as connection:
            manual_reads.take(
                connection,
                ManualRead(
                    meter_point_id="mp-e-1", read_at_us=at(when), count=count, taken_by="li"
                ),
                confirmed=True,
                now_us=at("2026-11-02T00:00:00"),
            )
    assert "2 个人工示数 reads written down by a person" in told(sqlite_engine)


def test_a_read_of_a_doubted_clock_is_signed_and_dated_since(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    one_home(sqlite_engine)
    first, last = series("e-1", {"2026-10-01T00:00:00": 0, "2026-11-01T00:00:10": 30_000})
    # the gateway lost its clock; 20 s later it was told the time
    doubted = msgspec.structs.replace(
        last, quality=5, read_at_us=at("2021-01-01T00:00:00"), monotonic_us=5_000_000
    )
    body = {"source": "cloud", "error_us": 1_000, "wall_us": at("2026-11-01T00:00:30")}
    clock = Event("", "clock", at("2021-01-01T00:00:20"), 25_000_000, body)
    deliver_signed(sqlite_engine, tmp_path, [first, doubted], events=[clock])
    text = told(sqlite_engine)
    assert "2 个示数 reads signed by gateway gw-1" in text
    assert "1 个示数 reads whose clock was doubted" in text
