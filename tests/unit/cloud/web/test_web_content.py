"""What pages show: escaping, filters, paging, private values, acknowledging, CSV."""

import csv
import io
import re
from collections.abc import Callable

import pytest
from httpx import Client
from sqlalchemy import Engine, select

from cloud.alerts.tables import alerts

LogIn = Callable[[str], Client]
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


def _rows(text: str) -> int:
    return text.partition("<tbody>")[2].partition("</tbody>")[0].count("<tr")


@pytest.mark.parametrize("path", ["/", "/devices", "/devices/d1", "/bills", "/bills/bill-1"])
def test_names_from_the_database_are_escaped(log_in: LogIn, path: str) -> None:
    text = log_in("manager").get(path).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_what_is_searched_for_is_escaped_and_may_hold_wildcards(log_in: LogIn) -> None:
    client = log_in("manager")
    text = client.get("/bills", params={"text": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in text
    assert "没有符合条件的账单" in client.get("/bills", params={"text": "%_%"}).text


@pytest.mark.parametrize(("path", "total"), [("/devices", 60), ("/bills", 60), ("/alerts", 70)])
def test_long_lists_are_paged_by_fifty(log_in: LogIn, path: str, total: int) -> None:
    client = log_in("manager")
    first, second = client.get(path).text, client.get(path, params={"page": 2}).text
    assert (_rows(first), _rows(second)) == (50, total - 50)
    assert 'rel="next"' in first
    assert 'rel="prev"' in second
    assert 'rel="next"' not in second
    assert client.get(path, params={"page": 0}).status_code == 400


def test_devices_are_filtered_and_the_abnormal_come_first(log_in: LogIn) -> None:
    client = log_in("manager")
    text = client.get("/devices").text
    body = text.partition("<tbody>")[2]
    assert body.index("s-critical") < body.index("s-warning") < body.index("s-normal")
    assert _rows(client.get("/devices?state=stale").text) == 1
    assert _rows(client.get("/devices?building=b2").text) == 20
    assert _rows(client.get("/devices?text=电表07").text) == 1


def test_overview_shows_alerts_before_devices_and_counts_states(log_in: LogIn) -> None:
    text = log_in("manager").get("/").text
    assert text.index('id="open-alerts"') < text.index('class="chips"')
    counts = text.partition('class="counts"')[2].partition("</ul>")[0]
    assert re.findall(r"<b>(\d+)</b>", counts) == ["1", "2", "0", "1", "56"]
    assert 'data-state="stale"' in text
    assert "9,420 W" in text


def test_values_of_homes_are_hidden_from_guards_and_clerks(log_in: LogIn) -> None:
    for role, seen in (("maintenance", True), ("guard", False), ("clerk", False)):
        client = log_in(role)
        assert ("7.65" in client.get("/devices/d0").text) == seen
        assert ("7.65" in client.get("/devices?text=电表00").text) == seen
        overview = client.get("/").text
        chip = overview.partition('data-device="d0"')[2].partition("</li>")[0]
        assert ("7.65" in chip) == seen
        public = overview.partition('data-device="d55"')[2].partition("</li>")[0]
        assert "7.65" in public


def test_curves_go_to_maintenance_daily_totals_to_clerks_nothing_to_guards(
    log_in: LogIn,
) -> None:
    charts = {
        role: log_in(role).get("/devices/d0").text.count("data-chart ")
        for role in ("maintenance", "clerk", "guard")
    }
    assert charts == {"maintenance": 3, "clerk": 1, "guard": 0}
    # public equipment has no meter point here: a curve alone
    shared = {
        role: log_in(role).get("/devices/d55").text.count("data-chart ")
        for role in ("maintenance", "clerk", "guard")
    }
    assert shared == {"maintenance": 1, "clerk": 0, "guard": 0}


def test_a_resident_sees_only_bills_of_the_own_home(log_in: LogIn) -> None:
    client = log_in("resident")
    assert client.get("/bills/bill-0").status_code == 200
    assert client.get("/bills/bill-1").status_code == 404
    listed = client.get("/bills", params={"text": "户主", "premise": "r1"}).text
    assert "bill-1" not in listed
    home = client.get("/").text
    assert "¥1,234.56" in home
    assert "房01" not in home


def test_another_projects_bill_is_not_there(log_in: LogIn) -> None:
    assert log_in("manager").get("/bills/x").status_code == 404
    assert log_in("manager").get("/bills/none").status_code == 404


def test_a_bill_shows_why_it_is_this_amount(log_in: LogIn) -> None:
    text = log_in("resident").get("/bills/bill-0").text
    for said in ("为什么是这个金额", "上期示数", "本期示数", "综合倍率", "用量"):
        assert said in text
    for number in ("5,025.67", "5,149.12", "123.45", "¥1,234.56", "逐行取整"):
        assert number in text


def test_the_bills_list_shows_the_run_and_what_is_held(log_in: LogIn) -> None:
    text = log_in("clerk").get("/bills").text
    assert "no closing read" in text
    assert "1 户待处理" in text
    assert "¥1,293.56" in text  # 1234.56 + 59 x 1.00


def test_csv_holds_every_bill_and_runs_nothing(log_in: LogIn) -> None:
    answer = log_in("clerk").get("/bills.csv?building=b1")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert rows[0][:2] == ["账单编号", "账期"]
    assert len(rows) == 41
    assert rows[1][8] == "1234.56"
    holders = {row[4] for row in rows[1:]}
    assert "'=1+1" in holders
    assert "=1+1" not in holders


def test_acknowledging_notes_who_was_first(log_in: LogIn, engine: Engine) -> None:
    for role in ("guard", "manager"):
        answer = log_in(role).post(
            "/alerts/1/acknowledge", data={"next": "/alerts"}, headers=SAME_ORIGIN
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")
    with engine.connect() as connection:
        row = connection.execute(select(alerts).where(alerts.c.id == 1)).one()
    assert row.acknowledged_by == "guard"
    assert row.acknowledged_us is not None
    assert "某guard" in log_in("manager").get("/alerts").text


def test_clerks_and_residents_acknowledge_nothing(log_in: LogIn, engine: Engine) -> None:
    for role in ("clerk", "resident"):
        answer = log_in(role).post("/alerts/1/acknowledge", headers=SAME_ORIGIN)
        assert answer.status_code == 403
    assert log_in("manager").post("/alerts/999/acknowledge", headers=SAME_ORIGIN).status_code == 404
    with engine.connect() as connection:
        assert connection.scalar(select(alerts.c.acknowledged_us).where(alerts.c.id == 1)) is None
