"""What a check found: good, or what is wrong, what that means and what to do."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor; `todo` is empty where nothing is to be done."""

    check: str
    level: Level
    means: str
    todo: str = ""


def good(check: str, means: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(check, "ok", means)


def warning(check: str, means: str, todo: str) -> Finding:
    """Return a finding that will hurt some day."""
    return Finding(check, "warning", means, todo)


def failure(check: str, means: str, todo: str) -> Finding:
    """Return a finding that hurts now."""
    return Finding(check, "error", means, todo)
