"""A disk whose writes or syncs fail at any call: what the journal said it has, it has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.journal_driver import GATEWAY
from tests.faults.journal_oracle import Oracle, check_words
from tests.fixtures.system_parts import program

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).with_name("failing_calls.c")
MINUTES = 120
RUN_S = 60.0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile what makes calls fail."""
    built = tmp_path_factory.mktemp("library") / "failing_calls.so"
    command = [program("cc"), "-shared", "-fPIC", "-O1", "-o", str(built), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, timeout=RUN_S)
    return built


def drive(oracle: Oracle, plan: str, minutes: int, more: dict[str, str]) -> tuple[int, str]:
    """Run the driver as a process of its own; return its exit code and what it wrote."""
    start = "import sys; from tests.faults.journal_driver import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", start, str(oracle.path), str(oracle.said), plan, str(minutes)],
        env=os.environ | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_S,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("call", "after", "times"),
    [
        ("write", 3, ""),
        ("write", 700, "1"),
        ("write", 1500, ""),
        ("sync", 2, ""),
        ("sync", 75, ""),
        ("sync", 110, "1"),
    ],
)
def test_a_call_that_fails(
    call: str, after: int, times: str, library: Path, tmp_path: Path
) -> None:
    path, plan = tmp_path / f"{GATEWAY}.journal", "alone"
    oracle = Oracle(path, tmp_path / "said", exact=True)
    assert drive(oracle, plan, 10, {}) == (0, "")
    faults = {
        "LD_PRELOAD": str(library),
        "FAIL_CALL": call,
        "FAIL_FILE": path.name,
        "FAIL_AFTER": str(after),
    }
    code, said = drive(oracle, plan, MINUTES, faults | ({"FAIL_TIMES": times} if times else {}))
    assert code == 1, said
    # one clear line: which file, what fails
    assert said.splitlines()[-1].startswith("edge.journal_errors.JournalError: "), said
    assert str(path) in said.splitlines()[-1]
    assert "SQLITE_IOERR" in said.splitlines()[-1]
    assert "Full" not in said.splitlines()[-1]
    oracle.judge()
    assert drive(oracle, plan, MINUTES, {})[0] == 0
    oracle.judge()
    check_words(path)
