"""Who may open what; logging in and out; forms of other sites; languages; error pages."""

from collections.abc import Callable

import pytest
from httpx import Client
from sqlalchemy import Engine, select

from cloud.sites.tables import sessions
from cloud.web.visit import own_path

LogIn = Callable[[str], Client]
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
STAFF = {"manager", "maintenance", "clerk", "guard", "integrator"}
EVERYONE = STAFF | {"resident"}
BILLING = {"manager", "clerk"}

OPEN_TO = {
    "/": EVERYONE,
    "/overview/alerts": STAFF,
    "/devices": STAFF,
    "/devices/d0": STAFF,
    "/alerts": STAFF,
    "/bills": BILLING | {"resident"},
    "/bills/bill-0": BILLING | {"resident"},
    "/bills.csv": BILLING,
    "/bill-sheets": BILLING | {"resident"},
}


@pytest.mark.parametrize("role", sorted(EVERYONE))
def test_each_role_opens_its_pages_and_no_other(log_in: LogIn, role: str) -> None:
    client = log_in(role)
    opened = {path: client.get(path).status_code for path in OPEN_TO}
    assert opened == {path: 200 if role in roles else 403 for path, roles in OPEN_TO.items()}


@pytest.mark.parametrize("role", sorted(EVERYONE))
def test_navigation_shows_only_what_opens(log_in: LogIn, role: str) -> None:
    text = log_in(role).get("/").text
    nav = text.partition("<nav")[2].partition("</nav>")[0]
    for path in ("/devices", "/alerts", "/bills", "/bill-sheets"):
        assert (f'href="{path}"' in nav) == (role in OPEN_TO[path])


@pytest.mark.parametrize("path", sorted(OPEN_TO))
def test_a_stranger_is_led_to_the_login_and_back(stranger: Client, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next={path}"


def test_login_sets_a_cookie_that_scripts_cannot_read(stranger: Client) -> None:
    form = {"username": "manager", "password": "correct horse battery", "next": "/alerts"}
    answer = stranger.post("/login", data=form, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert stranger.get("/alerts").status_code == 200


def test_a_wrong_password_says_so_and_keeps_the_name(stranger: Client) -> None:
    form = {"username": "manager", "password": "wrong"}
    answer = stranger.post("/login", data=form, headers=SAME_ORIGIN)
    assert answer.status_code == 401
    assert "用户名或密码错误" in answer.text
    assert 'value="manager"' in answer.text
    assert "set-cookie" not in answer.headers


def test_logout_ends_the_session(log_in: LogIn, engine: Engine) -> None:
    client = log_in("manager")
    assert client.post("/logout", headers=SAME_ORIGIN).status_code == 303
    with engine.connect() as connection:
        assert connection.execute(select(sessions)).all() == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_form_of_another_site_is_refused(log_in: LogIn, headers: dict[str, str]) -> None:
    client = log_in("manager")
    for path in ("/login", "/logout", "/alerts/1/acknowledge"):
        form = {"username": "manager", "password": "x"}
        assert client.post(path, data=form, headers=headers).status_code == 403
    assert client.get("/alerts").status_code == 200


def test_an_own_origin_is_enough_for_old_browsers(log_in: LogIn) -> None:
    headers = {"Origin": "http://testserver"}
    answer = log_in("guard").post("/alerts/1/acknowledge", headers=headers)
    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/alerts?state=open", "/alerts?state=open"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("", "/"),
        (None, "/"),
    ],
)
def test_only_own_paths_are_gone_on_to(wanted: str | None, path: str) -> None:
    assert own_path(wanted) == path


def test_language_switch_is_remembered_and_shows_english(log_in: LogIn) -> None:
    client = log_in("manager")
    assert '<html lang="zh-CN">' in client.get("/devices").text
    answer = client.get("/language/en", params={"next": "/devices"})
    assert answer.headers["location"] == "/devices"
    text = client.get("/devices").text
    assert '<html lang="en">' in text
    assert "Meter 00" in text
    assert "电表00" not in text
    assert client.get("/language/fr").status_code == 400


def test_unknown_pages_are_pages_and_unknown_api_paths_are_problems(log_in: LogIn) -> None:
    client = log_in("manager")
    page = client.get("/nowhere")
    assert page.status_code == 404
    assert "这里没有内容" in page.text
    answer = client.get("/api/v1/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_broken_page_is_a_page_too(log_in: LogIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object, **__: object) -> None:
        message = "secret detail"
        raise RuntimeError(message)

    monkeypatch.setattr("cloud.web.device_pages.devices_of", explode)
    answer = log_in("manager").get("/devices")
    assert answer.status_code == 500
    assert "系统出错了" in answer.text
    assert "secret detail" not in answer.text


def test_every_page_forbids_foreign_and_inline_scripts(log_in: LogIn) -> None:
    client = log_in("manager")
    for path in ("/", "/devices", "/alerts", "/bills", "/bills/bill-0", "/nowhere"):
        answer = client.get(path)
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert " style=" not in answer.text
        assert "onclick" not in answer.text


def test_static_files_are_kept_for_a_year_under_their_content_hash(stranger: Client) -> None:
    page = stranger.get("/login").text
    path = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = stranger.get(path)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert stranger.get("/static/000000000000/app.css").status_code == 404
    assert stranger.get(path.replace("app.css", "..%2Fpages.py")).status_code == 404
