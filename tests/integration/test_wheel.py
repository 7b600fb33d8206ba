"""The wheel by itself: built, installed elsewhere, and run from another folder."""

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# what the wheel is built from; the rest of the checkout is not needed
PARTS = ("cloud", "devices", "edge", "protocols", "firmware-configs", "pyproject.toml")
PARTS += ("README.md", "LICENSE")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel beside the locked dependencies, without the checkout; give its bin."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, source / part, ignore=ignore)
        else:
            shutil.copy(ROOT / part, source)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(source)

    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    target = Path(_output([python, "-c", "import site; print(site.getsitepackages()[0])"]).strip())
    install = [_uv(), "pip", "install", "--offline", "--no-deps", "--python", str(python)]
    done = subprocess.run([*install, str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # a line in a .pth adds a folder without reading the .pth files inside it, where the
    # editable install of the checkout lives
    locked = [path for path in site.getsitepackages() if Path(path).is_dir()]
    (target / "locked.pth").write_text("\n".join(locked), encoding="utf-8")
    return python.parent


def _uv() -> str:
    return str(Path(sys.executable).with_name("uv"))


def _output(command: list[str | Path], cwd: Path | None = None) -> str:
    keep = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=keep | {"HUTONG_DATA_DIR": str(cwd or "")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_packages_are_the_wheels(programs: Path, tmp_path: Path) -> None:
    code = "import cloud, devices, edge, protocols as p; print(*cloud.__path__, *edge.__path__)"
    folders = _output([programs / "python", "-c", code], tmp_path).split()
    assert len(folders) == 2
    assert all(folder.startswith(str(programs.parent)) for folder in folders), folders


def test_a_gateway_file_is_checked_with_the_profiles_of_the_wheel(
    programs: Path, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "firmware-configs" / "gateways" / "qingsong.yaml", tmp_path / "gw.yaml")
    told = _output([programs / "hutong-edge", "check", "--config", "gw.yaml"], tmp_path)
    assert "devices on 2 buses" in told


def test_tariffs_come_with_the_wheel(programs: Path, tmp_path: Path) -> None:
    told = _output([programs / "hutong-cloud", "tariff", "list"], tmp_path)
    assert "cn-beijing-water" in told


def test_the_schema_and_the_pages_come_with_the_wheel(programs: Path, tmp_path: Path) -> None:
    told = _output([programs / "hutong-cloud", "migrate"], tmp_path)
    assert "up to date" in told
    assert (tmp_path / "hutong.db").exists()


def test_the_simulated_site_starts(programs: Path, tmp_path: Path) -> None:
    assert "demo" in _output([programs / "hutong-site", "--help"], tmp_path)
