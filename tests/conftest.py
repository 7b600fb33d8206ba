"""What every test may use, and at the end the system's parts that were missing."""

import os
import signal

import pytest
from hypothesis import settings

from tests.fixtures.system_parts import MISSING

# HYPOTHESIS_PROFILE=long: the proof for a release; tests that name their own number keep it
settings.register_profile("long", max_examples=100_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

pytest_plugins = [
    "tests.fixtures.brokers",
    "tests.fixtures.commanded_site",
    "tests.fixtures.databases",
    "tests.fixtures.delivery",
    "tests.fixtures.payment_counterpart",
    "tests.fixtures.proven_site",
    "tests.fixtures.shipped_broker",
    "tests.fixtures.victoria",
]


def pytest_configure() -> None:
    """Let programs under test hear Ctrl-C: a shell lets what runs beside it ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last which parts of the system were missing, so that no skip goes unseen."""
    for part, reason in sorted(MISSING.items()):
        terminalreporter.write_line(f"not tested: {part}: {reason}", yellow=True)


@pytest.fixture(autouse=True)
def _logs_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    # a program started in this process would bind the loggers to a stderr that is soon closed
    monkeypatch.setattr("protocols.io.logs.configure", lambda *_: None)
