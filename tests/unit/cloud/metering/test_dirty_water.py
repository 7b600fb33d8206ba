"""Real water series, dirt included, through the screening: the counts of verdicts are pinned."""

import os
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cloud.metering import verdict_repository as verdicts
from cloud.metering import verification
from cloud.metering.point_reads import reads_of_points
from cloud.telemetry import repository as telemetry
from protocols.delivery.records import Reading
from tests.fixtures.estate import GATEWAY, meter, put_on_file

MILLILITRES = -6


@pytest.fixture
def recordings() -> Path:
    folder = os.environ.get("HUTONG_TEST_DATA")
    if not folder:
        pytest.skip("HUTONG_TEST_DATA is not set: it names the folder that holds water-weusedto")
    return Path(folder) / "water-weusedto"


def flows(path: Path) -> list[tuple[int, float]]:
    """Give (second, value) of each line of a recording."""
    lines = [line.split() for line in path.read_text().splitlines()[1:]]
    return [(int(line[0]), float(line[1])) for line in lines]


def totals(samples: list[tuple[int, float]]) -> list[tuple[int, int]]:
    """Give the register in millilitres of a flow in litres per hour, held for a minute at most."""
    register, found = 0, []
    for index, (second, _) in enumerate(samples):
        if index:
            before_s, before = samples[index - 1]
            register += round(before * min(second - before_s, 60) * 1_000 / 3_600)
        found.append((second, register))
    return found


def screened(
    engine: Engine, reads: list[tuple[int, int]], **limits: int
) -> tuple[dict[str, int], list[int]]:
    """Give the verdicts on a series of (second, count) by rule, and the counts that were kept."""
    reads = [(second, count) for second, count in reads if abs(count) < 1 << 62]
    changes = {"exponent": MILLILITRES, "point": "total_positive", "service": "water"}
    with engine.begin() as connection:
        put_on_file(
            connection,
            date(2019, 1, 1),
            premises=[],
            meters=[meter("w", installed_on="2019-01-01", **changes, **limits)],
        )
        rows = [
            Reading("w", "total_positive", "m3", MILLILITRES, count, 0, second * 10**6, 0)
            for second, count in reads
        ]
        telemetry.store(connection, [(GATEWAY, b"0" * 16, rows)])
        verification.screen_point(connection, "mp-w")
        found = verdicts.counts_by_rule(connection, "mp-w")
        listed = Counter(item.rule for item in verdicts.findings_of(connection, "mp-w"))
        assert listed.keys() == found.keys()
        point = reads_of_points(connection, ["mp-w"])["mp-w"]
        low, high = reads[0][0] * 10**6, reads[-1][0] * 10**6 + 1
        kept = [read.count for read in point.kept(point.mounted[0], low, high)]
    assert kept == sorted(kept), "what is kept never falls"
    aside = sum(size for rule, size in found.items() if not rule_keeps(rule))
    assert len(kept) + aside == len(reads)
    return {rule.value: size for rule, size in sorted(found.items())}, kept


def rule_keeps(rule: str) -> bool:
    return rule in ("spike-history", "stuck", "late", "rollover", "accepted")


def test_a_washing_machine_is_clean_but_for_its_pauses(
    sqlite_engine: Engine, recordings: Path
) -> None:
    reads = totals(flows(recordings / "weusedto_feed_Washingmachine.MYD.csv"))
    found, kept = screened(sqlite_engine, reads, max_per_hour=2_000_000)
    # it stood still for a day longer than in any week before
    assert found == {"stuck": 1}
    assert kept[-1] - kept[0] == reads[-1][1]


def test_a_whole_house_of_garbage_bills_no_garbage(sqlite_engine: Engine, recordings: Path) -> None:
    reads = totals(flows(recordings / "weusedto_feed_WholeHouse.MYD.csv"))
    found, kept = screened(sqlite_engine, reads, max_per_hour=2_000_000)
    # once the garbage went into the register, all that follows waits for a person
    assert found == {"spike": 2405}
    hours = (reads[-1][0] - reads[0][0]) / 3_600
    assert 0 <= kept[-1] - kept[0] <= 2_000_000 * hours


def test_a_register_that_shows_garbage_amid_zeros(sqlite_engine: Engine, recordings: Path) -> None:
    samples = flows(recordings / "weusedto_feed_WholeHouse.MYD.csv")
    reads = [(second, round(value)) for second, value in samples]
    found, kept = screened(sqlite_engine, reads, max_per_hour=2_000_000)
    assert found == {
        "backwards": 35,
        "false-zero": 126,
        "out-of-range": 1126,
        "spike": 1094,
        "spike-history": 8,
    }
    # what the limit allows after a silence, and what stays, is kept and named: for a person
    hours = (reads[-1][0] - reads[0][0]) / 3_600
    assert kept[-1] == 35_447_984
    assert kept[-1] < 2_000_000 * hours
