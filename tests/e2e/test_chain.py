"""From the register of a meter to the fen of a bill, through real processes, and with kills."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cloud.database import open_engine
from tests.e2e.chain_processes import (
    GATEWAY,
    PROJECT_FILE,
    Chain,
    Installation,
    last_month,
    wait_for,
)
from tests.e2e.delivered_history import check_batches, check_history, wait_looked_at
from tests.e2e.recomputed_bills import (
    Meters,
    counts,
    electricity_fen,
    fen,
    invoice_price,
    shared,
    water_fen,
)
from tests.fixtures.databases import fresh_postgres

pytestmark = [pytest.mark.slow, pytest.mark.mosquitto]

BILLED_S = 90.0
KILLS_EACH = 3
SEED = 7

Bill = dict[str, Any]  # JSON as it came
Tell = Callable[[str], "Settled"]


@dataclass(frozen=True)
class Settled:
    """An undisturbed chain whose bills are posted; its cloud still answers."""

    chain: Chain
    client: httpx.Client
    bills: Mapping[str, Bill]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """Give the project file as it is written."""
    content: dict[str, Any] = yaml.safe_load(PROJECT_FILE.read_text("utf-8"))
    return content


@pytest.fixture(scope="module")
def meters() -> Meters:
    """Give the model of the site."""
    return Meters()


@pytest.fixture(scope="module")
def settled(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Tell]:
    """Give the undisturbed chain of a kind of database, made once."""
    made: dict[str, Settled] = {}
    with ExitStack() as stack:

        def settle(kind: str) -> Settled:
            if kind not in made:
                url = ""
                if kind == "postgres":
                    server = request.getfixturevalue("postgres_url")
                    url = stack.enter_context(fresh_postgres(server))
                chain = Chain(tmp_path_factory.mktemp(kind), Installation(database_url=url))
                stack.callback(chain.close)
                _settle(chain)
                client = stack.enter_context(chain.client())
                made[kind] = Settled(chain, client, _bills(client))
            return made[kind]

        yield settle


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_register_to_bill(
    settled: Tell, kind: str, meters: Meters, project: dict[str, Any]
) -> None:
    chain = settled(kind)
    assert set(chain.bills) == _expected_bills(project)
    entries = {
        (item["premise"], item["service"]): item for item in project["meters"] if "premise" in item
    }
    checked: Counter[str] = Counter()
    for bill in chain.bills.values():
        if bill["service"] == "shared":
            continue
        if bill["quantity"] is None:
            _check_fee(bill, project)
            continue
        entry = entries[bill["premise"], bill["service"]]
        opened = chain.client.get(f"/api/v1/bills/{bill['id']}/evidence").json()
        quantity = sum(
            (
                _part_quantity(part, meters, {entry["device"]})
                for part in opened["items"][0]["parts"]
            ),
            Fraction(0),
        )
        assert quantity == Fraction(bill["quantity"]), bill["id"]
        assert quantity > 0
        assert not bill["estimated"]
        _check_lines(bill, entry, quantity, project)
        checked[entry["profile"]] += 1
    assert set(checked) == {
        "eastron-sdm120",
        "eastron-sdm630",
        "chint-dtsu666",
        "acrel-adl400",
        "xintai-water",
    }


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_pools_add_up_to_the_fen(
    settled: Tell, kind: str, meters: Meters, project: dict[str, Any]
) -> None:
    chain = settled(kind)
    invoices = {item["master"]: item for item in project["invoices"]}
    for pool in project["pools"]:
        weights = {
            item["id"]: _weight(pool, item)
            for item in project["premises"]
            if item["kind"] == "home"
            and pool.get("building", item["building"]) == item["building"]
            and not ("exemptions" in pool and item["floor"] == 1)
        }
        # what is not sold yet weighs, and the company bears it
        unsold = {item["id"] for item in project["premises"] if "states" in item}
        borne = unsold & weights.keys() if "exemptions" in pool else set()
        bills = {name: chain.bills[f"{_period()}-{name}-shared-1"] for name in weights}
        shares = {
            name: _fen(item["amount"])
            for name, bill in bills.items()
            for item in bill["line_items"]
            if item["code"] == f"shared.{pool['id']}"
        }
        bill = bills[min(bills)]
        opened = chain.client.get(f"/api/v1/bills/{bill['id']}/evidence").json()
        item = next(item for item in opened["items"] if item["statement"]["pool_id"] == pool["id"])
        sheet = {
            name: Fraction(item["statement"][name])
            for name in ("master", "subs", "public", "loss", "charged")
        }
        behind = [entry for entry in project["meters"] if entry.get("parent") == pool["master"]]
        subs = sum(
            Fraction(chain.bills[f"{_period()}-{entry['premise']}-electricity-1"]["quantity"])
            for entry in behind
            if entry["role"] == "sub"
        )
        used = {
            part["meter_point"]: _part_quantity(part, meters, {part["device_id"]})
            for part in item["parts"]
        }
        public = sum(used[entry["id"]] for entry in behind if entry["role"] == "public")
        assert (sheet["master"], sheet["subs"], sheet["public"]) == (
            used[pool["master"]],
            subs,
            public,
        )
        assert sheet["master"] == sheet["subs"] + sheet["public"] + sheet["loss"]
        most = sheet["master"] * Fraction(pool["cap_percent"]) / 100
        own = [used[name] for name in pool.get("meters", ())] or [sheet["public"]]
        charged = min(sum(own) if pool["kind"] == "public" else sheet["loss"], most)
        assert sheet["charged"] == charged > 0
        invoice = invoices[pool["master"]]
        total_fen = fen(charged * invoice_price(invoice["quantity"], invoice["amount"]))
        assert item["statement"]["total_fen"] == total_fen > 0
        every = shared(total_fen, weights)
        assert shares == {name: fen for name, fen in every.items() if name not in borne}
        company_fen = sum(every[name] for name in borne)
        assert item["statement"]["company_fen"] == company_fen
        assert sum(shares.values()) + company_fen == total_fen
    for bill in chain.bills.values():
        lines = [_fen(item["amount"]) for item in bill["line_items"]]
        assert sum(lines) == _fen(bill["total"]), bill["id"]


def test_kills_change_no_fen(settled: Tell, tmp_path: Path) -> None:
    undisturbed = settled("sqlite").bills
    chain = Chain(tmp_path)
    try:
        backlogs = _live_through_kills(chain, random.Random(SEED))
        assert backlogs[0] > 0, "the gateway had caught up before the first kill"
        assert min(backlogs) < max(backlogs), "nothing was delivered between the kills"
        with chain.client() as client:
            _wait_billed(client)
            # with the meters gone nothing new is read, so that all there is can be delivered
            chain.stop("site")
            _drain(chain)
            disturbed = _bills(client)
        engine = open_engine(chain.database_url)
        try:
            wait_looked_at(engine, BILLED_S)
            chain.kill("cloud")
            with chain.journal() as journal:
                check_batches(engine, journal)
            check_history(engine)
        finally:
            engine.dispose()
        assert disturbed == undisturbed
    finally:
        chain.close()


def _settle(chain: Chain) -> None:
    """Bring a chain up and leave it with its bills posted and only its cloud running."""
    chain.start_site()
    chain.broker.start()
    chain.import_project(last_month())
    chain.backfill(last_month())
    chain.start_cloud()
    chain.start_edge()
    with chain.client() as client:
        _wait_billed(client)
    chain.stop("edge")
    chain.stop("site")


def _live_through_kills(chain: Chain, dice: random.Random) -> list[int]:
    """Run a chain and kill its parts, each several times; return the backlog at each kill."""
    chain.start_site()
    chain.import_project(last_month())
    chain.backfill(last_month(), kill_at=dice.uniform(0.2, 0.6))
    chain.backfill(last_month())
    chain.broker.start()
    chain.start_cloud()
    chain.start_edge()
    victims = ["edge", "broker", "cloud"] * KILLS_EACH
    dice.shuffle(victims)
    backlogs = []
    for victim in victims:
        backlogs.append(_let_run(chain, dice))
        if victim == "broker":
            chain.broker.kill()
            time.sleep(dice.uniform(0, 0.5))
            chain.broker.start()
        elif victim == "cloud":
            chain.kill("cloud")
            chain.start_cloud(wait=False)
        else:
            chain.kill("edge")
            chain.start_edge()
    chain.wait_ready()
    chain.wait_ready()
    return backlogs


def _drain(chain: Chain) -> None:
    """Wait until the cloud has all of the journal, and end the gateway while that is so."""
    for _ in range(5):
        wait_for(lambda: chain.backlog() == 0, BILLED_S, "the rest of the journal")
        chain.kill("edge")
        # it may have noted in between that its meters are gone
        if chain.backlog() == 0:
            return
        chain.start_edge()
    pytest.fail("the gateway never came to rest")


def _let_run(chain: Chain, dice: random.Random) -> int:
    """Wait until some batches more are delivered, but not for long; return the backlog then."""
    wanted = chain.backlog() - dice.randint(1, 40)
    deadline = time.monotonic() + dice.uniform(2, 8)
    while (backlog := chain.backlog()) > wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    return backlog


def _wait_billed(client: httpx.Client) -> None:
    query = {"period": _period(), "limit": "1"}
    wait_for(
        lambda: client.get("/api/v1/bills", params=query).json()["items"],
        BILLED_S,
        "the bills of last month",
    )


def _bills(client: httpx.Client) -> dict[str, Bill]:
    """Return every bill of last month with its lines, without when it was posted."""
    page = client.get("/api/v1/bills", params={"period": _period(), "limit": 500}).json()
    assert page["next"] is None
    found = {}
    for item in page["items"]:
        bill = client.get(f"/api/v1/bills/{item['id']}").json()
        found[bill["id"]] = {key: value for key, value in bill.items() if key != "posted_at"}
    return found


def _expected_bills(project: dict[str, Any]) -> set[str]:
    # the pump is everybody's: no home is without a share
    metered = {
        f"{_period()}-{item['premise']}-{item['service']}-1"
        for item in project["meters"]
        if item.get("tariff")
    }
    recurring = {f"{_period()}-{item['premise']}-{item['item']}-1" for item in project["charges"]}
    return (
        metered
        | recurring
        | {
            f"{_period()}-{item['id']}-shared-1"
            for item in project["premises"]
            if item["kind"] == "home"
        }
    )


def _weight(pool: Mapping[str, Any], home: Mapping[str, Any]) -> str:
    """Weigh a home by what the resolution says."""
    if pool["by"] == "head":
        return str(home["people"])
    factors = {1: "0.5", 2: "1", 3: "1"} if pool["by"] == "formula" else {}
    other = "1.2" if pool["by"] == "formula" else "1"
    return f"{Decimal(home['area_m2']) * Decimal(factors.get(home['floor'], other))}"


def _part_quantity(part: Bill, meters: Meters, devices: set[str]) -> Fraction:
    """Return what a meter counted, from its words alone, after comparing them with the meter's."""
    assert part["device_id"] in devices
    profile = meters.profile(part["device_id"])
    ends = []
    for edge in ("start", "end"):
        (read,) = part[edge]["reads"]
        at_us = read["read_at_us"]
        assert at_us == part[edge]["boundary_us"]
        assert read["gateway_id"] == GATEWAY
        assert read["words_hex"] == meters.words(part["device_id"], part["point"], at_us)
        decoded = counts(profile, read["words_hex"])
        assert decoded == read["count"] == part[edge]["count"]
        ends.append(decoded)
    assert ends[1] - ends[0] == part["counts"]
    scale = Fraction(10) ** part["exponent"] * Fraction(part["multiplier"])
    assert Fraction(part["quantity"]) == (ends[1] - ends[0]) * scale
    return (ends[1] - ends[0]) * scale


def _check_fee(bill: Bill, project: dict[str, Any]) -> None:
    """Compare a fee with a home's area, or with its vehicles and what is left of a quarter."""
    premise = next(item for item in project["premises"] if item["id"] == bill["premise"])
    if bill["service"] == "property-fee":
        assert _fen(bill["total"]) == fen(Fraction(premise["area_m2"]) * Fraction("2.50"))
        return
    charge = next(
        item
        for item in project["charges"]
        if (item["premise"], item["item"]) == (bill["premise"], bill["service"])
    )
    months = 3 - (int(_period()[-2:]) - 1) % 3
    assert _fen(bill["total"]) == 200_00 * charge["vehicles"] * months


def _check_lines(bill: Bill, entry: Bill, quantity: Fraction, project: dict[str, Any]) -> None:
    lines = [_fen(item["amount"]) for item in bill["line_items"]]
    total_fen = _fen(bill["total"])
    if entry["service"] == "water":
        expected_fen, exact = water_fen(quantity, Fraction(entry["used_before"]))
        # rounded once: each line is within a fen of its exact amount, and the sum is exact
        assert all(
            abs(line - part) < 1 for line, part in zip_longest(lines, exact, fillvalue=-9)
        ), bill["id"]
    elif entry["supply"] == "resold":
        invoice = next(item for item in project["invoices"] if item["master"] == entry["parent"])
        expected_fen = fen(quantity * invoice_price(invoice["quantity"], invoice["amount"]))
        assert lines == [expected_fen], bill["id"]
    else:
        assert lines == electricity_fen(quantity), bill["id"]
        expected_fen = sum(lines)
    assert total_fen == expected_fen == sum(lines), bill["id"]


def _fen(yuan: str) -> int:
    return int(Fraction(yuan) * 100)


def _period() -> str:
    return f"{last_month():%Y-%m}"
