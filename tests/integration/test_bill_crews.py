"""A run of many shards is worked out by several processes, each bill once."""

from datetime import date

import pytest
from sqlalchemy import Engine, func, select

from cloud.billing import crew, run_repository, run_steps, runs
from cloud.billing.bill_tables import bills
from cloud.billing.run_repository import RunKey
from cloud.billing.run_tables import run_shards
from cloud.database import open_engine
from tests.fixtures.estate import premise, put_on_file

HOMES = [f"h{number:02}" for number in range(60)]
KEY = RunKey("p", "2026-10", 1)


def begin(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin a run over a fee of each home, a shard for every two."""
    monkeypatch.setattr(runs, "ACCOUNTS_AT_ONCE", 2)
    fee = {"item": "property-fee", "tariff": "cn-property-fee-area", "from_on": "2026-10-01"}
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2026, 10, 1),
            premises=[premise(name) for name in HOMES],
            meters=[],
            charges=[fee | {"premise": name} for name in HOMES],
        )
        runs.start(connection, "p", "2026-10", allow_unverified=True, by="test")


def test_a_crew_bills_every_account_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "MOST_PROCESSES", 2)
    monkeypatch.setattr(crew, "SHARDS_FOR_EACH", 10)
    begin(engine, monkeypatch)
    done = runs.finish(engine, KEY)
    assert (done.bills, done.phase) == (len(HOMES), run_steps.Phase.FINISHED)
    with engine.connect() as connection:
        posted = connection.scalars(select(bills.c.account_id).order_by(bills.c.account_id)).all()
        numbers = connection.scalars(select(bills.c.number).order_by(bills.c.number)).all()
        assert connection.scalar(select(func.count()).select_from(run_shards)) == 0
    assert posted == HOMES
    assert numbers == [f"B{place + 1:08d}" for place in range(len(HOMES))]


def test_what_somebody_else_worked_out_meanwhile_is_not_kept_twice(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(sqlite_engine, monkeypatch)
    inner = run_repository.one_of_many

    def first_to_another(*args: object, **kwargs: object) -> object:
        shard = inner(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came
        monkeypatch.setattr(run_repository, "one_of_many", inner)
        with open_engine(str(sqlite_engine.url)).begin() as connection:
            assert shard is not None
            run_repository.change_shard(connection, KEY, shard.shard, done=run_steps.Phase.RATING)
        return shard

    monkeypatch.setattr(run_repository, "one_of_many", first_to_another)
    assert run_steps.step(sqlite_engine, KEY) is run_steps.Step.DONE
    with sqlite_engine.connect() as connection:
        assert run_repository.drafts_of(connection, KEY) == []
