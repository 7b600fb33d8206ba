"""Alerts from delivered batches and from silence, on both databases."""

import pytest
from sqlalchemy import Engine, select

from cloud.alerts import repository, service
from cloud.alerts.tables import alert_rules, alerts
from cloud.ingest.tables import batches, outbox
from cloud.sites.tables import buildings, devices, gateways
from protocols.delivery import batch
from protocols.delivery.batch import Columns, Payload
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.records import Event
from tests.fixtures.delivery import (
    MINUTE_US,
    NOW_US,
    START_US,
    OpenJournal,
    add_site,
    deliver,
    packed,
    reading,
)

LANE = LANE_READINGS


def add_rule(engine: Engine, project: str = "p-1", **changed: object) -> None:
    row: dict[str, object] = {"id": f"hot-{project}", "project_id": project, "kind": "threshold"}
    row |= {"severity": "warning", "name": "x", "name_en": "x", "point": "temperature"}
    row |= {"devices": "", "raise_at": "80", "clear_at": "70", "duration_s": 60}
    with engine.begin() as connection:
        connection.execute(alert_rules.insert().values(**(row | changed)))


def add_device(engine: Engine, name: str, gateway: str = "gw-1", project: str = "p-1") -> None:
    row: dict[str, object] = {"id": name, "project_id": project, "gateway_id": gateway}
    row |= {"building_id": "b", "name": "x", "name_en": "x", "medium": "electric"}
    with engine.begin() as connection:
        if connection.execute(select(buildings)).first() is None:
            connection.execute(
                buildings.insert().values(
                    id="b", project_id=project, name="1", name_en="1", position=1
                )
            )
        connection.execute(devices.insert().values(**row, profile="p", period_s=60))


def open_alerts(engine: Engine) -> list[tuple[str, str | None]]:
    query = select(alerts.c.kind, alerts.c.device_id).where(alerts.c.cleared_us.is_(None))
    with engine.begin() as connection:
        return sorted(tuple(row) for row in connection.execute(query))


def temperatures(*values: int) -> list[object]:
    return [
        reading(minute, point="temperature", uom="C", exponent=0, count=value, words=b"")
        for minute, value in enumerate(values)
    ]


def consume(engine: Engine) -> int:
    with engine.begin() as connection:
        return service.consume_outbox(connection)


def test_one_alert_per_cause_from_raise_to_clear(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    add_rule(engine)
    journal = open_journal()
    steps = [((85, 85, 85), 1), ((86, 75), 1), ((69,), 0), ((90, 90), 1)]
    values: list[int] = []
    for seq, (more, expected) in enumerate(steps, start=1):
        before = len(values)
        values += more
        journal.append(LANE, temperatures(*values)[before:], seal_at_us=START_US)  # type: ignore[arg-type]  # readings
        deliver(engine, [packed(journal, seq)])
        assert consume(engine) == 1
        assert len(open_alerts(engine)) == expected
    assert consume(engine) == 0
    with engine.begin() as connection:
        assert len(connection.execute(select(alerts)).all()) == 2


def test_a_rule_sees_no_other_project(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    add_site(engine, "gw-2", project="p-2")
    add_rule(engine, "p-2", duration_s=0)
    journal = open_journal()
    journal.append(LANE, temperatures(99), seal_at_us=START_US)  # type: ignore[arg-type]  # readings
    deliver(engine, [packed(journal, 1)])
    consume(engine)
    assert open_alerts(engine) == []


def test_a_batch_of_nonsense_is_passed_over(engine: Engine) -> None:
    add_site(engine, "gw-1")
    add_rule(engine, duration_s=0)
    crooked = Columns("e-1", "temperature", "C", 0, [START_US], [], [99], [], [0], 0, b"")
    huge = Columns("e-1", "temperature", "C", 10**9, [START_US], [0], [99], [], [0], 0, b"")
    payloads = [b"no batch"]
    for columns in (crooked, huge):
        # encoded as the wire would have it, past the checks of the encoder
        raw = batch.msgspec.msgpack.encode(Payload(1, bytes(32), [columns], []))
        payloads.append(batch.zstandard.compress(raw))
    with engine.begin() as connection:
        for number, payload in enumerate(payloads):
            row = {"batch_id": bytes([number]) * 16, "gateway_id": "gw-1", "lane": 1}
            row |= {"payload_hash": bytes(32), "payload": payload, "records": 0}
            connection.execute(batches.insert().values(**row, received_us=1))
            connection.execute(outbox.insert().values(gateway_id="gw-1", batch_id=row["batch_id"]))
    assert consume(engine) == 3
    assert consume(engine) == 0
    assert open_alerts(engine) == []


@pytest.fixture
def two_devices(engine: Engine, open_journal: OpenJournal) -> Engine:
    """Give a gateway that read one device until now and another until ten minutes ago."""
    add_site(engine, "gw-1")
    add_device(engine, "e-1")
    add_device(engine, "e-2")
    journal = open_journal()
    rows = [reading(0, "e-2"), *(reading(number) for number in range(11))]
    journal.append(LANE, rows, seal_at_us=START_US)
    deliver(engine, [packed(journal, 1)], START_US + 10 * MINUTE_US)
    return engine


def watch(engine: Engine, now_us: int) -> list[tuple[str, str | None]]:
    with engine.begin() as connection:
        service.watch_silence(connection, now_us)
    return open_alerts(engine)


def test_a_silent_device_beside_a_living_gateway(two_devices: Engine) -> None:
    now_us = START_US + 11 * MINUTE_US
    assert watch(two_devices, now_us) == [("device_offline", "e-2")]
    assert watch(two_devices, now_us) == [("device_offline", "e-2")]


def test_a_silent_gateway_masks_its_devices(engine: Engine, open_journal: OpenJournal) -> None:
    add_site(engine, "gw-1")
    add_device(engine, "e-1")
    add_device(engine, "e-2")
    journal = open_journal()
    journal.append(LANE, [reading(10), reading(10, "e-2")], seal_at_us=START_US)
    deliver(engine, [packed(journal, 1)], START_US + 10 * MINUTE_US)
    assert watch(engine, START_US + 11 * MINUTE_US) == []
    assert watch(engine, NOW_US) == [("gateway_offline", None)]
    with engine.begin() as connection:
        connection.execute(gateways.update().values(last_seen_us=NOW_US))
    assert watch(engine, NOW_US) == []


def test_what_a_gateway_tells_stays_open_until_somebody_has_seen_it(
    engine: Engine, open_journal: OpenJournal
) -> None:
    add_site(engine, "gw-1")
    add_device(engine, "e-1")
    journal = open_journal()
    told = [
        Event("e-1", "setting_changed", START_US, 1, {"point": "ct_ratio", "after": "1"}),
        Event("", "foreign_master", START_US, 2, {"bus": "rtu-1", "count": 3}),
        Event("e-1", "device_back", START_US, 3, {"reason": ""}),
    ]
    for seq in (1, 2):
        journal.append(LANE_EVENTS, told, seal_at_us=START_US)
        deliver(engine, [packed(journal, seq, lane=LANE_EVENTS)])
        consume(engine)
    assert open_alerts(engine) == [("foreign_master", None), ("setting_changed", "e-1")]
    with engine.begin() as connection:
        for identity in connection.scalars(select(alerts.c.id)).all():
            assert repository.acknowledge(connection, identity, "p-1", "li", START_US)
    assert open_alerts(engine) == []
