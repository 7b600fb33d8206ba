"""Faults of tariff files as people see them: a golden folder each, with file, line and key."""

import re
from pathlib import Path

import pytest

from cloud.documents import DocumentError
from cloud.tariffs.files import parse_tariff

GOLDEN = Path(__file__).parents[3] / "golden" / "tariff-faults"
CASES = sorted(GOLDEN.iterdir())


def faults(text: str, *, name: str = "tariff.yaml") -> list[str]:
    """Give the faults of a tariff."""
    with pytest.raises(DocumentError) as caught:
        parse_tariff(text, name=name)
    return list(caught.value.faults)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_told_with_its_line(case: Path) -> None:
    found = faults((case / "tariff.yaml").read_text(encoding="utf-8"))
    assert found == (case / "expected.txt").read_text(encoding="utf-8").splitlines()
    for line in found:
        assert re.match(r"tariff\.yaml:\d+: ", line)
        assert re.search(r"allowed|required|not YAML", line)


def test_json_has_lines_too() -> None:
    text = '{\n  "id": "T",\n  "rounding": "line"\n}'
    assert any(
        line.startswith("t.json:2: id: 'T': allowed is") for line in faults(text, name="t.json")
    )
    assert faults('{\n"id": }', name="t.json")[0].startswith("t.json:2: not JSON: ")


@pytest.mark.parametrize("name", ["deep.yaml", "deep.json"])
def test_what_is_nested_too_deep_is_a_fault(name: str) -> None:
    (told,) = faults("[" * 100_000, name=name)
    assert told.startswith(name)
