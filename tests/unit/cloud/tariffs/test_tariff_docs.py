"""docs/tariffs.md: its example is a tariff, its numbers are right, no key is left out."""

import re
from pathlib import Path

import numpy as np
import pytest
import typer
from pydantic import BaseModel
from typer.testing import CliRunner

from cloud.tariffs import mass_rated, mass_rating, mass_usage, parts, rate_plan, usage, usage_files
from cloud.tariffs.commands import tariff_app
from cloud.tariffs.files import parse_tariff
from cloud.tariffs.rating import rate_by
from cloud.tariffs.tariff import Tariff
from tests.reference.second_engine import second_bill

DOCS = (Path(__file__).parents[4] / "docs" / "tariffs.md").read_text(encoding="utf-8")
PARTS = [part for part in vars(parts).values() if isinstance(part, type)]
MODELS = [part for part in PARTS if issubclass(part, BaseModel) and part.model_fields]
app = typer.Typer()
app.add_typer(tariff_app, name="tariff")


def block(kind: str) -> str:
    """Give the one block of a kind."""
    (text,) = re.findall(rf"^```{kind}\n(.*?)^```$", DOCS, re.DOTALL | re.MULTILINE)
    return str(text)


def test_the_example_comes_out_as_it_stands(tmp_path: Path) -> None:
    tariff, usage = tmp_path / "t.yaml", tmp_path / "u.json"
    tariff.write_text(block("yaml"), encoding="utf-8")
    usage.write_text(block("json"), encoding="utf-8")
    assert CliRunner().invoke(app, ["tariff", "check", str(tariff)]).exit_code == 0
    result = CliRunner().invoke(app, ["tariff", "try", str(tariff), "--usage", str(usage)])
    assert result.stdout == block("text")


def test_the_second_engine_makes_the_same_of_the_example() -> None:
    usage = {"from": "2026-07-01", "to": "2026-08-01"}
    assert all(value in block("json") for value in usage.values())
    bill = second_bill(block("yaml"), usage | {"time_of_use": {"peak": "210.5", "valley": "89.5"}})
    assert f"{bill.total_fen / 100:.2f} 元" in block("text").splitlines()[-1]
    assert parse_tariff(block("yaml"), name="t.yaml").verified


@pytest.mark.parametrize("model", [Tariff, *MODELS], ids=lambda model: model.__name__)
def test_every_key_is_told(model: type[BaseModel]) -> None:
    told = set(re.findall(r"`([a-z_0-9]+)", DOCS))
    assert [name for name in model.model_fields if name not in told] == []


def test_every_key_of_a_usage_is_told() -> None:
    told = set(re.findall(r"`([a-z_0-9]+)", DOCS))
    for form in (usage_files._UsageForm, usage_files._PremiseForm, usage_files._InvoiceForm):
        names = {field.alias or name for name, field in form.model_fields.items()}
        assert names <= told, names - told


def test_many_accounts_are_rated_as_it_says() -> None:
    tariff = parse_tariff(block("yaml"), name="t.yaml")
    names: dict[str, object] = {
        "tariff": tariff.model_copy(update={"split_rule": "by-time"}),
        "hours": np.full((2, 720), 41),
    }
    for module in (mass_usage, mass_rating, rate_plan, usage):
        names |= vars(module)
    exec(block("python"), names | {"np": np}, names)  # noqa: S102  # the docs' own example
    rated, mass = names["rated"], names["usage"]
    assert isinstance(rated, mass_rated.MassRated)
    assert isinstance(mass, mass_usage.MassUsage)
    for account in range(2):
        plan = rate_plan.RatePlan(rated.tariff)
        expected = rate_by(plan, mass.usage(rated.tariff, account))
        assert rated.rated(account) == expected
        assert rated.totals_fen[account] == expected.total_fen > 0
