"""The profile and decode commands as people type them."""

import json
import sys
from pathlib import Path

import pytest

from devices.profile import profile_ids, profiles_folder
from devices.profile_schema import schema_text
from edge import cli


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the program with these words; its exit code."""
    monkeypatch.setattr(sys, "argv", ["hutong-edge", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def test_check_reads_ids_and_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(profiles_folder() / "chint-dtsu666.yaml")
    assert typed(monkeypatch, "profile", "check", "eastron-sdm120", file) == 0
    assert capsys.readouterr().out.splitlines() == [
        "eastron-sdm120: 11 points, 0 variants",
        "chint-dtsu666: 17 points, 1 variants",
    ]
    assert typed(monkeypatch, "profile", "check") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(profile_ids())


def test_check_tells_every_fault_of_every_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (profiles_folder() / "eastron-sdm120.yaml").read_text(encoding="utf-8")
    bad = tmp_path / "bad.yaml"
    bad.write_text(text.replace("function: 4", "function: 5").replace("maker:", "makr:"))
    assert typed(monkeypatch, "profile", "check", str(bad), "nobody", "tuf-2000m") == 2
    told = capsys.readouterr()
    assert told.out.splitlines() == ["tuf-2000m: 11 points, 0 variants"]
    faults = told.err.splitlines()
    assert len(faults) == 4
    assert sum(fault.startswith(f"{bad}: ") for fault in faults) == 3
    assert any("'nobody': allowed are abb-b23, " in fault for fault in faults)


def test_list_names_every_profile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, "profile", "list", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["id"] for row in rows] == profile_ids()
    assert all(row["billing"] for row in rows)
    assert typed(monkeypatch, "profile", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rows)
    assert any("chint-dtsu666" in line and "variants: older-map" in line for line in lines)


def test_schema_prints_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, "profile", "schema") == 0
    assert capsys.readouterr().out == schema_text()


def test_decode_prints_each_whole_point(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "4365 0000 0000 0000 0000 0000 3f80"
    command = ("decode", "--profile", "eastron-sdm120", "--function", "4", "--address", "0")
    assert typed(monkeypatch, *command, "--words", words, "--json") == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {
            "point": "voltage",
            "value": "229.0",
            "uom": "V",
            "quality": "good",
            "words": "4365 0000",
        }
    ]
    assert typed(monkeypatch, *command, "--words", f"{words} 0000") == 0
    assert capsys.readouterr().out.splitlines() == [
        "voltage  229.0  V  good  4365 0000",
        "current  1.000  A  good  3f80 0000",
    ]


def test_decode_uses_the_variant_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("decode", "--profile", "carlo-gavazzi-em340", "--address", "0x34", "--json")
    assert typed(monkeypatch, *command, "--words", "FFFF 7FFF") == 0
    point = json.loads(capsys.readouterr().out)
    assert (point["value"], point["quality"]) == (None, "missing")
    big = (*command, "--variant", "engineering-sample", "--words", "0000 b809")
    assert typed(monkeypatch, *big) == 0
    assert json.loads(capsys.readouterr().out)["value"] == "4711.3"


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--words", "4365 00", "--words: '00': allowed are words of four hex digits"),
        ("--words", "", "--words: 0 words: allowed are 1..125"),
        ("--words", "0000 " * 126, "--words: 126 words: allowed are 1..125"),
        ("--address", "0x10000", "--address: '0x10000': allowed are 0..65535"),
        ("--address", "here", "--address: 'here': allowed are 0..65535"),
        ("--address", "65535", "--address: 65535 and 2 words: the last register is 65535"),
        ("--function", "3", "no point lies wholly in function 3, registers 0x0000..0x0001"),
        ("--function", "6", "--function: 6: allowed are 3, 4"),
        ("--variant", "x", "variant: 'x': allowed for eastron-sdm120 are none"),
        ("--profile", "sdm", "profile: 'sdm': allowed are "),
    ],
)
def test_decode_names_what_is_wrong(
    option: str,
    value: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = {"--profile": "eastron-sdm120", "--address": "0", "--words": "4365 0000"}
    options[option] = value
    assert typed(monkeypatch, "decode", *(part for pair in options.items() for part in pair)) == 2
    assert says in capsys.readouterr().err
