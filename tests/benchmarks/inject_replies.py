"""`python -m tests.benchmarks.inject_replies [COUNT] [SEED]`: wrong replies, none may pass."""

import sys
import time
from collections import Counter
from contextlib import suppress

from protocols.errors import DeviceError, WireError
from protocols.modbus.frames import find_rtu, match_rtu, match_tcp, tcp_answer
from tests.fixtures.wrong_replies import Injected, injected_rtu, injected_tcp


def accepted(count: int, seed: int) -> Counter[str]:
    """How many of `count` wrong replies (half TCP, half RTU) a matcher took, by its name."""
    taken: Counter[str] = Counter()
    for wrong in injected_tcp(seed, count - count // 2):
        taken["match_tcp"] += _takes_tcp(wrong)
        taken["tcp_answer"] += _looks_right(wrong)
    for wrong in injected_rtu(seed, count // 2):
        with suppress(DeviceError):
            taken["find_rtu"] += find_rtu(wrong.frame, wrong.request) is not None
        with suppress(DeviceError, WireError):
            match_rtu(wrong.frame, wrong.request)
            taken["match_rtu"] += 1
    return taken


def _takes_tcp(wrong: Injected) -> bool:
    try:
        match_tcp(wrong.frame, wrong.request, wrong.transaction_id)
    except (DeviceError, WireError):
        return False
    return True


def _looks_right(wrong: Injected) -> bool:
    # What the native link compares before it asks the full matcher.
    head, words = tcp_answer(wrong.request)
    same_id = int.from_bytes(wrong.frame[:2], "big") == wrong.transaction_id
    return same_id and wrong.frame[2:9] == head and len(wrong.frame) == 9 + words.size


def main(arguments: list[str]) -> int:
    """Inject, print the figures, and fail if anything was accepted."""
    count, seed = [*map(int, arguments), *(1_000_000, 1)[len(arguments) :]][:2]
    began = time.perf_counter()
    taken = accepted(count, seed)
    took_s = time.perf_counter() - began
    sys.stdout.write(f"injected {count} accepted {taken.total()} in {took_s:.1f} s, seed {seed}\n")
    for matcher, number in taken.items():
        sys.stdout.write(f"  {matcher}: {number}\n")
    return 1 if taken.total() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
