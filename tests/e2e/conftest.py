"""A served, seeded database and a browser."""

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from browser_visit import Served, Visitor
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from screenshots import ARGUMENTS, CHROMIUM, Login, log_in
from seed_pages import seed, serving_app

from cloud.database import migrate, open_engine
from tests.fixtures.system_parts import missing


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('pages') / 'pages.db'}")
    migrate(engine)
    people = seed(engine, time.time_ns() // 1000)
    config = uvicorn.Config(
        serving_app(engine),
        host="127.0.0.1",
        port=0,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="pages")
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    logins = {role: Login(role, name, word) for role, name, word in people}
    yield Served(f"http://127.0.0.1:{port}", engine, logins)
    server.should_exit = True
    thread.join(30)
    engine.dispose()


# not for the session: while Playwright runs, no other test can run an event loop here
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        missing("chromium", f"{CHROMIUM} is not installed")
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, served: Served, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Give a page logged in as the role of the test's parameter `as_role` (manager)."""
    wanted = getattr(request, "param", {})
    context = _context(browser, wanted)
    page = context.new_page()
    visitor = Visitor(page, [], [])
    page.on("console", lambda said: said.type == "error" and visitor.complaints.append(said.text))
    page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    page.on(
        "request",
        lambda sent: (
            not sent.url.startswith((served.url, "data:", "blob:"))
            and visitor.foreign.append(sent.url)
        ),
    )
    log_in(page, served.url, served.logins[wanted.get("role", "manager")])
    yield visitor
    context.close()


def _context(browser: Browser, wanted: dict[str, str]) -> BrowserContext:
    narrow = wanted.get("size") == "narrow"
    return browser.new_context(
        viewport={"width": 390, "height": 844} if narrow else {"width": 1366, "height": 900},
        color_scheme="dark" if wanted.get("scheme") == "dark" else "light",
        locale="zh-CN",
    )
