"""Each rule of the delivery removed in turn is caught by the seeds on record."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS, WANTED, read_table

ROOT = Path(__file__).parents[2]


def caught(table: dict[str, list[int]]) -> list[str]:
    return [name for name, seeds in table.items() if len(seeds) >= WANTED]


def test_there_are_at_least_forty_and_the_table_has_them_all() -> None:
    table = read_table()

    assert set(table) == {mutant.name for mutant in MUTANTS}
    assert len(caught(table)) >= 40


def test_the_sql_that_mutants_change_is_in_the_journal() -> None:
    texts = [
        node.value
        for file in (ROOT / "edge").glob("journal*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    wanted = {mutant.name: mutant.old for mutant in MUTANTS if not mutant.where}

    assert wanted
    assert [name for name, old in wanted.items() if not any(old in text for text in texts)] == []


@pytest.mark.slow
def test_every_mutant_is_caught_by_its_seeds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.mutants", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    many = len(caught(read_table()))
    assert f"mutants {many} caught {many}" in done.stdout
