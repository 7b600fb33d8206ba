"""A past polled into the journal: every period once, also when it was broken off."""

from itertools import islice

import pytest

from devices.modbus_meter import ModbusMeter
from devices.profile import load_profile
from devices.virtual_clock import VirtualClock
from edge.backfill import MARK, Answer, backfill
from edge.journal import Journal
from protocols.delivery import batch, envelope
from protocols.delivery.envelope import LANE_READINGS
from protocols.delivery.records import Reading
from protocols.errors import LinkError
from protocols.modbus.registers import RegisterType, WordOrder, encode
from tests.fixtures.delivery import START_US, OpenJournal

PERIOD_S = 60
PERIODS = 6000
TO_US = START_US + PERIODS * PERIOD_S * 1_000_000
SILENT_US = START_US + 60_000_000


def meters(clock: VirtualClock, *devices: str) -> dict[str, tuple[ModbusMeter, Answer]]:
    """Return fake meters that say how many minutes have passed, and are silent at one instant."""

    def answer(unit_id: int, function: int, address: int, count: int) -> tuple[int, ...]:
        assert (unit_id, function, address, count) == (1, 4, 0x48, 2)
        if clock.at_us == SILENT_US:
            raise LinkError("nobody answers")
        minutes = (clock.at_us - START_US) // 60_000_000
        return encode(minutes, RegisterType.FLOAT32, WordOrder("ABCD"))

    profile = load_profile("eastron-sdm120")
    return {device: (ModbusMeter(profile, 1, ["energy_import"]), answer) for device in devices}


def stored(journal: Journal) -> list[Reading]:
    rows: list[Reading] = []
    status = journal.status(LANE_READINGS)
    for seq in range(status.first, status.next):
        body = journal.envelope(LANE_READINGS, seq)
        assert body is not None
        for record in batch.records(batch.decode(envelope.unpack(body).payload)):
            assert isinstance(record, Reading)
            rows.append(record)
    return rows


def expected(*devices: str) -> list[tuple[str, int, int | None]]:
    instants = range(START_US, TO_US, PERIOD_S * 1_000_000)
    return sorted(
        (device, at_us, (at_us - START_US) // 60_000_000 * 100)
        for device in devices
        for at_us in instants
        if at_us != SILENT_US
    )


def facts(rows: list[Reading]) -> list[tuple[str, int, int | None]]:
    return sorted((row.device, row.read_at_us, row.count) for row in rows)


def run(
    journal: Journal, *devices: str, parts: int | None = None, to_us: int = TO_US
) -> list[float]:
    clock = VirtualClock(0)
    steps = backfill(
        journal, meters(clock, *devices), clock, from_us=START_US, to_us=to_us, period_s=PERIOD_S
    )
    return list(islice(steps, parts))


def test_every_period_is_polled_once(open_journal: OpenJournal) -> None:
    journal = open_journal()
    parts = run(journal, "a", "b")
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert facts(stored(journal)) == expected("a", "b")
    assert all(row.words for row in stored(journal))
    assert journal.mark(MARK) == str(TO_US)


@pytest.mark.parametrize("parts", [0, 1])
def test_what_was_broken_off_goes_on_where_it_was(
    parts: int, open_journal: OpenJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.backfill.MAX_RECORDS", 300)
    monkeypatch.setattr("edge.backfill.GROUP", 2)
    journal = open_journal()
    run(journal, "a", "b", parts=parts)
    begun = len(stored(journal))
    assert (begun > 0) == (parts > 0)
    journal.close()

    again = Journal(journal.path, "gw-1")
    run(again, "a", "b")
    assert facts(stored(again)) == expected("a", "b")
    assert len(stored(again)) > begun
    again.close()


def test_a_second_run_adds_nothing(open_journal: OpenJournal) -> None:
    journal = open_journal()
    run(journal, "a")
    # what came after the first run's end was read live
    run(journal, "a", to_us=TO_US + 3_600_000_000)
    assert facts(stored(journal)) == expected("a")
