"""Places where a test may end the process, as a power cut would; nothing at all without one."""

import os
import signal

_wanted, _, _count = os.environ.get("HUTONG_FAILPOINT", "").partition(":")
_left = int(_count) if _count.isdigit() else 1


def reach(name: str) -> None:
    """Pass a named place; the process is killed at the `NAME:N`-th of HUTONG_FAILPOINT."""
    global _left  # noqa: PLW0603 - one process has one failpoint
    if name != _wanted:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
