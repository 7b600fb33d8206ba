"""Report by exception: deadband, heartbeat, and what is never left out."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.driver import Quality, Sample
from edge.config import load
from edge.report import Reporter, ReportRule
from protocols.errors import ConfigError

SECOND_US = 1_000_000
RULE = ReportRule(Decimal("0.5"), 300)


def sample(
    count: int | None, at_s: int, *, quality: Quality = "good", billing: bool = False
) -> Sample:
    at_us = at_s * SECOND_US
    return Sample("power", count, -1, "W", quality, (), at_us, at_us, billing)


def told(reporter: Reporter, *samples: Sample) -> list[bool]:
    return [bool(reporter.worth_telling([each])) for each in samples]


def test_only_a_move_beyond_the_deadband_is_told() -> None:
    reporter = Reporter({"power": RULE})
    counts = [100, 105, 95, 106, 101, 100]
    moves = [sample(count, at_s) for at_s, count in enumerate(counts)]
    # 0.5 W are five counts: 105 and 95 stay, 106 tells, 101 is five from 106, 100 is six
    assert told(reporter, *moves) == [True, False, False, True, False, True]


def test_a_slow_drift_is_measured_from_what_was_told() -> None:
    reporter = Reporter({"power": RULE})
    drift = [sample(100 + step, step) for step in range(13)]
    assert [index for index, said in enumerate(told(reporter, *drift)) if said] == [0, 6, 12]


def test_the_heartbeat_tells_what_stands_still() -> None:
    reporter = Reporter({"power": RULE})
    still = [sample(100, at_s) for at_s in (0, 299, 300, 599, 600)]
    assert told(reporter, *still) == [True, False, True, False, True]


def test_a_change_of_quality_and_a_missing_value_are_told() -> None:
    reporter = Reporter({"power": RULE})
    changes = [
        sample(100, 0),
        sample(None, 1, quality="missing"),
        sample(None, 2, quality="missing"),
        sample(100, 3),
        sample(100, 4, quality="out_of_range"),
    ]
    assert told(reporter, *changes) == [True, True, False, True, True]


def test_a_billed_register_and_a_point_without_a_rule_always_travel() -> None:
    billed = Reporter({"power": RULE})
    assert told(billed, *(sample(100, at_s, billing=True) for at_s in range(5))) == [True] * 5
    assert told(Reporter({}), *(sample(100, at_s) for at_s in range(5))) == [True] * 5


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=50))
def test_what_the_cloud_knows_is_never_further_off_than_the_deadband(counts: list[int]) -> None:
    reporter = Reporter({"power": ReportRule(Decimal("1.5"), 10**6)})
    known = None
    for at_s, count in enumerate(counts):
        for kept in reporter.worth_telling([sample(count, at_s)]):
            known = kept.count
        assert known is not None
        assert abs(known - count) <= 15


GATEWAY = """
gateway: gw-1
buses: [{id: tcp-1, kind: modbus-tcp, host: 127.0.0.1, port: 1502}]
devices:
  - {id: e-1, bus: tcp-1, unit_id: 1, profile: eastron-sdm120, points: [%s], report: {%s}}
"""


def test_the_gateway_file_says_what_is_worth_telling(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    rule = 'active_power: {deadband: "20", heartbeat_s: 600}'
    path.write_text(GATEWAY % ("energy_import, active_power", rule))
    reporter = load(path).devices[0].reporter()
    assert reporter.rules == {"active_power": ReportRule(Decimal(20), 600)}


@pytest.mark.parametrize(
    ("points", "rule", "says"),
    [
        ("active_power", 'voltage: {deadband: "1"}', "report.voltage: is not read"),
        ("voltage", 'voltage: {deadband: "1", heartbeat_s: 121}', "allowed is up to 120"),
        ("voltage", 'voltage: {deadband: "-1"}', "deadband"),
    ],
)
def test_a_rule_that_would_silence_a_device_is_a_fault(
    tmp_path: Path, points: str, rule: str, says: str
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(GATEWAY % (points, rule))
    with pytest.raises(ConfigError, match=says):
        load(path)
