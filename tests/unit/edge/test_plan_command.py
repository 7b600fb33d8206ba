"""The plan command as people type it."""

import json
import sys
from pathlib import Path

import pytest

from edge import cli
from protocols.modbus.wire import Wire

GATEWAY = """
gateway: gw-1
poll: {period_s: 10}
buses:
  - {id: line, kind: modbus-rtu, port: /dev/null, baud: 2400}
  - {id: net, kind: modbus-tcp, host: 127.0.0.1}
devices:
"""


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the program with these words; its exit code."""
    monkeypatch.setattr(sys, "argv", ["hutong-edge", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def gateway(folder: Path, *devices: str) -> str:
    """A gateway file with these devices; its path."""
    path = folder / "gateway.yaml"
    path.write_text(GATEWAY + "".join(f"  - {{{device}}}\n" for device in devices))
    return str(path)


def test_one_period_shows_blocks_time_and_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("plan", "--profile", "eastron-sdm120", "--points", "voltage,current")
    assert typed(monkeypatch, *command, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    blocks = [{"function": 4, "address": 0, "count": 8}]
    wire_ms = round(1000 * Wire().read_s(8), 3)
    assert told == {
        "blocks": blocks,
        "wire_ms": wire_ms,
        "rounds": [{"period_s": 60, "blocks": blocks, "wire_ms": wire_ms}],
        "bus_load": round(wire_ms / 60_000, 6),
    }
    assert typed(monkeypatch, *command) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"every 60 s  function 4  0x0000  x8  {wire_ms:.1f} ms",
        f"{wire_ms:.1f} ms on the wire",
        "0.1% of the bus",
    ]


def test_points_of_other_periods_get_rounds_of_their_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points = "voltage,current,energy_import"
    command = ("plan", "--profile", "eastron-sdm120", "--points", points, "--json")
    assert typed(monkeypatch, *command, "--periods", "voltage=5, energy_import=900") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(each["period_s"], each["blocks"]) for each in told["rounds"]] == [
        (5, [{"function": 4, "address": 0, "count": 2}]),
        (60, [{"function": 4, "address": 6, "count": 2}]),
        (900, [{"function": 4, "address": 72, "count": 2}]),
    ]
    assert len(told["blocks"]) == 3
    assert told["wire_ms"] == pytest.approx(3000 * Wire().read_s(2))
    assert told["bus_load"] == pytest.approx(
        Wire().read_s(2) * (1 / 5 + 1 / 60 + 1 / 900), abs=1e-6
    )


@pytest.mark.parametrize(
    ("period_s", "says"),
    [(1, "warning: 2400 baud: 22 devices take "), (3, "hint: 2400 baud: "), (30, "")],
)
def test_a_schedule_that_does_not_fit_is_warned_of(
    period_s: int, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--points", "voltage", "--baud", "2400", "--devices", "22", "--json")
    command = ("plan", "--profile", "eastron-sdm120", *options, "--period-s", str(period_s))
    assert typed(monkeypatch, *command) == 0
    told = capsys.readouterr()
    assert told.err.startswith(says)
    assert bool(told.err) is bool(says)
    if period_s == 1:
        # 22 x 120 ms take 2.64 of every second
        assert json.loads(told.out)["bus_load"] == pytest.approx(22 * Wire(baud=2400).read_s(2))
        assert "the shortest period that fits is 3 s instead of 1 s (4 s leaves room" in told.err


def test_a_gateway_file_shows_each_bus_and_warns_of_the_full_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    meters = [
        f"id: e-{n}, bus: line, unit_id: {n}, profile: eastron-sdm630, period_s: 1"
        for n in range(1, 5)
    ]
    net = "id: n-1, bus: net, unit_id: 1, profile: eastron-sdm120, points: [voltage]"
    config = gateway(tmp_path, *meters, net)
    assert typed(monkeypatch, "plan", "--config", config, "--json") == 0
    told = capsys.readouterr()
    line, far = json.loads(told.out)["buses"]
    assert (line["bus"], line["kind"], len(line["devices"])) == ("line", "modbus-rtu", 4)
    assert line["bus_load"] == pytest.approx(4 * line["devices"][0]["rounds"][0]["wire_ms"] / 1000)
    assert (far["bus"], far["requests_per_s"]) == ("net", 0.1)
    assert "bus_load" not in far
    assert "wire_ms" not in far["devices"][0]["rounds"][0]
    (warning,) = told.err.splitlines()
    assert warning.startswith(f"warning: bus line: 4 devices take {line['bus_load']:.2f} of ")
    assert typed(monkeypatch, "plan", "--config", config) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"line: 4 devices, {line['bus_load']:.1%} of the bus" in lines
    assert "net: 1 devices, 0.10 requests a second" in lines


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--profile, --config: one of the two is needed"),
        (("--profile", "eastron-sdm120", "--config", "x.yaml"), "and only one"),
        (("--config", "x.yaml", "--devices", "2"), "has points, periods and devices of its own"),
        (("--profile", "eastron-sdm120", "--parity", "X"), "--parity: 'X': allowed are N, E, O"),
        (("--profile", "eastron-sdm120", "--points", "x"), "--points: 'x': allowed are voltage, "),
        (("--profile", "eastron-sdm120", "--periods", "x=5"), "--periods: 'x=5': allowed points"),
        (
            ("--profile", "eastron-sdm120", "--periods", "voltage=0"),
            "--periods: 'voltage=0': allowed are whole seconds, 1..86400",
        ),
        (("--profile", "eastron-sdm120", "--periods", "voltage=1.5"), "whole seconds"),
    ],
)
def test_a_wrong_option_is_named(
    options: tuple[str, ...],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert typed(monkeypatch, "plan", *options) == 2
    assert says in capsys.readouterr().err
