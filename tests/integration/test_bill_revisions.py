"""Bills billed again: late and corrected reads end in what billing from scratch gives."""

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from cloud.billing import bill_repository, runs
from cloud.billing.bill_tables import bills, credit_notes
from cloud.billing.bundle import bundle_of
from cloud.billing.verify_bill import verify
from cloud.errors import RefusedError
from cloud.ledger import repository as ledger
from cloud.ledger import service as books
from cloud.ledger.service import Teller
from cloud.metering import manual_reads
from cloud.metering.manual_repository import ManualRead
from tests.fixtures.databases import copied_sqlite
from tests.fixtures.estate import at, meter, premise, put_on_file

BY_HAND = {"gateway": None, "device": None, "profile": None, "point": None}
MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06")
EDGES = (*(f"{month}-01T00:00:00" for month in MONTHS), "2026-07-01T00:00:00")
# 100,000 of them for a release; they differ by seed
LIVES = int(os.environ.get("HUTONG_REBILLS", "12"))


def home(engine: Engine) -> None:
    """Put a home with water by annual tiers on file, and its property fee by the quarter."""
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2026, 1, 1),
            premises=[premise("1-101")],
            meters=[
                meter(
                    "w",
                    premise="1-101",
                    service="water",
                    exponent=-3,
                    tariff="cn-beijing-water",
                    installed_on="2025-12-31",
                    **BY_HAND,
                )
            ],
            charges=[
                {
                    "premise": "1-101",
                    "item": "property-fee",
                    "tariff": "cn-property-fee-area",
                    "cycle": "quarter",
                    "in_advance": True,
                    "from_on": "2026-01-10",
                }
            ],
        )


def read(engine: Engine, edge: str, count: int) -> int:
    """Store a read as somebody took it; return its id."""
    with engine.begin() as connection:
        return manual_reads.store(
            connection,
            ManualRead(
                meter_point_id="mp-w", read_at_us=at(edge), count=count, taken_by="li", photo=""
            ),
        )


def withdraw(engine: Engine, read_id: int) -> None:
    with engine.begin() as connection:
        manual_reads.withdraw_read(connection, read_id, by="wang", why="misread")


def bill(engine: Engine, month: str) -> None:
    runs.run(engine, "p", month, allow_unverified=True)


def revise(engine: Engine, first: str) -> runs.Run:
    return runs.revise(engine, "p", first, reason="late reads", by="clerk", allow_unverified=True)


def standing(engine: Engine) -> dict[tuple[str, str], tuple[object, ...]]:
    """Return what stands of bills: by service and period, the quantity and the printed rows."""
    with engine.connect() as connection:
        held = bill_repository.standing(connection, ["1-101"], since=date(2026, 1, 1))
        drafts = bill_repository.drafts_of(connection, [each.id for each in held])
    return {
        (each.service, each.period): (each.quantity, each.total_fen, each.from_on, each.items)
        for each in drafts.values()
    }


def check_books(engine: Engine) -> None:
    """Bills less credit notes are what stands, in the books too; every number is there once."""
    with engine.connect() as connection:
        posted = connection.execute(select(bills)).all()
        credits_ = connection.execute(select(credit_notes)).all()
        owed = books.standing_of(connection, "p", "1-101")
        assert ledger.imbalance(connection) == []
    sums = Counter({(row.service, row.period): 0 for row in posted})
    back = {row.bill_id: row.total_fen for row in credits_}
    for row in posted:
        sums[row.service, row.period] += row.total_fen + back.get(row.id, 0)
    charged = {(each.charge.item, each.charge.period): each.charged_fen for each in owed.statements}
    # a bill over nothing is no entry
    assert {key: fen for key, fen in charged.items() if fen} == {
        key: fen for key, fen in sums.items() if fen
    }
    numbers = sorted(row.number for row in posted)
    assert numbers == [f"B{number + 1:08d}" for number in range(len(posted))]
    numbers = sorted(row.number for row in credits_)
    assert numbers == [f"C{number + 1:08d}" for number in range(len(credits_))]


def check_evidence(engine: Engine) -> None:
    """Every bill is computed anew from its bundle, those that were taken back, too."""
    with engine.connect() as connection:
        for name in connection.scalars(select(bills.c.id)).all():
            assert verify(bundle_of(connection, name)), name


@pytest.fixture(scope="module")
def put_home(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    with copied_sqlite(migrated_sqlite, folder) as engine:
        home(engine)
    return folder / "hutong.db"


@contextmanager
def fresh(put_home: Path, folder: Path, name: str) -> Iterator[Engine]:
    (folder / name).mkdir()
    with copied_sqlite(put_home, folder / name) as engine:
        yield engine


class Life:
    """A home whose reads come late, wrong or twice, and are put right at some time."""

    def __init__(self, engine: Engine, chance: random.Random, counts: list[int]) -> None:
        self.engine = engine
        self.chance = chance
        self.counts = counts
        self.missing: set[int] = set()
        self.wrong: dict[int, int] = {}

    def take(self, place: int) -> None:
        said = self.chance.random()
        if said < 0.25:
            self.missing.add(place)
        elif said < 0.5:
            low, high = self.counts[place - 1], self.counts[place]
            count = self.chance.randint(low, max(low, high - 1))
            self.wrong[place] = read(self.engine, EDGES[place], count)
        else:
            for _ in range(self.chance.choice((1, 1, 2))):
                self.put_right(place)

    def put_right(self, place: int) -> None:
        self.missing.discard(place)
        if place in self.wrong:
            withdraw(self.engine, self.wrong.pop(place))
        read(self.engine, EDGES[place], self.counts[place])

    def put_some_right(self, share: float) -> None:
        for place in sorted({*self.missing, *self.wrong}):
            if self.chance.random() < share:
                self.put_right(place)


@pytest.mark.parametrize("seed", range(LIVES))
def test_history_and_credits_are_a_bill_from_scratch(
    put_home: Path, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    counts = [3_000]
    for _ in MONTHS:
        counts.append(counts[-1] + chance.choice((0, 4_321, 31_999, 60_000, 90_500)))
    with fresh(put_home, tmp_path, "lived") as engine:
        life = Life(engine, chance, counts)
        life.put_right(0)
        for place, month in enumerate(MONTHS, start=1):
            life.take(place)
            bill(engine, month)
            life.put_some_right(0.3)
            if chance.random() < 0.4:
                revise(engine, chance.choice(MONTHS[:place]))
        life.put_some_right(1)
        revise(engine, MONTHS[0])
        check_books(engine)
        check_evidence(engine)
        lived = standing(engine)
        assert revise(engine, MONTHS[0]).credits == 0, "billed again, nothing comes out otherwise"
    with fresh(put_home, tmp_path, "scratch") as engine:
        for edge, count in zip(EDGES, counts, strict=True):
            read(engine, edge, count)
        for month in MONTHS:
            bill(engine, month)
        assert lived == standing(engine)


def test_a_corrected_read_is_credited_and_later_tiers_follow(engine: Engine) -> None:
    home(engine)
    taken = [
        read(engine, edge, count)
        for edge, count in zip(EDGES[:4], (0, 100_000, 170_000, 200_000), strict=True)
    ]
    for month in MONTHS[:3]:
        bill(engine, month)
    with engine.begin() as connection:
        books.pay(
            connection,
            Teller("p", "clerk", at("2026-04-02T09:00:00")),
            "1-101",
            amount_fen=100_00 * 5,
            channel="cash",
            key="k",
            items=["water"],
        )
    # January was read 50 m3 too low: February had its 180 m3 of the first tier sooner
    withdraw(engine, taken[1])
    read(engine, EDGES[1], 150_000)
    done = revise(engine, "2026-01")
    assert (done.bills, done.credits) == (2, 2)
    with engine.connect() as connection:
        notes = {
            row.bill_id: (row.number, row.total_fen, row.reason)
            for row in connection.execute(select(credit_notes))
        }
        owed = books.standing_of(connection, "p", "1-101")
    assert notes == {
        "2026-01-1-101-water-1": ("C00000001", -500_00, "late reads"),
        "2026-02-1-101-water-1": ("C00000002", -350_00, "late reads"),
    }
    water = {key[1]: held[1] for key, held in standing(engine).items() if key[0] == "water"}
    # 150 at 5; 20 at 5; then 10 at 5 and 20 at 7 yuan
    assert water == {"2026-01": 750_00, "2026-02": 100_00, "2026-03": 190_00}
    received = {
        each.charge.period: each.received_fen for each in owed.statements if each.received_fen
    }
    assert received == {"2026-01": 500_00}
    check_books(engine)


def test_what_was_held_is_billed_when_its_read_is_there(engine: Engine) -> None:
    home(engine)
    read(engine, EDGES[0], 0)
    bill(engine, MONTHS[0])
    assert ("water", "2026-01") not in standing(engine)
    read(engine, EDGES[1], 10_000)
    done = revise(engine, MONTHS[0])
    assert (done.bills, done.credits, done.held) == (1, 0, 0)
    assert standing(engine)["water", "2026-01"][1] == 50_00


def test_a_quarter_is_charged_in_advance_by_its_days(engine: Engine) -> None:
    home(engine)
    for month in MONTHS:
        bill(engine, month)
    fees = {key[1]: held for key, held in standing(engine).items() if key[0] == "property-fee"}
    # 80 m2 at 1.50: 22 of 31 days of January, then two months; then a whole quarter
    assert {period: held[1] for period, held in fees.items()} == {
        "2026-01": 85_16 + 240_00,
        "2026-04": 360_00,
    }


def test_what_was_not_billed_is_not_billed_again(engine: Engine) -> None:
    home(engine)
    with pytest.raises(RefusedError, match="period 2026-01: allowed are periods that were billed"):
        revise(engine, "2026-01")
    bill(engine, "2026-01")
    with pytest.raises(RefusedError, match="reason"):
        runs.revise(engine, "p", "2026-01", reason=" ", by="clerk")
