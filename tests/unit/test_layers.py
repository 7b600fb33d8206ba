"""The import contracts hold, and they fail when a layer is crossed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")
PACKAGES = ("cloud", "devices", "edge", "protocols")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    # the folder itself comes first on the path, so that its packages are judged and no others
    return subprocess.run(
        [LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the packages."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


def test_no_layer_is_crossed(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("cloud/errors.py", "import devices.driver"),
        ("cloud/errors.py", "import protocols.modbus.frames"),
        ("cloud/errors.py", "import edge.clock"),
        ("edge/clock.py", "import cloud.errors"),
        ("devices/driver.py", "import edge.clock"),
        ("protocols/errors.py", "import devices.driver"),
    ],
)
def test_a_crossed_layer_fails(tree: Path, file: str, line: str) -> None:
    path = tree / file
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n{line}\n", encoding="utf-8")
    try:
        done = lint(tree)
    finally:
        path.write_text(text, encoding="utf-8")
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout
