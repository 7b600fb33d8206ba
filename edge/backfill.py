"""A gateway's past: the same meters polled on a virtual clock into the same journal."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from devices.modbus_meter import ModbusMeter
from devices.virtual_clock import VirtualClock
from edge.journal import Journal
from edge.poller import to_reading
from edge.schedule import Schedule
from protocols.delivery.batch import MAX_RECORDS
from protocols.delivery.envelope import LANE_READINGS
from protocols.delivery.records import Reading
from protocols.errors import ProtocolError

MARK: Final = "backfilled_through_us"
UNTIL: Final = "backfill_until_us"
GROUP: Final = 8

Answer = Callable[[int, int, int, int], tuple[int, ...]]


def backfill(
    journal: Journal,
    meters: Mapping[str, tuple[ModbusMeter, Answer]],
    clock: VirtualClock,
    *,
    from_us: int,
    to_us: int,
    period_s: int,
) -> Iterator[float]:
    """Poll every period of [from, to) and yield the part done; goes on where it was killed.

    The mark of how far it came is committed with the readings, so none is polled twice; `to`
    is remembered from the first time, because what follows it was read live.
    """
    to_us = int(journal.mark(UNTIL) or to_us)
    journal.append(LANE_READINGS, [], marks={UNTIL: str(to_us)})
    start_us = max(from_us, int(journal.mark(MARK) or from_us))
    schedule = Schedule(dict.fromkeys(meters, (period_s,)))
    schedule.align(start_us)
    groups: list[tuple[int, list[Reading]]] = []
    pending: list[Reading] = []
    while (at_us := schedule.next_us()) < to_us:
        clock.at_us = at_us
        for due in schedule.due(at_us):
            device = due.device
            meter, answer = meters[device]
            try:
                samples = meter.read_now(answer, clock)
            except ProtocolError:
                continue  # a device that did not answer then has no reading of then
            pending.extend(to_reading(device, sample) for sample in samples)
        if len(pending) > MAX_RECORDS - 2 * len(meters) * 4:
            groups.append((at_us, pending))
            pending = []
        if len(groups) >= GROUP:
            journal.append_sealed(LANE_READINGS, groups, {MARK: str(at_us + 1)})
            groups = []
            yield (at_us - from_us) / max(1, to_us - from_us)
    if pending:
        groups.append((to_us, pending))
    journal.append_sealed(LANE_READINGS, groups, {MARK: str(to_us)})
    yield 1.0
