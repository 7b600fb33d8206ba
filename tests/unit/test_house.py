"""Rules of the house that no linter knows."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("edge", "cloud", "devices", "protocols", "tests", "docker")
LONGEST = 400
FORBIDDEN = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py"}
# a URL in a lock would send every install to one registry
INDEX = re.compile(r"https?://|--(?:extra-)?index-url|--find-links")


def python_files() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_file_is_too_long() -> None:
    files = python_files()
    assert len(files) > 100
    long = {
        str(path.relative_to(ROOT)): lines
        for path in files
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert long == {}


def test_no_file_is_named_after_nothing() -> None:
    assert [str(path) for path in python_files() if path.name in FORBIDDEN] == []


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in python_files() if path.name.startswith("test_")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_locks_name_no_index() -> None:
    locks = sorted(ROOT.glob("requirements*"))
    assert len(locks) >= 3
    for lock in locks:
        text = lock.read_text(encoding="utf-8")
        assert INDEX.search(text) is None, lock.name
        pinned = [line for line in text.splitlines() if re.match(r"[a-zA-Z]", line)]
        assert pinned
        assert all("==" in line for line in pinned), lock.name
        assert text.count("--hash=sha256:") >= len(pinned), lock.name
