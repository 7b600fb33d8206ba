"""The tariff commands as people type them."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cloud.tariffs.commands import tariff_app
from cloud.tariffs.files import BUILT_IN, load_tariffs
from cloud.tariffs.schema import schema_text

app = typer.Typer()
app.add_typer(tariff_app, name="tariff")


def run(*arguments: str, stdin: str | None = None) -> tuple[int, str, list[str]]:
    """Run a command: exit code, standard output, lines of standard error."""
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    return result.exit_code, result.stdout, result.stderr.splitlines()


def test_list_names_every_tariff() -> None:
    code, out, err = run("tariff", "list", "--json")
    assert (code, err) == (0, [])
    rows = json.loads(out)["tariffs"]
    assert len(rows) == len(list(BUILT_IN.glob("*.yaml")))
    assert [row["id"] for row in rows] == [tariff.id for tariff in load_tariffs()]
    assert {row["verified"] for row in rows} == {False}
    code, out, _ = run("tariff", "list")
    assert code == 0
    assert len(out.splitlines()) == len(rows)


def test_list_filters_by_service_and_day() -> None:
    code, out, _ = run("tariff", "list", "--json", "--service", "gas", "--on", "2018-07-09")
    rows = json.loads(out)["tariffs"]
    assert (code, [(row["id"], row["version"]) for row in rows]) == (
        0,
        [("cn-beijing-gas", "2016")],
    )
    code, out, _ = run("tariff", "list", "--service", "gas", "--on", "2018-07-10")
    assert (code, out.split()[:2]) == (0, ["cn-beijing-gas", "2018"])
    code, out, err = run("tariff", "list", "--service", "milk")
    assert (code, out) == (2, "")
    assert err[0].startswith("--service: 'milk': allowed are electricity, garbage, gas, ")
    code, _, err = run("tariff", "list", "--on", "today")
    assert (code, err) == (2, ["--on: 'today': allowed is a date such as 2026-07-01"])


def test_schema_prints_the_file() -> None:
    assert run("tariff", "schema") == (0, schema_text(), [])


def test_a_fixed_charge_needs_no_quantity() -> None:
    usage = '{"from": "2026-07-01", "to": "2026-08-01", "premise": {"area_m2": "100"}}'
    code, out, _ = run(
        "tariff", "try", "cn-property-fee-area", "--usage", "-", "--json", stdin=usage
    )
    assert (code, json.loads(out)["total"]) == (0, "150.00")


def test_try_names_the_usage_file_in_a_fault() -> None:
    usage = '{"from": "2026-12-15", "to": "2027-01-15", "quantity": "1"}'
    code, out, err = run("tariff", "try", "cn-beijing-water", "--usage", "-", stdin=usage)
    assert (code, out) == (2, "")
    assert err[0].startswith("standard input: to: 2027-01-15: annual tiers begin anew on 1 January")


def test_check_prints_one_line_per_fault(tmp_path: Path) -> None:
    good = BUILT_IN / "cn-beijing-water.yaml"
    assert run("tariff", "check", str(good))[0] == 0
    bad = tmp_path / "bad.yaml"
    text = good.read_text(encoding="utf-8")
    bad.write_text(text.replace("rounding: once", "rounding: up").replace("m3", "", 1))
    bad.write_text(bad.read_text().replace("verified: false", "verified: maybe"))
    code, out, err = run("tariff", "check", str(bad), str(tmp_path / "absent.yaml"))
    assert (code, out) == (2, "")
    assert [line.split(": ")[:2] for line in err] == [
        [f"{bad}:11", "verified"],
        [f"{bad}:16", "rounding"],
        [str(tmp_path / "absent.yaml"), "cannot be read"],
    ]


def test_try_reads_standard_input_and_a_tariff_file() -> None:
    file = str(BUILT_IN / "cn-beijing-water.yaml")
    usage = '{"from": "2026-07-01", "to": "2026-08-01", "quantity": 12.5, "used_before": "0"}'
    code, out, _ = run("tariff", "try", file, "--usage", "-", stdin=usage)
    assert code == 0
    assert out.splitlines()[-1] == "合计 (total)  62.50 元"


@pytest.mark.parametrize(
    ("usage", "fault"),
    [
        ("{", "standard input: not JSON: "),
        ("[]", "standard input: allowed is an object"),
        ('{"from": "2026-07-01", "to": "2026-08-01"}', "one of quantity, time_of_use or"),
        ('{"from": "july", "to": "2026-08-01", "quantity": "1"}', "from: 'july': allowed is a"),
        ('{"from": "2026-07-01", "to": "2026-08-01", "quantity": "NaN"}', "quantity: 'NaN': "),
        ('{"from": "2026-07-01", "to": "2026-08-01", "quantity": NaN}', "NaN is not a number"),
        ('{"from": "2026-07-01", "to": "2026-08-01", "quantity": "-1"}', "quantity: '-1': "),
        ('{"from": "2010-07-01", "to": "2010-08-01", "quantity": "1"}', "not in force on 2010"),
        (
            (
                '{"from": "2026-07-01", "to": "2026-08-01",'
                ' "intervals": [["2026-07-01T00:00:00", "2026-07-01T01:00:00+08:00", "1"]]}'
            ),
            "intervals.0.0: '2026-07-01T00:00:00': allowed is a time with its offset",
        ),
    ],
)
def test_a_bad_usage_exits_2_with_a_line(usage: str, fault: str) -> None:
    code, out, err = run("tariff", "try", "cn-beijing-water", "--usage", "-", stdin=usage)
    assert (code, out, len(err)) == (2, "", 1)
    assert fault in err[0]


def test_an_unknown_tariff_exits_2() -> None:
    usage = '{"from": "2026-07-01", "to": "2026-08-01", "quantity": "1"}'
    code, _, err = run("tariff", "try", "nowhere", "--usage", "-", stdin=usage)
    assert code == 2
    assert err[0].startswith("tariff nowhere: unknown; allowed are a file or one of cn-")
