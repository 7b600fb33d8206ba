"""The JSON Schema of tariffs: current, of known keywords, and true of what ships."""

import json
from typing import Any

import pytest
import yaml

from cloud.tariffs.files import BUILT_IN
from cloud.tariffs.schema import SCHEMA_FILE, schema_text
from tests.reference.golden_cases import tariff_texts
from tests.reference.json_schema import misfits

SCHEMA: dict[str, Any] = json.loads(schema_text())
TEXTS = [text for texts in tariff_texts().values() for text in texts]


class _EditorsLoader(yaml.SafeLoader):
    """Reads YAML as editors do: numbers are numbers, days stay text."""


_EditorsLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def judged(text: str) -> list[str]:
    """Give what an editor would underline in a tariff."""
    document = yaml.load(text, Loader=_EditorsLoader)  # noqa: S506  # a SafeLoader
    return list(misfits(SCHEMA, SCHEMA, document))


def test_the_schema_that_ships_is_current() -> None:
    assert (BUILT_IN / SCHEMA_FILE).read_text(encoding="utf-8") == schema_text()


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.split()[4])
def test_what_ships_fits_the_schema(text: str) -> None:
    assert judged(text) == []


@pytest.mark.parametrize(
    ("old", "new", "misfit"),
    [
        ("rounding: once", "rounding: up", ".rounding: 'up': enum"),
        ("uom: m3", "unit: m3", ".unit: unknown"),
        ("service: water\n", "", "required"),
        ('water: "2.07"', 'water: "2,07"', ".rates.0.prices.water: '2,07': none of anyOf"),
        ("tier: 2", "tier: 0", ".rates.1.tier: 0: none of anyOf"),
        ("period: year", "period: week", ".tiers: "),
        ('["180", "260"]', '["-180", "260"]', ".tiers: "),
    ],
)
def test_the_schema_refuses_what_is_wrong(old: str, new: str, misfit: str) -> None:
    (text,) = tariff_texts()["cn-beijing-water"]
    assert old in text
    found = judged(text.replace(old, new, 1))
    assert any(misfit in each for each in found), found
