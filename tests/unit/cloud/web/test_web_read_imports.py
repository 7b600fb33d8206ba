"""Imports of reads on pages: tried dry, looked at, stored as one act, left out told, undone."""

import io
from pathlib import Path

import pytest
import xlsxwriter
from fastapi import FastAPI
from httpx import Client, Response
from python_calamine import CalamineWorkbook
from sqlalchemy import Engine, func, select

from cloud.config import Settings
from cloud.metering.reading_tables import manual_reads, read_imports
from cloud.metering.tables import installs, meter_points
from tests.unit.cloud.web.conftest import HOSTILE, LogIn

OWN = {"sec-fetch-site": "same-origin"}
ROOT = "/reading-rounds/imports"
HUNG_US = 1_767_196_800_000_000
HEAD = "计量点,表号,本期示数,抄表时间,备注\n"
ROWS = f"""h0,,120.5,2026-10-01,{HOSTILE}
,NO-h1,130,2026-10-01 18:00,
h2,,50,2026-10-01,
x,,120,2026-10-01,
nobody,,1,2026-10-01,
h2,,abc,2026-10-01,
h0,,120.55,2026/10/02,
h1,,,,
"""


@pytest.fixture(autouse=True)
def meters(engine: Engine, app: FastAPI, tmp_path: Path) -> None:
    """Give three homes whose meters no gateway reads, and one of another project."""
    app.state.settings = Settings(data_dir=tmp_path / "data")
    with engine.begin() as connection:
        for number, name in enumerate(("h0", "h1", "h2", "x")):
            point = {"id": name, "project_id": "q" if name == "x" else "p", "uom": "kWh"}
            point |= {"building_id": "x1" if name == "x" else "b1", "role": "sub"}
            point |= {"premise_id": "x" if name == "x" else f"r{number}", "supply": "collected"}
            connection.execute(
                meter_points.insert().values(**point, name=name, service="electricity")
            )
            hung = {"meter_point_id": name, "meter_id": f"NO-{name}", "exponent": -2}
            hung |= {"multiplier": "1", "installed_at_us": HUNG_US, "start_count": 10_000}
            connection.execute(installs.insert().values(**hung, capacity=1_000_000))


@pytest.fixture
def clerk(log_in: LogIn) -> Client:
    return log_in("clerk")


def upload(client: Client, body: bytes | str, name: str = "十月.csv", **more: str) -> Response:
    sent = body.encode() if isinstance(body, str) else body
    return client.post(ROOT, data=more, files={"file": (name, sent, "text/html")}, headers=OWN)


def confirm(client: Client, place: str, **more: str) -> Response:
    form = {"name": "十月.csv", "round": "0"} | more
    return client.post(place.partition("?")[0], data=form, headers=OWN)


def standing(engine: Engine) -> list[tuple[str, int]]:
    query = select(manual_reads.c.meter_point_id, manual_reads.c.count)
    query = query.where(manual_reads.c.withdrawn_us.is_(None)).order_by(manual_reads.c.id)
    with engine.connect() as connection:
        return [(name, count) for name, count in connection.execute(query)]


def table(body: bytes) -> list[list[object]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(body))
    return list(book.get_sheet_by_index(0).to_python())


def test_a_file_is_looked_at_before_anything_is_stored(engine: Engine, clerk: Client) -> None:
    place = upload(clerk, HEAD + ROWS).headers["location"]
    text = clerk.get(place).text
    for said in ("可入库 3 条", "拒绝 4 条", "上次示数是 100.00，不能小于它"):
        assert said in text
    for said in ("没有计量点 nobody", "没有计量点 x", "示数不是数字"):
        assert said in text
    assert "十月.csv" in text
    assert standing(engine) == []
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(read_imports)) == 0


def test_what_was_looked_at_is_stored_as_one_import_and_undone(
    engine: Engine, clerk: Client
) -> None:
    place = upload(clerk, HEAD + ROWS).headers["location"]
    made = confirm(clerk, place).headers["location"]
    assert sorted(standing(engine)) == [("h0", 12_050), ("h0", 12_055), ("h1", 13_000)]
    text = clerk.get(made).text
    assert "已入库 3 条" in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    # the same press again stores nothing more
    assert confirm(clerk, place).headers["location"] == f"{ROOT}?refused=nothing"
    assert len(standing(engine)) == 3
    assert "十月.csv" in clerk.get(ROOT).text
    assert clerk.post(f"{made}/undo", headers=OWN).headers["location"].endswith("refused=1")
    assert clerk.post(f"{made}/undo", data={"reason": "月份错"}, headers=OWN).status_code == 303
    assert standing(engine) == []
    assert "已撤销" in clerk.get(made).text
    again = clerk.post(f"{made}/undo", data={"reason": "x"}, headers=OWN)
    assert again.headers["location"].endswith("refused=1")


def test_rows_that_were_left_out_come_back_to_be_mended(engine: Engine, clerk: Client) -> None:
    place = upload(clerk, HEAD + ROWS).headers["location"]
    tried = clerk.get(place.replace("?", "/left-out.xlsx?"))
    made = confirm(clerk, place).headers["location"]
    kept = clerk.get(f"{made}/left-out.xlsx")
    for answer in (tried, kept):
        assert answer.headers["content-type"].endswith("sheet")
        rows = table(answer.content)
        assert [row[2] for row in rows[-4:]] == ["h2", "x", "nobody", "h2"]
        assert "上次示数是 100.00" in str(rows[-4][1])
    # it is a file of reads itself
    again = upload(clerk, kept.content, "left-out.xlsx").headers["location"]
    assert "拒绝 4 条" in clerk.get(again).text
    assert len(standing(engine)) == 3


def test_odd_rows_are_stored_only_if_somebody_says_so(engine: Engine, clerk: Client) -> None:
    rows = "h0,,180,2026-08-01,\nh0,,191,2026-09-01,\nh0,,5000,2026-10-01,\n"
    place = upload(clerk, HEAD + rows).headers["location"]
    text = clerk.get(place).text
    assert "可入库 2 条" in text
    assert "待确认 1 条" in text
    assert "比上次走了 4,809.00" in text
    confirm(clerk, place, confirmed="true")
    assert standing(engine) == [("h0", 18_000), ("h0", 19_100), ("h0", 500_000)]


def test_a_rounds_workbook_is_filled_in_and_counts_for_the_round(
    engine: Engine, clerk: Client
) -> None:
    form = {"name": "十月", "read_on": "2026-10-31", "which": "*"}
    place = clerk.post("/reading-rounds", data=form, headers=OWN).headers["location"]
    rows = table(clerk.get(f"{place}/template.xlsx").content)
    head = next(number for number, row in enumerate(rows) if "本期示数" in row)
    assert [row[3] for row in rows[head + 1 :]] == ["h0", "h1", "h2"]
    assert [row[5] for row in rows[head + 1 :]] == [100, 100, 100]
    column = rows[head].index("本期示数")
    rows[head + 1][column], rows[head + 3][column] = 123.4, 99
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        page = book.add_worksheet()
        for line, row in enumerate(rows):
            page.write_row(line, 0, [str(cell) if cell != 123.4 else cell for cell in row])
    round_id = place.rpartition("/")[2]
    tried = upload(clerk, out.getvalue(), "a.xlsx", round=round_id).headers["location"]
    assert "可入库 1 条" in clerk.get(tried).text
    confirm(clerk, tried, round=round_id)
    assert standing(engine) == [("h0", 12_340)]
    assert "1 / 3" in clerk.get(place).text
    # what the round has is not asked for again, nor taken twice
    left = table(clerk.get(f"{place}/template.xlsx").content)
    assert [row[3] for row in left if row[3] in ("h0", "h1", "h2")] == ["h1", "h2"]
    assert "任务里已有它的读数" in clerk.get(tried).text
    clerk.post(f"{place}/close", headers=OWN)
    assert clerk.get(tried).headers["location"] == f"{ROOT}?refused=round"


@pytest.mark.parametrize(
    ("body", "word"),
    [(b"PK\x03\x04", "file"), (b"a,b\n1,2\n", "file"), (b"", "none"), (b"x" * 5_242_881, "large")],
    ids=["no-zip", "no-titles", "empty", "large"],
)
def test_what_is_no_file_of_reads_is_told(clerk: Client, body: bytes, word: str) -> None:
    location = upload(clerk, body).headers["location"]
    assert location == f"{ROOT}?refused={word}"
    assert 'role="alert"' in clerk.get(location).text


@pytest.mark.parametrize("role", ["maintenance", "guard", "resident", "integrator"])
def test_others_import_nothing(engine: Engine, clerk: Client, log_in: LogIn, role: str) -> None:
    place = upload(clerk, HEAD + ROWS).headers["location"]
    made = confirm(clerk, place).headers["location"]
    client = log_in(role)
    for path in (ROOT, place, made):
        assert client.get(path).status_code == 403
    assert upload(client, HEAD + ROWS).status_code == 403
    assert client.post(f"{made}/undo", data={"reason": "x"}, headers=OWN).status_code == 403
    assert len(standing(engine)) == 3


def test_files_and_imports_of_others_are_not_there(engine: Engine, clerk: Client) -> None:
    with engine.begin() as connection:
        row = {"project_id": "q", "name": "别处.csv", "imported_by": "x", "imported_us": 1}
        made = connection.execute(
            read_imports.insert().values(**row).returning(read_imports.c.id)
        ).scalar_one()
    assert "别处.csv" not in clerk.get(ROOT).text
    assert clerk.get(f"{ROOT}/{made}").status_code == 404
    answer = clerk.post(f"{ROOT}/{made}/undo", data={"reason": "x"}, headers=OWN)
    assert answer.status_code == 404
    for digest in ("0" * 64, "..%2F..%2Fsite.db", "x"):
        assert clerk.get(f"{ROOT}/files/{digest}").status_code in (400, 404)
    headers = {"sec-fetch-site": "cross-site"}
    files = {"file": ("a.csv", b"x", "text/csv")}
    assert clerk.post(ROOT, files=files, headers=headers).status_code == 403
