"""Quarantine and uncertain times as pages say them: Chinese first, and what must not be opened."""

import hashlib
from collections.abc import Callable

import pytest
from httpx import Client
from sqlalchemy import Engine, insert, select

from cloud.billing.bill_tables import bills, line_items
from cloud.ingest import clock_tables, tables
from cloud.ingest.limits import good_rows, lost_reason
from cloud.ingest.service import DEADLY
from cloud.web.i18n import translations_of
from cloud.web.reasons import sentence_of
from protocols.delivery import batch, receiver
from protocols.delivery.receiver import Fate
from protocols.delivery.records import Quality, Reading
from protocols.errors import WireError

LogIn = Callable[[str], Client]
BATCH = b"boot-of-one-\0\0\0\1"


def kept(row: Reading) -> bytes:
    return batch.encode([], bytes(32), replaces={BATCH: [row]})


def uncertain() -> Reading:
    return Reading("d0", "energy_import", "kWh", -2, 100, int(Quality.TIME_UNCERTAIN), 5, 6, b"ab")


def put(engine: Engine, reason: str, body: bytes) -> None:
    row = {"gateway_id": "g", "lane": 1, "batch_id": BATCH, "reason": reason, "body": body}
    with engine.begin() as connection:
        connection.execute(insert(tables.quarantine).values(**row, received_us=1))


def wire_errors() -> list[str]:
    """What WireError says of every kind of nonsense."""
    pack, zip_ = batch.msgspec.msgpack.encode, batch.zstandard.compress
    columns = batch.Columns("d", "p", "u", 0, [1], [1], [1], [], [], 0, b"")
    many = batch.Columns("d", "p", "u", 0, [0] * 4097, [0], [0], [], [0], 0, b"")
    bodies = [
        b"no batch",
        b"\0" * (batch.MAX_BYTES + 1),
        zip_(b"\0" * (batch.MAX_DECODED_BYTES + 1)),
        zip_(pack(batch.Payload(9, b"", [], []))),
        zip_(pack(batch.Payload(2, b"", [], [], [batch.Replaced(b"x", [])]))),
        zip_(pack(batch.Payload(1, b"", [many], []))),
        zip_(pack(batch.Payload(1, b"", [columns], []))),
    ]
    found = []
    for body in bodies:
        with pytest.raises(WireError) as caught:
            list(map(good_rows, batch.decode(body).series))
        found.append(str(caught.value))
    return found


def test_every_reason_of_the_code_has_its_chinese() -> None:
    forks = [rule.name for rule in receiver.RULES if rule.fate is Fate.FENCE]
    assert forks
    notes = ["3 readings stored", "1 readings stored, 2 wait for the time"]
    translate = translations_of("zh").gettext
    for text in [*forks, *wire_errors(), lost_reason(7), DEADLY, *notes]:
        sentence = sentence_of(text)
        assert sentence is not None, text
        said = translate(sentence.message)
        assert said != sentence.message
        assert said % sentence.values
    assert sentence_of("somebody's own words") is None


def test_reasons_are_chinese_with_the_english_beside(log_in: LogIn, engine: Engine) -> None:
    put(engine, lost_reason(2), kept(uncertain()))
    manager = log_in("manager")
    text = manager.get("/quarantine").text
    assert "2 条读数超出范围，或属于其他网关的设备" in text
    assert lost_reason(2).replace("'", "&#39;") in text
    text = manager.get("/quarantine/1").text
    assert "替换 1 个批次" in text
    # the batch's clock, and the reading's quality
    assert text.count("时间不确定") == 2
    manager.cookies.set("hutong_language", "en")
    text = manager.get("/quarantine").text
    assert "超出范围" not in text
    assert text.count("readings out of range") == 1


def test_a_reason_is_escaped_whatever_it_quotes(log_in: LogIn, engine: Engine) -> None:
    put(engine, "series <script>x</script>/p: columns differ in length", b"x")
    text = log_in("manager").get("/quarantine").text
    assert "<script>x" not in text
    assert "各列长度不一" in text


def test_what_ended_a_worker_is_not_opened(log_in: LogIn, engine: Engine) -> None:
    put(engine, DEADLY, kept(uncertain()))
    manager = log_in("manager")
    text = manager.get("/quarantine/1").text
    assert "quarantine replay 1 --may-die" in text
    assert "<button disabled>" in text
    assert "energy_import" not in text
    answer = manager.post("/quarantine/1/replay", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.headers["location"] == "/quarantine/1?refused=1"


def test_who_waits_for_the_time_is_seen_where_usage_is_seen(log_in: LogIn, engine: Engine) -> None:
    pages = {"manager": ("/", "/devices/d0"), "resident": ("/",)}
    for role, paths in pages.items():
        for path in paths:
            assert "条读数等待校时" not in log_in(role).get(path).text
    row = {"gateway_id": "g", "batch_id": BATCH, "boot_id": BATCH[:12], "readings": 1234}
    with engine.begin() as connection:
        connection.execute(insert(clock_tables.undated_batches).values(**row))
    assert "等待校时的读数 <b>1,234</b>" in log_in("manager").get("/").text
    assert "有 1234 条读数等待校时" in log_in("manager").get("/devices/d0").text
    assert "有 1234 条读数等待校时" in log_in("resident").get("/").text


def test_a_bill_says_that_a_time_was_uncertain(log_in: LogIn, engine: Engine) -> None:
    assert "时间不确定" not in log_in("clerk").get("/bills/bill-0").text
    payload = batch.encode([uncertain()], bytes(32))
    fix = {"monotonic_us": 6, "wall_us": 1_790_000_000_000_000, "error_us": 1, "source": "cloud"}
    stored = {"gateway_id": "g", "lane": 1, "batch_id": BATCH, "payload": payload}
    digest = hashlib.sha256(payload).digest()
    with engine.begin() as connection:
        connection.execute(
            insert(clock_tables.clock_fixes).values(gateway_id="g", boot_id=BATCH[:12], **fix)
        )
        connection.execute(
            insert(tables.batches).values(**stored, payload_hash=digest, records=1, received_us=1)
        )
        channel = connection.exec_driver_sql(
            "SELECT id FROM channels WHERE device_id = 'd0' AND point = 'energy_import'"
        ).scalar_one()
        # what is posted never changes: the same as another bill
        bill = connection.execute(select(bills).where(bills.c.id == "bill-0")).one()
        item = connection.execute(select(line_items).where(line_items.c.bill_id == "bill-0")).one()
        read = '"read_at_us": 1790000001000000, "count": 502567, "source": "install"'
        assert bill.inputs.count(read) == 1
        ours = f'"read_at_us": 1790000000000000, "count": 100, "source": "{channel}:{BATCH.hex()}"'
        again = {"id": "again", "number": "again", "revision": 2}
        again |= {"inputs": bill.inputs.replace(read, ours)}
        connection.execute(insert(bills).values(bill._asdict() | again))
        connection.execute(insert(line_items).values(item._asdict() | {"bill_id": "again"}))
    text = log_in("clerk").get("/bills/again").text
    assert "本账单有示数在网关时间不确定时读取" in text
    assert "读取时未校时" in text
