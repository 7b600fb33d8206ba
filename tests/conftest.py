"""What every test may use, and at the end the system's parts that were missing."""

import pytest

from tests.fixtures.system_parts import MISSING

pytest_plugins = [
    "tests.fixtures.brokers",
    "tests.fixtures.commanded_site",
    "tests.fixtures.databases",
    "tests.fixtures.delivery",
    "tests.fixtures.proven_site",
    "tests.fixtures.shipped_broker",
]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last which parts of the system were missing, so that no skip goes unseen."""
    for part, reason in sorted(MISSING.items()):
        terminalreporter.write_line(f"not tested: {part}: {reason}", yellow=True)


@pytest.fixture(autouse=True)
def _logs_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    # a program started in this process would bind the loggers to a stderr that is soon closed
    monkeypatch.setattr("protocols.io.logs.configure", lambda *_: None)
