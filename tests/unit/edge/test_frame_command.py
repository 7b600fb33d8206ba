"""The frame command on golden lines, on pasted dumps and on lines that are none."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import cli
from edge.frame_command import JUDGES, KEYS, answer

GOLDEN = Path(__file__).parents[2] / "golden" / "frames"
LINES = [
    json.loads(line)
    for file in sorted(GOLDEN.glob("*.jsonl"))
    for line in file.read_text(encoding="utf-8").splitlines()
]
NAMES = ["verdict", "reason", "unit_id", "function", "exception", "words", "fields"]
FRAME = "01 04 04 43 66 33 34 1B 38"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)


def ran(monkeypatch: pytest.MonkeyPatch, *words: str, stdin: bytes = b"") -> int:
    """Run the program with these words and this input; its exit code."""
    monkeypatch.setattr(sys, "argv", ["hutong-edge", "frame", *words])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["input"]["id"])
def test_golden(line: dict[str, Any]) -> None:
    told = answer(json.dumps(line["input"]).encode())
    expect = line["expect"]
    fields = told["fields"]
    assert isinstance(fields, dict)
    assert list(told) == ["id", *NAMES]
    assert told["id"] == line["input"]["id"]
    assert expect.get("reason", "") in str(told["reason"])
    wanted = expect.get("fields", {})
    assert {key: fields.get(key, "absent") for key in wanted} == wanted
    rest = {key: value for key, value in expect.items() if key not in ("reason", "fields")}
    assert {key: told[key] for key in rest} == rest


def test_there_are_golden_lines_of_every_protocol() -> None:
    assert {line["input"]["protocol"] for line in LINES} == set(JUDGES)
    assert {line["expect"]["verdict"] for line in LINES} == {"accept", "exception", "reject"}
    assert len({line["input"]["id"] + line["input"]["protocol"] for line in LINES}) == len(LINES)


def test_one_dump_as_json_and_as_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--protocol", "dlt645", "--kind", "response")
    dump = "FE FE FE FE 68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16"
    assert ran(monkeypatch, *words, "--hex", dump, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == NAMES
    assert (told["verdict"], told["fields"]["value"]) == ("accept", "0.26")
    assert ran(monkeypatch, *words, "--hex", dump) == 0
    assert "verdict: accept" in capsys.readouterr().out


def test_lines_are_answered_one_by_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        '{"id": 7, "protocol": "mbus", "hex": "10 5B 40 9B 16"}',
        "not json",
        '{"id": "x", "protocol": "modbus", "hex": "00"}',
        '{"id": "y", "protocol": "mbus", "kind": "both", "hex": "00"}',
        '{"id": "z", "protocol": "mbus", "hexx": "00"}',
        '{"id": "w", "protocol": "mbus"}',
        '{"id": "v", "protocol": "mbus", "hex": 5}',
        "[1]",
        '{"id": "\\ud800", "protocol": "mbus", "request": null, "hex": "E5"}',
    ]
    stdin = "\n".join(lines).encode() + b'\n\xff\n\n{"id": 1, "hex": "0"}'
    assert ran(monkeypatch, "--hex", "-", "--json", stdin=stdin) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["id"] for line in told] == [7, None, *"xyzwv", None, "\ud800", None, 1]
    accepted = [line["verdict"] == "accept" for line in told]
    assert accepted == [True, *[False] * 7, True, False, False]
    reasons = [line["reason"] for line in told]
    for place, part in enumerate(
        [
            "",
            "no JSON",
            "'modbus': allowed are modbus-rtu",
            "'both': allowed are",
            "'hexx': unknown",
        ]
    ):
        assert part in reasons[place]
    assert reasons[5:8] == ["hex: missing", "hex: int: must be text", reasons[7]]
    assert "no JSON object but list" in reasons[7]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--protocol", "knx"), "--protocol: 'knx': allowed are modbus-rtu, "),
        (("--protocol", "mbus", "--kind", "both"), "--kind: 'both': allowed are request, response"),
        ((), "--protocol: None: allowed are"),
    ],
)
def test_wrong_options_are_named(
    words: tuple[str, ...],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ran(monkeypatch, *words, "--hex", "00") == 2
    assert says in capsys.readouterr().err


@given(JSON)
def test_any_json_gets_an_answer(value: object) -> None:
    told = answer(json.dumps(value).encode())
    assert list(told) == ["id", *NAMES]
    assert told["reason"]
    json.dumps(told)


@given(st.binary(max_size=40))
def test_any_line_gets_an_answer(line: bytes) -> None:
    assert answer(line)["verdict"] == "reject"
