"""The allocate command."""

import json

import pytest
import typer
from typer.testing import CliRunner

from cloud.billing.commands import allocate

app = typer.Typer()
app.command("allocate")(allocate)


@app.callback()
def _programs() -> None:
    """Keep the command's name, which an application of one command drops."""


def run(*arguments: str, stdin: str | None = None) -> tuple[int, str, list[str]]:
    """Run a command: exit code, standard output, lines of standard error."""
    result = CliRunner().invoke(app, list(arguments), input=stdin)
    return result.exit_code, result.stdout, result.stderr.splitlines()


@pytest.mark.parametrize(
    "shares",
    ['{"b": "2.0", "a": 1, "c": 0.5}', "premise,weight\nb,2.0\na,1\n\nc,0.5\n", "b,2\na,1\nc,.5"],
)
def test_allocate_reads_json_and_csv(shares: str) -> None:
    arguments = ("allocate", "--total", "72.45", "--by", "area", "--shares", "-", "--json")
    code, out, err = run(*arguments, stdin=shares)
    if ",.5" in shares:
        assert (code, out) == (2, "")
        assert err == [
            (
                "standard input: c: '.5': allowed is a decimal number in quotes,"
                " such as '0.4883', with at most 18 decimals"
            )
        ]
    else:
        assert (code, err) == (0, [])
        assert json.loads(out) == {"shares": {"a": "20.70", "b": "41.40", "c": "10.35"}}


@pytest.mark.parametrize(
    ("total", "shares", "fault"),
    [
        ("1.005", '{"a": "1"}', "--total: '1.005': allowed is an amount in yuan"),
        ("-1", '{"a": "1"}', "carried forward"),
        ("1", '{"a": "0"}', "no fallback"),
        ("1", '{"a": "1", "a": "2"}', "key 'a' stands twice"),
        ("1", "a,1\na,2", "standard input: a: stands twice"),
        ("1", "a;1", "line 1: 'a;1': allowed is premise,weight"),
        ("1", "", "no premise"),
        ("1", '{"a": "-1"}', "weight of a: -1"),
        ("1", '{"a": null}', "standard input: a: None: allowed is a decimal"),
    ],
)
def test_a_bad_allocation_exits_2_with_a_line(total: str, shares: str, fault: str) -> None:
    arguments = ("allocate", f"--total={total}", "--by", "usage", "--shares", "-", "--json")
    code, out, err = run(*arguments, stdin=shares)
    assert (code, out, len(err)) == (2, "", 1)
    assert fault in err[0]


def test_allocate_without_json_prints_a_row_per_premise() -> None:
    arguments = ("allocate", "--total", "0.05", "--by", "head", "--shares", "-")
    assert run(*arguments, stdin="b,1\na,1")[1] == "a  0.03\nb  0.02\n"
