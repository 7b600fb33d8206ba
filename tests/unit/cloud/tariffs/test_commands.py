"""The tariff commands, with a golden folder per tariff case."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cloud.tariffs.commands import tariff_app
from cloud.tariffs.files import BUILT_IN, load_tariffs

GOLDEN = Path(__file__).parents[3] / "golden" / "tariffs"
CASES = sorted(GOLDEN.iterdir())
app = typer.Typer()
app.add_typer(tariff_app, name="tariff")


def run(*arguments: str, stdin: str | None = None) -> tuple[int, str, list[str]]:
    """Run a command: exit code, standard output, lines of standard error."""
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    return result.exit_code, result.stdout, result.stderr.splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_tariff(case: Path) -> None:
    tariff = (case / "tariff.txt").read_text(encoding="utf-8").strip()
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    code, out, err = run("tariff", "try", tariff, "--usage", str(case / "usage.json"), "--json")
    if "fault" in expected:
        assert (code, out, len(err)) == (2, "", 1)
        assert err[0].startswith(f"{case / 'usage.json'}: ")
        assert expected["fault"] in err[0]
        return
    assert (code, err) == (0, [])
    found = json.loads(out)
    keys = ("code", "quantity", "unit_price", "amount")
    assert [{key: item[key] for key in keys} for item in found["line_items"]] == expected[
        "line_items"
    ]
    assert found["total"] == expected["total"]
    assert all(item["description"] and item["description_en"] for item in found["line_items"])


def test_every_shipped_tariff_has_a_golden_case() -> None:
    covered = {(case / "tariff.txt").read_text(encoding="utf-8").strip() for case in CASES}
    assert covered == {tariff.id for tariff in load_tariffs()}


def test_list_names_every_tariff() -> None:
    code, out, err = run("tariff", "list", "--json")
    assert (code, err) == (0, [])
    rows = json.loads(out)["tariffs"]
    assert [row["id"] for row in rows] == sorted(path.stem for path in BUILT_IN.iterdir())
    assert {row["verified"] for row in rows} == {False}
    code, out, _ = run("tariff", "list")
    assert code == 0
    assert len(out.splitlines()) == len(rows)


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
        [str(bad), "verified"],
        [str(bad), "rounding"],
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
