"""How a loss is told: which batches, how many records, of when, and why."""

from collections.abc import Iterable, Mapping
from typing import Final

from protocols.delivery.envelope import BOOT_ID_BYTES
from protocols.delivery.records import Event, EventValue

# an event must fit a batch, with others
_LONGEST: Final = 4000


def losses(
    lane: int,
    lost: Mapping[bytes, int | None],
    *,
    span_us: tuple[int | None, int | None],
    reason: str,
    at: tuple[int, int],
) -> list[Event]:
    """Return the loss events of batches, each with how many of its records are lost.

    `ids` is `boot:a-b,c boot:...` with counters in decimal; `count` is None where one is unknown;
    `span_us` is from the first to the last record; `at` is (wall, monotonic) microseconds.
    """
    events: list[Event] = []
    rest = list(lost)
    while rest:
        size = len(rest)
        while len(text := id_ranges(rest[:size])) > _LONGEST:
            size //= 2
        counts = [lost[name] for name in rest[:size]]
        known = [count for count in counts if count is not None]
        count = sum(known) if len(known) == len(counts) else None
        events.append(loss(lane, text, count=count, span_us=span_us, reason=reason, at=at))
        rest = rest[size:]
    return events


def loss(
    lane: int,
    ids: str,
    *,
    count: int | None,
    span_us: tuple[int | None, int | None],
    reason: str,
    at: tuple[int, int],
) -> Event:
    """Return one loss event; `ids` may be empty for records that never had a batch."""
    body: dict[str, EventValue] = {
        "lane": lane,
        "ids": ids,
        "count": count,
        "from": span_us[0],
        "to": span_us[1],
        "reason": reason,
    }
    return Event("", "loss", *at, body)


def id_ranges(ids: Iterable[bytes]) -> str:
    """Return batch ids as short text: by boot, runs of counters joined."""
    boots: dict[str, list[int]] = {}
    for name in ids:
        boots.setdefault(name[:BOOT_ID_BYTES].hex(), []).append(
            int.from_bytes(name[BOOT_ID_BYTES:], "big")
        )
    return " ".join(f"{boot}:{_runs(sorted(numbers))}" for boot, numbers in boots.items())


def ids_of(text: str) -> list[bytes]:
    """Return the batch ids that `id_ranges` wrote; ValueError if it is no such text."""
    ids: list[bytes] = []
    for part in text.split():
        boot, _, runs = part.partition(":")
        for run in runs.split(","):
            first, _, last = run.partition("-")
            numbers = range(int(first), int(last or first) + 1)
            ids += [bytes.fromhex(boot) + number.to_bytes(4, "big") for number in numbers]
    return ids


def _runs(numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number <= runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
