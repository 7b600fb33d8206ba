"""Pictures of every page, wide and narrow, light and dark, from the logins of a demo."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
OUT = Path(__file__).parent / "out"
SIZES = {"wide": (1366, 900), "narrow": (390, 844)}


@dataclass(frozen=True)
class Login:
    """Somebody who may log in."""

    role: str
    username: str
    password: str


def log_in(page: Page, url: str, login: Login) -> None:
    """Log in through the form."""
    page.goto(f"{url}/login")
    page.fill("input[name=username]", login.username)
    page.fill("input[name=password]", login.password)
    page.click("main button")
    page.wait_for_url(f"{url}/")


def addresses(page: Page, url: str, role: str) -> Iterator[tuple[str, str]]:
    """Give (name, path) of the pages worth looking at for a role."""
    yield "home", "/"
    if role in {"manager", "guard"}:
        yield "devices", "/devices"
        yield "device", "/devices/e-pump"
        yield "device-home", "/devices/e-2-101"
        yield "alerts", "/alerts"
    if role == "manager":
        yield "water", "/devices/w-1-303"
        yield "orders", "/work-orders"
        yield "bills", "/bills"
        yield "runs", "/bill-runs"
        yield (
            "run",
            page.goto(f"{url}/bill-runs")
            and str(page.locator("table.cards tbody th a").first.get_attribute("href")),
        )
        yield "arrears", "/arrears"
        yield "cashier", "/cashier"
        yield "account", "/accounts/1-101"
        yield "account-paid", "/accounts/1-102"
        yield "approvals", "/approvals"
        yield "discounts", "/discounts"
        yield "collection", "/collection"
        yield "rounds", "/reading-rounds"
        yield "round", "/reading-rounds/2"
        yield "round-closed", "/reading-rounds/1"
        yield "imports", "/reading-rounds/imports"
        yield "import", "/reading-rounds/imports/1"
        yield "nothing", "/nothing"
        yield "english", "/language/en?next=/"
        yield "english-alerts", "/alerts"
        yield "chinese", "/language/zh?next=/bill-sheets"
    if role == "resident":
        yield "forbidden", "/devices"
    if role in {"manager", "resident"}:
        yield "sheets", "/bill-sheets"
        for service in ("electricity", "shared", "water"):
            page.goto(f"{url}/bills?service={service}&text=303")
            link = page.locator("table.cards tbody th a").first
            if link.count():
                yield f"bill-{service}", str(link.get_attribute("href"))


def shoot(browser: Browser, url: str, login: Login, size: str, scheme: str) -> None:
    """Write the pictures of one login, size and colour scheme."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="zh-CN",
    )
    page = context.new_page()
    if login.role == "manager":
        page.goto(f"{url}/login")
        page.screenshot(path=OUT / f"login-{size}-{scheme}.png")
    log_in(page, url, login)
    for name, path in addresses(page, url, login.role):
        page.goto(f"{url}{path}")
        page.wait_for_load_state("load")
        expect(page.locator(".chart .loading")).to_have_count(0)
        page.screenshot(path=OUT / f"{login.role}-{name}-{size}-{scheme}.png", full_page=True)
    context.close()


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--access", type=Path, default=Path(".demo/access.json"))
    parser.add_argument("--url", default="", help="default: the address in the access file")
    parser.add_argument("--roles", default="manager,guard,clerk,resident")
    wanted = parser.parse_args()
    access = json.loads(wanted.access.read_text(encoding="utf-8"))
    url = (wanted.url or access["url"]).rstrip("/")
    logins = {user["role"]: Login(**user) for user in access["users"]}
    OUT.mkdir(exist_ok=True)
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        for role in wanted.roles.split(","):
            for size in SIZES:
                for scheme in ("light", "dark"):
                    shoot(browser, url, logins[role], size, scheme)
        browser.close()


if __name__ == "__main__":
    main()
