"""Pools by level, weight and exemption over months, on both databases, opened and verified."""

import json
import re
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import Engine, select

from cloud.billing import runs
from cloud.billing.bill_tables import bills
from cloud.billing.evidence import evidence_of
from cloud.billing.tables import pools
from cloud.billing.verify_bill import DiffersError, verify
from cloud.metering.tables import meter_points
from cloud.sites.tables import premise_states, premises
from cloud.workbooks.pool_queries import pool_months
from tests.fixtures.mutations import mutants, rewritten
from tests.fixtures.pooled_site import HOMES, LOSS, POOL, site, used

OCTOBER = used(80_000, 6_000, 20_000, 30_000, 22_000)


def test_a_formula_opens_to_this_homes_facts_and_no_others(engine: Engine) -> None:
    pool = POOL | {"by": "formula", "formula": "area_m2 / 3 * if(floor > 1, 1.2, 1) + usage"}
    homes = {"1-101": {"floor": 1}, "1-102": {"floor": 1}, "1-201": {"floor": 2}}
    made = site(engine, [pool], homes=homes)
    made.month("2026-10", "2026-11", OCTOBER)
    made.bill("2026-10")
    assert sum(made.shares("light", "2026-10").values()) == made.sheet("light", "2026-10").total_fen
    raw = made.bundle("1-201", "2026-10")
    assert "1 项公摊 pools" in " ".join(verify(raw))
    document = json.loads(raw)
    (opened,) = document["pools"]
    assert opened["facts"] == {"area_m2": "80.00", "floor": "2", "usage": "220.00"}
    assert opened["weight"] == "252"
    for path, value in (("facts", {"area_m2": "80.00"}), ("formula", "area_m2"), ("weight", "253")):
        changed = json.loads(raw)
        changed["pools"][0][path] = value
        with pytest.raises(DiffersError, match=r"pools\[0\]"):
            verify(rewritten(changed, renewed=True))


def test_exempt_homes_are_named_and_the_company_bears_the_unsold(engine: Engine) -> None:
    exemptions = [{"who": "ground_floor"}, {"who": "unsold"}]
    homes = {
        "1-101": {"floor": 1},
        "1-102": {"floor": 2, "states": [{"from_on": date(2026, 10, 31), "state": "unsold"}]},
        "1-201": {"floor": 2, "states": [{"from_on": date(2026, 11, 1), "state": "unsold"}]},
    }
    made = site(engine, [POOL | {"exemptions": exemptions}], homes=homes)
    made.month("2026-10", "2026-11", OCTOBER)
    made.bill("2026-10")
    sheet = made.sheet("light", "2026-10")
    exempt = {each["premise_id"]: each for each in json.loads(sheet.exempt)}
    assert {name: each["reason"] for name, each in exempt.items()} == {
        "1-101": "ground_floor",
        "1-102": "unsold",
    }
    assert made.shares("light", "2026-10") == {"1-201": 1557}
    assert (sheet.total_fen, sheet.company_fen, exempt["1-102"]["amount_fen"]) == (3114, 1557, 1557)
    raw = made.bundle("1-201", "2026-10")
    verify(raw)
    unseen = {path for path, changed in mutants(raw, renewed=True) if _holds(changed)}
    # reads without a signature are somebody's word; so is how many homes the company bears
    pool = {path for path in unseen if re.fullmatch(r"pools\[\]\.\w+", path)}
    assert pool == {"pools[].note", "pools[].cap_percent", "pools[].company_homes"}
    with engine.connect() as connection:
        billed = set(
            connection.scalars(select(bills.c.premise_id).where(bills.c.service == "shared"))
        )
    assert billed == {"1-201"}


def test_levels_take_in_a_project_and_one_entrance(engine: Engine) -> None:
    project = {key: value for key, value in POOL.items() if key != "building"} | {"id": "all"}
    entrance = POOL | {"id": "e2", "level": "entrance", "entrance": "2单元"}
    homes = {name: {"entrance": f"{place + 1}单元"} for place, name in enumerate(HOMES)}
    made = site(engine, [project | {"level": "project"}, entrance], homes=homes)
    made.month("2026-10", "2026-11", OCTOBER)
    made.bill("2026-10")
    assert made.shares("all", "2026-10").keys() == set(HOMES)
    assert made.shares("e2", "2026-10") == {"1-102": 3114}
    verify(made.bundle("1-102", "2026-10"))


def test_a_premise_without_a_fact_holds_its_pool_and_no_other(engine: Engine) -> None:
    pools_ = [POOL | {"exemptions": [{"who": "ground_floor"}]}, LOSS]
    made = site(engine, pools_)
    made.month("2026-10", "2026-11", OCTOBER)
    made.bill("2026-10")
    assert made.held("2026-10") == {
        "pool/light": "pool light: premise 1-101: floor is not on file",
    }
    assert made.sheet("loss", "2026-10").charged == "20.00"


def test_a_negative_month_is_carried_until_one_takes_it_up(engine: Engine) -> None:
    made = site(engine, [LOSS])
    # the master shows 5 kWh less than its subs, then 3 kWh more, then 10 more
    for before, after, loss in (
        ("2026-10", "2026-11", -500),
        ("2026-11", "2026-12", 300),
        ("2026-12", "2027-01", 1_000),
    ):
        made.month(before, after, used(78_000 + loss, 6_000, 20_000, 30_000, 22_000))
        made.bill(before)
    sheets = [made.sheet("loss", month) for month in ("2026-10", "2026-11", "2026-12")]
    told = [(row.carried_in, row.charged, row.carried_out, row.total_fen) for row in sheets]
    assert told == [
        ("0", "0", "-5.00", 0),
        ("-5.00", "0", "-2.00", 0),
        ("-2.00", "8.00", "0", 415),
    ]
    for month in ("2026-10", "2026-11", "2026-12"):
        verify(made.bundle("1-101", month))
    document = json.loads(made.bundle("1-101", "2026-12"))
    document["pools"][0]["carried_in"] = "-1.00"
    with pytest.raises(DiffersError, match=r"pools\[0\].charged"):
        verify(rewritten(document, renewed=True))
    with engine.connect() as connection:
        rows = pool_months(connection, "p", first="2026-10", last="2026-12")
    assert [(row.measured, row.carried_out) for row in rows] == [(-5, -5), (3, -2), (10, 0)]


def test_a_corrected_sub_meter_enters_the_next_pool_and_no_posted_one(engine: Engine) -> None:
    made = site(engine, [LOSS, POOL])
    made.month("2026-10", "2026-11", OCTOBER)
    made.bill("2026-10")
    before = made.sheet("loss", "2026-10"), made.shares("loss", "2026-10")
    assert before[0].charged == "20.00"
    # 1-102's meter had been read 7 kWh too low
    made.correct("e-1-102", "2026-11", 30_700)
    revised = runs.revise(
        engine, "p", "2026-10", reason="misread", by="clerk", allow_unverified=True
    )
    assert (revised.bills, revised.credits) == (1, 1)
    assert (made.sheet("loss", "2026-10"), made.shares("loss", "2026-10")) == before
    made.month("2026-11", "2026-12", used(80_000, 6_000, 20_000, 30_000, 22_000))
    made.bill("2026-11")
    sheet = made.sheet("loss", "2026-11")
    # 20 kWh of November less the 7 that October had charged too much
    assert (sheet.loss, sheet.corrected, sheet.charged) == ("20.00", "-7.00", "13.00")
    assert json.loads(sheet.corrections) == [
        {"period": "2026-10", "meter_point_id": "mp-e-1-102", "quantity": "7.00"}
    ]
    assert made.sheet("light", "2026-11").corrected == "0"
    verify(made.bundle("1-102", "2026-11"))
    # it is told once
    made.month("2026-12", "2027-01", used(80_000, 6_000, 20_000, 30_000, 22_000))
    made.bill("2026-12")
    assert made.sheet("loss", "2026-12").corrected == "0"
    charged = [
        Decimal(made.sheet("loss", month).charged) for month in ("2026-10", "2026-11", "2026-12")
    ]
    assert sum(charged) == 3 * 20 - 7


def test_what_was_public_when_a_sheet_was_posted_stays_open(engine: Engine) -> None:
    made = site(engine, [POOL])
    made.month("2026-10", "2026-11", OCTOBER)
    made.bill("2026-10")
    raw = made.bundle("1-101", "2026-10")
    with engine.connect() as connection:
        opened = evidence_of(connection, "2026-10-1-101-shared-1")
    # the light hangs nowhere now, a home's meter is public, the pool has another master
    with engine.begin() as connection:
        light = meter_points.c.id == "mp-light"
        connection.execute(meter_points.update().where(light).values(role="sub", parent_id=None))
        home = meter_points.c.id == "mp-e-1-102"
        connection.execute(meter_points.update().where(home).values(role="public", premise_id=None))
    made.change(pools, master_id="mp-light", weight="head", level="project")
    made.change(premises, area_m2="1", floor=9)
    assert made.bundle("1-101", "2026-10") == raw
    with engine.connect() as connection:
        assert evidence_of(connection, "2026-10-1-101-shared-1") == opened
    assert {part.meter_point for part in opened.items[0].parts} == {"mp-m", "mp-light"}


def test_a_state_begins_on_its_day(engine: Engine) -> None:
    made = site(engine, [POOL | {"by": "household", "exemptions": [{"who": "vacant"}]}])
    with engine.begin() as connection:
        for on, state in ((date(2026, 10, 5), "vacant"), (date(2026, 11, 30), "occupied")):
            row = {"premise_id": "1-101", "from_on": on, "state": state}
            connection.execute(premise_states.insert().values(**row))
    made.month("2026-10", "2026-11", OCTOBER)
    made.bill("2026-10")
    made.month("2026-11", "2026-12", OCTOBER)
    made.bill("2026-11")
    assert made.shares("light", "2026-10") == {"1-102": 1557, "1-201": 1557}
    assert made.shares("light", "2026-11") == dict.fromkeys(HOMES, 1038)


def _holds(raw: bytes) -> bool:
    try:
        verify(raw)
    except DiffersError:
        return False
    return True
