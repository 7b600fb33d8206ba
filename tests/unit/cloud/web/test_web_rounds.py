"""Reading rounds 抄表 on pages: opened, walked, asked, refused, withdrawn, closed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx import Client, Response
from sqlalchemy import Engine, func, select

from cloud.config import Settings
from cloud.metering.reading_tables import manual_reads, read_rounds
from cloud.metering.tables import installs, meter_points
from tests.unit.cloud.web.conftest import HOSTILE, LogIn

OWN = {"sec-fetch-site": "same-origin"}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
# the meters were hung at the beginning of 2026 with 100.00 on them
HUNG_US = 1_767_196_800_000_000
NAMES = ("h10", "h2", "h1")

Send = Callable[..., Response]


@pytest.fixture(autouse=True)
def meters(engine: Engine, app: FastAPI, tmp_path: Path) -> None:
    """Give three homes whose meters no gateway reads, and one of another project."""
    app.state.settings = Settings(data_dir=tmp_path / "data")
    with engine.begin() as connection:
        for number, name in enumerate((*NAMES, "x")):
            point = {"id": name, "project_id": "q" if name == "x" else "p", "uom": "kWh"}
            point |= {"building_id": "x1" if name == "x" else "b1", "role": "sub"}
            point |= {"premise_id": "x" if name == "x" else f"r{number}", "supply": "collected"}
            named = HOSTILE if name == "h1" else f"表 {name}"
            connection.execute(
                meter_points.insert().values(**point, name=named, service="electricity")
            )
            hung = {"meter_point_id": name, "meter_id": f"NO-{name}", "exponent": -2}
            hung |= {"multiplier": "1", "installed_at_us": HUNG_US, "start_count": 10_000}
            connection.execute(installs.insert().values(**hung, capacity=1_000_000))


@pytest.fixture
def clerk(log_in: LogIn) -> Client:
    return log_in("clerk")


@pytest.fixture
def place(clerk: Client) -> str:
    """Open a round over all that no gateway reads."""
    form = {"name": "十一月", "read_on": "2026-11-20", "which": "*"}
    return str(clerk.post("/reading-rounds", data=form, headers=OWN).headers["location"])


def send(client: Client, place: str, point: str, register: str, **more: str) -> Response:
    form = {"point": point, "register": register, "nth": "0"} | more
    return client.post(f"{place}/reads", data=form, headers=OWN)


def stored(engine: Engine) -> list[tuple[str, int]]:
    query = select(manual_reads.c.meter_point_id, manual_reads.c.count)
    query = query.where(manual_reads.c.withdrawn_us.is_(None)).order_by(manual_reads.c.id)
    with engine.connect() as connection:
        return [(name, count) for name, count in connection.execute(query)]


def next_point(text: str) -> str:
    return text.partition('name="point" value="')[2].partition('"')[0]


def test_a_round_is_walked_from_one_unread_meter_to_the_next(
    engine: Engine, clerk: Client, place: str
) -> None:
    text = clerk.get(place).text
    # by premise: r0 is h10, r1 is h2, r2 is h1
    assert next_point(text) == "h10"
    assert "100.00" in text
    assert 'inputmode="decimal"' in text
    assert "<script>alert" not in text
    answer = send(clerk, place, "h2", "150.5", note=HOSTILE)
    assert answer.status_code == 303
    text = clerk.get(answer.headers["location"]).text
    assert next_point(text) == "h1", "the walk goes on, it does not jump back"
    assert "150.50" in text
    assert "&lt;script&gt;alert" in text
    assert "<script>alert" not in text
    send(clerk, place, "h1", "120")
    assert next_point(clerk.get(place).text) == "h10"
    send(clerk, place, "h10", "130")
    assert "这个任务的表都抄完了" in clerk.get(place).text
    assert stored(engine) == [("h2", 15_050), ("h1", 12_000), ("h10", 13_000)]
    listed = clerk.get("/reading-rounds").text
    assert "3 / 3" in listed
    assert "全部抄完" in listed


def test_the_same_form_sent_twice_stores_one_read(
    engine: Engine, clerk: Client, place: str
) -> None:
    first = send(clerk, place, "h1", "120")
    again = send(clerk, place, "h1", "120")
    assert (again.status_code, again.headers["location"]) == (303, first.headers["location"])
    other = send(clerk, place, "h1", "121")
    assert other.status_code == 422
    assert "请先撤回那一条" in other.text
    assert stored(engine) == [("h1", 12_000)]
    # what was withdrawn does not come back by an old form
    read = first.headers["location"].rpartition("=")[2]
    form = {"reason": "看错了"}
    clerk.post(f"{place}/reads/{read}/withdraw", data=form, headers=OWN)
    assert send(clerk, place, "h1", "120").status_code == 303
    assert stored(engine) == []
    assert send(clerk, place, "h1", "121", nth="1").status_code == 303
    assert stored(engine) == [("h1", 12_100)]


@pytest.fixture
def history(engine: Engine) -> None:
    """Let a meter have been read in September and October, with 30 kWh a month."""
    row = {"rule": "", "taken_by": "li", "photo": "", "note": "", "answer": "", "entered_us": 1}
    with engine.begin() as connection:
        for day, count in ((30, 10_000), (270, 10_800), (300, 10_900)):
            at_us = HUNG_US + day * 86_400_000_000
            connection.execute(
                manual_reads.insert().values(
                    meter_point_id="h1", read_at_us=at_us, count=count, **row
                )
            )


@pytest.mark.usefixtures("history")
def test_an_odd_read_is_asked_about_and_a_second_press_confirms(
    engine: Engine, clerk: Client, place: str
) -> None:
    before = stored(engine)
    asked = send(clerk, place, "h1", "5000", note="门后")
    assert asked.status_code == 200
    assert "确定吗" in asked.text
    assert "比上次走了 4,891.00" in asked.text
    assert 'name="asked" value="5000"' in asked.text
    assert 'value="门后"' in asked.text
    assert stored(engine) == before
    # another number is another question
    assert "确定吗" in send(clerk, place, "h1", "6000", asked="5000").text
    assert send(clerk, place, "h1", "5000", asked="5000").status_code == 303
    assert stored(engine)[-1] == ("h1", 500_000)


@pytest.mark.parametrize(
    ("register", "read_at", "said"),
    [
        ("99.99", "", "上次示数是 100.00，不能小于它"),
        ("abc", "", "示数不是数字"),
        ("120.555", "", "最多 2 位小数"),
        ("10000", "", "允许 0 到 10,000.00 以下"),
        ("120", "2099-01-01T00:00", "抄表时间在将来"),
        ("120", "2025-01-01T00:00", "那时这里没有装表"),
        ("120", "gestern", "时间无法识别"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_typed_is_lost(
    engine: Engine, clerk: Client, place: str, register: str, read_at: str, said: str
) -> None:
    answer = clerk.post(
        f"{place}/reads",
        data={"point": "h1", "register": register, "read_at": read_at, "note": "梯子", "nth": "0"},
        files={"photo": ("a.png", PNG, "text/html")},
        headers=OWN,
    )
    assert answer.status_code == 422
    assert said in answer.text
    assert f'value="{register}"' in answer.text
    assert 'value="梯子"' in answer.text
    assert 'name="held_photo"' in answer.text
    assert stored(engine) == []


def test_a_photo_is_kept_and_served_as_a_picture_only(
    engine: Engine, clerk: Client, place: str, tmp_path: Path
) -> None:
    form = {"point": "h1", "register": "1", "nth": "0"}
    files = {"photo": ("x.html", PNG, "text/html")}
    refused = clerk.post(f"{place}/reads", data=form, files=files, headers=OWN).text
    held = refused.partition('name="held_photo" value="')[2].partition('"')[0]
    assert held.endswith(".png")
    answer = send(clerk, place, "h1", "120", held_photo=held)
    read = answer.headers["location"].rpartition("=")[2]
    photo = clerk.get(f"{place}/reads/{read}/photo")
    assert (photo.content, photo.headers["content-type"]) == (PNG, "image/png")
    assert photo.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in photo.headers["content-security-policy"]
    assert [path.name for path in (tmp_path / "data" / "photos" / "p").iterdir()] == [held]
    assert stored(engine) == [("h1", 12_000)]


@pytest.mark.parametrize(
    ("body", "said"), [(b"<svg onload=alert(1)>", "不是 JPEG"), (PNG + b"\0" * 5_242_880, "5 MB")]
)
def test_another_file_is_no_photo(
    engine: Engine, clerk: Client, place: str, body: bytes, said: str
) -> None:
    form = {"point": "h1", "register": "120", "nth": "0"}
    files = {"photo": ("x.png", body, "image/png")}
    answer = clerk.post(f"{place}/reads", data=form, files=files, headers=OWN)
    assert answer.status_code == 422
    assert said in answer.text
    assert 'value="120"' in answer.text
    assert stored(engine) == []
    assert send(clerk, place, "h1", "120", held_photo="../../site.db").status_code == 303


def test_a_form_too_large_is_not_read(clerk: Client, place: str) -> None:
    files = {"photo": ("x.png", b"\0" * (20 * 1024 * 1024), "image/png")}
    answer = clerk.post(f"{place}/reads", data={"point": "h1"}, files=files, headers=OWN)
    assert answer.status_code == 413
    assert "文件太大" in answer.text


@pytest.mark.usefixtures("history")
def test_a_round_closes_with_estimates_and_then_takes_nothing(
    engine: Engine, clerk: Client, place: str
) -> None:
    send(clerk, place, "h10", "130")
    answer = clerk.post(f"{place}/close", data={"estimate": "true"}, headers=OWN)
    assert answer.headers["location"] == place
    text = clerk.get(place).text
    assert "已关闭" in text
    assert "估抄" in text
    assert 'name="register"' not in text
    assert [name for name, _ in stored(engine)][-1] == "h1"
    late = send(clerk, place, "h2", "130")
    assert late.status_code == 422
    assert "抄表任务已关闭" in late.text
    assert clerk.post(f"{place}/close", headers=OWN).headers["location"].endswith("refused=1")


def test_maintenance_reads_and_takes_back_its_own(log_in: LogIn, clerk: Client, place: str) -> None:
    send(clerk, place, "h1", "120")
    worker = log_in("maintenance")
    answer = send(worker, place, "h2", "130")
    mine = int(answer.headers["location"].rpartition("=")[2])
    assert "关闭抄表任务" not in worker.get(place).text
    form = {"name": "x", "read_on": "2026-11-20", "which": "*"}
    assert worker.post("/reading-rounds", data=form, headers=OWN).status_code == 403
    assert worker.post(f"{place}/close", headers=OWN).status_code == 403
    why = {"reason": "错"}
    path = f"{place}/reads/{{}}/withdraw"
    assert worker.post(path.format(mine - 1), data=why, headers=OWN).status_code == 403
    assert worker.post(path.format(mine), data=why, headers=OWN).status_code == 303


@pytest.mark.parametrize("role", ["guard", "resident", "integrator"])
def test_others_see_no_rounds(log_in: LogIn, place: str, role: str) -> None:
    client = log_in(role)
    for path in ("/reading-rounds", place, f"{place}/template.xlsx"):
        assert client.get(path).status_code == 403
    assert send(client, place, "h1", "120").status_code == 403
    assert "抄表" not in client.get("/").text.partition("<nav")[2].partition("</nav>")[0]


def test_another_site_and_another_project_store_nothing(
    engine: Engine, clerk: Client, place: str
) -> None:
    form = {"point": "h1", "register": "120", "nth": "0"}
    headers = {"sec-fetch-site": "cross-site"}
    assert clerk.post(f"{place}/reads", data=form, headers=headers).status_code == 403
    assert send(clerk, place, "x", "120").status_code == 404
    with engine.begin() as connection:
        row = {"project_id": "q", "name": "别处", "read_on": func.current_date()}
        made = connection.execute(
            read_rounds.insert()
            .values(**row, opened_by="x", opened_us=1)
            .returning(read_rounds.c.id)
        ).scalar_one()
    foreign = f"/reading-rounds/{made}"
    assert clerk.get(foreign).status_code == 404
    assert clerk.get(f"{foreign}/template.xlsx").status_code == 404
    assert send(clerk, foreign, "x", "120").status_code == 404
    assert clerk.post(f"{foreign}/close", headers=OWN).status_code == 404
    assert "别处" not in clerk.get("/reading-rounds").text
    assert stored(engine) == []


def test_a_round_of_nothing_is_not_opened(engine: Engine, clerk: Client) -> None:
    for which in ("x1", "nowhere"):
        form = {"name": "x", "read_on": "2026-11-20", "which": which}
        answer = clerk.post("/reading-rounds", data=form, headers=OWN)
        assert answer.headers["location"] == "/reading-rounds?refused=1"
    assert "没有建立任务" in clerk.get("/reading-rounds?refused=1").text
    with engine.connect() as connection:
        assert connection.execute(select(read_rounds)).all() == []
