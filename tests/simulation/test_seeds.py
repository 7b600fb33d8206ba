"""Seeded fault schedules of the delivery: none may lose, double, change or hold up a record."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAILING = Path(__file__).with_name("failing_seeds.txt")
SEEDS = 2000


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def once_failing() -> list[str]:
    lines = FAILING.read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


@pytest.mark.slow
def test_two_thousand_schedules_hold_every_invariant() -> None:
    done = simulate("--seeds", str(SEEDS), "--from", "1")

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    pattern = rf"schedules {SEEDS} readings (\d+) lost 0 duplicated 0 mutated 0 stuck 0"
    found = re.fullmatch(pattern, done.stdout.strip())
    assert found is not None, done.stdout
    assert int(found[1]) > 20 * SEEDS


@pytest.mark.parametrize("seed", once_failing())
def test_a_seed_that_once_failed_holds(seed: str) -> None:
    done = simulate("--seeds", "1", "--from", seed)

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_the_real_tables_pass_the_same_oracle() -> None:
    done = simulate("--seeds", "6", "--from", "13", "--real-cloud")

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_a_run_is_the_same_again() -> None:
    first = simulate("--seeds", "20", "--from", "7", "--processes", "1")
    second = simulate("--seeds", "20", "--from", "7", "--processes", "1")

    assert first.stdout == second.stdout
    assert first.returncode == 0, first.stdout[-4000:]
