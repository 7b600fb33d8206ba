"""From a gateway's signed reads to a bill that a bare Python computes anew, on both databases."""

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, delete, update
from typer.testing import CliRunner

from cloud import api, auth, problems
from cloud.billing import verify_bill
from cloud.billing.bundle import bundle_of
from cloud.billing.bundle_commands import pack_verifier
from cloud.billing.tables import pools
from cloud.billing.verify_bill import DiffersError, verify
from cloud.cli import app
from cloud.errors import NotFoundError
from cloud.ingest.tables import batches
from cloud.proofs.tables import signatures
from cloud.sites.tables import users
from protocols.delivery import verify_proof
from protocols.delivery.signature import key_text, public_bytes
from tests.fixtures.mutations import rewritten
from tests.fixtures.proven_site import OTHER, PUBLIC
from tests.fixtures.signed_estate import (
    bundle,
    change_invoice,
    deliver_signed,
    estate,
    month_of_reads,
    run,
)

with warnings.catch_warnings():
    # it would rather have another client library than the one that is locked
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


@pytest.fixture
def billed(engine: Engine, tmp_path: Path) -> Engine:
    """Give an estate whose October was delivered, signed and billed."""
    estate(engine)
    deliver_signed(engine, tmp_path, month_of_reads())
    run(engine)
    return engine


@pytest.fixture
def sqlite_billed(sqlite_engine: Engine, tmp_path: Path) -> Engine:
    """Give such an estate on SQLite alone."""
    estate(sqlite_engine)
    deliver_signed(sqlite_engine, tmp_path, month_of_reads())
    run(sqlite_engine)
    return sqlite_engine


def test_a_bill_is_computed_anew_by_a_bare_python(billed: Engine, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(Path(verify_bill.__file__).parent, elsewhere / "verify_bill")
    pack_verifier(elsewhere / "verify_bill.pyz")
    file = elsewhere / "bundle.json"

    def told(command: Sequence[str], content: bytes, key: str = PUBLIC) -> tuple[int, str]:
        file.write_bytes(content)
        done = subprocess.run(
            [sys.executable, *command, file, "--key", key],
            cwd=elsewhere,
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    raw = bundle(billed, "1-101")
    for other in (b"e-1-102", b"e-1-201", b"1-102"):
        assert other not in raw, "a neighbour"
    for command in (["-m", "verify_bill"], ["-I", "verify_bill.pyz"]):
        code, text = told(command, raw)
        assert (code, "2 个示数 reads signed by gateway gw-1" in text) == (0, True), text
        code, text = told(command, raw, key_text(public_bytes(OTHER)))
        assert (code, "public_key" in text) == (1, True)
    code, text = told(
        ["-I", "verify_bill.pyz"], raw.replace(b'"amount": "117.19"', b'"amount": "117.20"')
    )
    assert (code, "digest" in text) == (1, True)


def test_each_proof_of_a_bundle_stands_alone(billed: Engine) -> None:
    parts = json.loads(bundle(billed, "1-102"))["segments"][0]["parts"]
    reads = [read for part in parts for side in ("start", "end") for read in part[side]["reads"]]
    assert len(reads) == 3
    for read in reads:
        text = json.dumps(read["proof"], ensure_ascii=False, sort_keys=True, indent=1)
        assert "e-1-102/energy_import" in verify_proof.verify(f"{text}\n".encode(), PUBLIC)


def test_an_estimated_register_is_computed_anew(billed: Engine) -> None:
    told = verify(bundle(billed, "1-102"), [PUBLIC])
    assert "3 个示数 reads signed by gateway gw-1" in told[1]
    assert told[2].startswith("1 个估算示数 registers on the straight line")
    document = json.loads(bundle(billed, "1-102"))
    edge = document["segments"][0]["parts"][0]["end"]
    assert (edge["rule"], len(edge["reads"])) == ("straight-line", 2)


def test_time_of_use_is_computed_anew_from_every_hour(billed: Engine) -> None:
    raw = bundle(billed, "1-201")
    told = verify(raw, [PUBLIC])
    assert "4 行 lines" in told[0]
    assert told[1].startswith("745 个示数 reads signed by gateway gw-1")
    assert len(json.loads(raw)["segments"][0]["parts"][0]["hours"]) == 743


def test_without_the_hours_the_split_is_the_biller_s_word(billed: Engine) -> None:
    raw = bundle(billed, "1-201", by_hour=False)
    told = verify(raw, [PUBLIC])
    assert told[1].startswith("2 个示数")
    assert "month split over its hours by the biller's word" in told[2]
    with pytest.raises(DiffersError, match="line_items"):
        verify(by_day(raw))


def by_day(raw: bytes) -> bytes:
    """Return a bundle with a little of what was used at night as if it were used by day."""
    document = json.loads(raw)
    intervals = document["segments"][0]["inputs"]["intervals"]
    for place, more in ((3, "-0.1"), (12, "0.1")):
        intervals[place][2] = f"{Decimal(intervals[place][2]) + Decimal(more)}"
    return rewritten(document, renewed=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda inputs: inputs["intervals"].pop(), "inputs.intervals: found"),
        (lambda inputs: inputs.update(used_before="3000"), r"line_items\[\d\]"),
        (lambda inputs: inputs.update(quantity="0.00"), "inputs.quantity"),
    ],
)
def test_hours_and_what_was_before_are_seen(
    sqlite_billed: Engine, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    raw = bundle(sqlite_billed, "1-201")
    with pytest.raises(DiffersError, match=r"inputs.intervals\[3\]"):
        verify(by_day(raw))
    document = json.loads(raw)
    change(document["segments"][0]["inputs"])
    with pytest.raises(DiffersError, match=told):
        verify(rewritten(document, renewed=True))


def test_a_share_is_computed_anew_from_the_public_sheet(billed: Engine) -> None:
    raw = bundle(billed, "1-101", "shared")
    told = verify(raw, [PUBLIC])
    assert "2 项公摊 pools" in told[2]
    for other in (b"e-1-101", b"e-1-102", b"e-1-201"):
        assert other not in raw, "a home's meter"
    # the sheet keeps what priced it
    change_invoice(billed, Decimal("900.01"))
    with billed.begin() as connection:
        connection.execute(update(pools).values(name="x", kind="loss", cap_percent="1"))
    assert bundle(billed, "1-101", "shared") == raw
    document = json.loads(raw)
    document["pools"][0]["invoice"]["amount"] = "900.01"
    with pytest.raises(DiffersError, match=r"pools\[0\].unit_price"):
        verify(rewritten(document, renewed=True), [PUBLIC])
    document["pools"][0]["invoice"] = None
    with pytest.raises(DiffersError, match=r"pools\[0\].invoice: was not kept"):
        verify(rewritten(document, renewed=True), [PUBLIC])


def test_what_is_lacking_is_said(billed: Engine) -> None:
    with billed.begin() as connection:
        connection.execute(delete(signatures))
    raw = bundle(billed, "1-101")
    told = verify(raw)
    assert "2 个未签名示数 reads of a gateway without a proof" in told[1]
    read = json.loads(raw)["segments"][0]["parts"][0]["end"]["reads"][0]
    assert "no verified signature" in read["lacks"]
    assert (read["proof"], read["gateway"], read["words"]) == (None, "gw-1", "0000 a176")
    with billed.begin() as connection:
        connection.execute(delete(batches))
    raw = bundle(billed, "1-101")
    assert (
        "no longer held" in json.loads(raw)["segments"][0]["parts"][0]["end"]["reads"][0]["lacks"]
    )
    assert "个人工示数" not in "".join(verify(raw))


def test_of_no_bill_there_is_no_bundle(sqlite_engine: Engine) -> None:
    with sqlite_engine.connect() as connection, pytest.raises(NotFoundError, match="'x' is unk"):
        bundle_of(connection, "x")


def test_the_commands(billed: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = billed.url.set(drivername=billed.url.get_backend_name())
    monkeypatch.setenv("HUTONG_DATABASE_URL", url.render_as_string(hide_password=False))
    out = tmp_path / "bundle.json"
    runner = CliRunner()
    for bill in ("1-101-shared", "1-101-electricity", "1-102-electricity", "1-201-electricity"):
        command = ["bill", "evidence", f"2026-10-{bill}-1", "--out", str(out)]
        done = runner.invoke(app, command)
        assert (done.exit_code, "相符 agrees" in done.output) == (0, True), done
    assert runner.invoke(app, ["bill", "verify", str(out), "--key", PUBLIC]).exit_code == 0
    done = runner.invoke(app, ["bill", "verify", str(out), "--key", "nobody's"])
    assert (done.exit_code, "public_key" in done.output) == (1, True)
    assert runner.invoke(app, ["bill", "verify", str(tmp_path / "none")]).exit_code == 2
    packed = tmp_path / "verify_bill.pyz"
    assert runner.invoke(app, ["bill", "verifier", "--out", str(packed)]).exit_code == 0
    assert packed.stat().st_size > 10_000


def test_a_resident_gets_the_bundle_of_the_own_home_alone(billed: Engine) -> None:
    row = {"project_id": "p", "username": "li", "name": "li", "role": "resident"}
    row |= {"premise_id": "1-101", "password_hash": auth.hash_password("correct horse")}
    with billed.begin() as connection:
        connection.execute(users.insert().values(**row))
    service = FastAPI()
    service.state.engine = billed
    service.include_router(api.router, prefix="/api/v1")
    problems.install(service)
    with TestClient(service, base_url="http://testserver/api/v1/") as client:
        client.headers["authorization"] = f"Bearer {auth.log_in(billed, 'li', 'correct horse')}"
        own = client.get("bills/2026-10-1-101-shared-1/bundle")
        assert (own.status_code, own.headers["content-type"]) == (200, "application/json")
        assert verify(own.content, [PUBLIC])
        assert client.get("bills/2026-10-1-102-shared-1/bundle").status_code == 404
        assert client.get("bills/2026-10-1-101-shared-1/evidence").json()["total_fen"] > 0
