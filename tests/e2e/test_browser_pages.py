"""Pages in a real browser: nothing foreign, no sideways scroll, contrast, labels, live, charts."""

import itertools
import re
import time
from pathlib import Path

import pytest
from browser_visit import Served, Visitor
from playwright.sync_api import Page, expect
from seed_pages import keep_alive
from seed_payments import CAME_LATE, WAITS
from sqlalchemy import update

from cloud.alerts.tables import alerts

pytestmark = [
    pytest.mark.browser,
    # Playwright's own event loop closes its sockets late
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CHECKS = (Path(__file__).parent / "page_checks.js").read_text(encoding="utf-8")
PATHS = {
    "manager": (
        "/",
        "/devices",
        "/devices/e-pump",
        "/devices/e-2-101",
        "/alerts",
        "/work-orders",
        "/bills",
        "/bills?text=nobody",
        "/bill-runs",
        "/arrears",
        "/bill-sheets",
        "/cashier",
        "/accounts/1-101",
        "/approvals",
        f"/payment-orders/{WAITS}",
        f"/payment-orders/{CAME_LATE}",
        "/payment-notices",
        "/discounts",
        "/collection",
        "/reading-rounds",
        "/reading-rounds/1",
        "/reading-rounds/2",
        "/reading-rounds/imports",
        "/reading-rounds/imports/1",
        "/nothing",
    ),
    "maintenance": ("/work-orders", "/reading-rounds", "/reading-rounds/2"),
    "guard": ("/", "/devices/e-1-303", "/alerts"),
    "resident": ("/", "/bills", "/bill-sheets", "/devices"),
}
LOOKS = [
    pytest.param({"role": role, "size": size, "scheme": scheme}, id=f"{role}-{size}-{scheme}")
    for role, size, scheme in (
        *itertools.product(["manager"], ("wide", "narrow"), ("light", "dark")),
        ("maintenance", "narrow", "dark"),
        ("guard", "wide", "dark"),
        ("guard", "narrow", "light"),
        ("resident", "wide", "dark"),
        ("resident", "narrow", "light"),
    )
]
COLD_BYTES = 150 * 1024


def _until(page: Page, expression: str) -> None:
    # Playwright's own waiting evaluates text inside the page, which its policy forbids
    deadline = time.monotonic() + 15
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def _paths(page: Page, url: str, role: str) -> list[str]:
    paths = list(PATHS[role])
    if role in {"manager", "resident"}:
        page.goto(f"{url}/bills?text=1-303")
        links = page.locator("table.cards tbody th a")
        paths += [str(links.nth(number).get_attribute("href")) for number in range(3)]
    return paths


@pytest.mark.parametrize("visit", LOOKS, indirect=True)
def test_pages_are_sound(visit: Visitor, served: Served, request: pytest.FixtureRequest) -> None:
    role = request.node.callspec.params["visit"]["role"]
    for path in _paths(visit.page, served.url, role):
        visit.page.goto(f"{served.url}{path}")
        expect(visit.page.locator(".chart .loading")).to_have_count(0)
        faults = visit.page.evaluate(CHECKS)
        assert faults == [], f"{path}: {faults}"
    refused = "Failed to load resource: the server responded with a status of 40"
    assert [said for said in visit.complaints if not said.startswith(refused)] == []
    assert visit.foreign == []


def test_a_cold_overview_is_small(visit: Visitor, served: Served) -> None:
    sizes: list[int] = []
    # a new page has nothing cached of this one's context but the first visit: measure that anew
    session = visit.page.context.new_cdp_session(visit.page)
    session.send("Network.enable")
    session.send("Network.clearBrowserCache")
    session.on(
        "Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"]))
    )
    visit.page.goto(f"{served.url}/")
    visit.page.wait_for_load_state("load")
    assert 10_000 < sum(sizes) <= COLD_BYTES


def test_values_change_in_place_and_new_alerts_are_announced(
    visit: Visitor, served: Served
) -> None:
    page = visit.page
    page.goto(f"{served.url}/")
    page.evaluate("window.untouched = true")
    chip = page.locator('.chip[data-device="e-1-101"]')
    before = chip.locator("time").get_attribute("data-at")
    top = chip.bounding_box()
    keep_alive(served.engine, time.time_ns() // 1000)
    expect(chip.locator("time")).not_to_have_attribute("data-at", str(before), timeout=15_000)
    after = chip.bounding_box()
    assert top is not None
    assert after is not None
    assert (top["x"], top["y"], top["height"]) == (after["x"], after["y"], after["height"])
    with served.engine.begin() as connection:
        row = alerts.insert().values(
            project_id="qingsong",
            cause="browser test",
            kind="threshold",
            severity="critical",
            gateway_id="gw-qingsong-1",
            device_id="e-1-101",
            detail='{"value":"9","limit":"8","uom":"W","point":"active_power"}',
            raised_us=time.time_ns() // 1000,
        )
        connection.execute(row)
    try:
        expect(page.locator("#announce")).to_contain_text("新告警", timeout=15_000)
        expect(chip).to_have_attribute("data-state", "critical", timeout=15_000)
        expect(chip.locator(".word")).to_have_text("严重")
        expect(page.locator("#open-alerts .count")).to_have_text("6")
    finally:
        with served.engine.begin() as connection:
            connection.execute(
                update(alerts)
                .where(alerts.c.cause == "browser test")
                .values(cleared_us=time.time_ns() // 1000)
            )
    assert page.evaluate("window.untouched") is True
    assert visit.complaints == []


def test_a_hidden_tab_gives_its_stream_back(visit: Visitor, served: Served) -> None:
    page = visit.page
    page.add_init_script(
        """
        const Real = window.EventSource; window.streams = [];
        window.EventSource = class extends Real {
          constructor(url) { super(url); streams.push(this); }
        };
        """
    )
    page.goto(f"{served.url}/")
    _until(page, "streams.length === 1 && streams[0].readyState === 1")
    hide = "Object.defineProperty(document, 'hidden', {{value: {0}, configurable: true}});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(hide.format("true") + tell)
    assert page.evaluate("streams[0].readyState") == 2
    page.evaluate(hide.format("false") + tell)
    _until(page, "streams.length === 2 && streams[1].readyState === 1")


def test_charts_are_read_by_keyboard_zoomed_by_drag_and_exported(
    visit: Visitor, served: Served
) -> None:
    page = visit.page
    page.goto(f"{served.url}/devices/e-1-303")
    figure = page.locator("figure.chart").first
    chart = figure.locator("svg")
    chart.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(chart).to_have_attribute("aria-valuetext", re.compile(r"^\d+/2: [\d.]+ kWh$"))
    expect(figure.locator(".readout b")).to_contain_text("kWh")
    bars = figure.locator("rect.bar")
    every = bars.count()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 60, steps=4)
    page.mouse.up()
    assert 0 < bars.count() < every
    page.keyboard.press("Escape")
    assert bars.count() == every
    with page.expect_download() as waiting:
        figure.get_by_role("button", name="下载 CSV").click()
    lines = Path(waiting.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith("时间,")
    assert len(lines) > 28
    figure.locator("summary").click()
    expect(figure.locator("tbody tr")).not_to_have_count(0)


@pytest.mark.parametrize("visit", [{"role": "maintenance", "size": "narrow"}], indirect=True)
def test_a_meter_is_read_on_a_phone_asked_about_and_confirmed(
    visit: Visitor, served: Served
) -> None:
    page = visit.page
    page.goto(f"{served.url}/reading-rounds/2")
    tally = page.locator(".tally")
    before = int(tally.inner_text().partition(" ")[0])
    first = page.locator("#next").inner_text()
    page.get_by_label("本期示数").fill("1")
    page.get_by_label("备注").fill("门后")
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("alert")).to_contain_text("未入库")
    assert page.evaluate(CHECKS) == []
    expect(page.get_by_label("备注")).to_have_value("门后")
    last = page.locator(".last b").inner_text().replace(",", "")
    page.get_by_label("本期示数").fill(f"{float(last) + 4000:.2f}")
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("alert")).to_contain_text("确定吗")
    assert page.evaluate(CHECKS) == []
    page.get_by_role("button", name="没错").click()
    expect(page.locator(".stored")).to_contain_text("已入库")
    expect(tally).to_contain_text(f"{before + 1} /")
    assert page.locator("#next").inner_text() != first
    refused = "Failed to load resource: the server responded with a status of 422"
    assert [said for said in visit.complaints if not said.startswith(refused)] == []


def test_an_alert_is_acknowledged_by_keyboard(visit: Visitor, served: Served) -> None:
    page = visit.page
    page.goto(f"{served.url}/alerts")
    waiting = page.get_by_role("button", name=re.compile("确认告警"))
    before = waiting.count()
    waiting.first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts")
    expect(waiting).to_have_count(before - 1)
    assert visit.complaints == []
