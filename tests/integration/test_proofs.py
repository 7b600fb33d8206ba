"""From a gateway's journal and key to a proof that a bare Python checks, on both databases."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from cloud.cli import app
from cloud.errors import CloudError, NotFoundError
from edge.journal import Journal
from protocols.delivery import envelope, verify_proof
from protocols.delivery.envelope import LANE_EVENTS, LANE_READINGS
from protocols.delivery.signature import key_text, public_bytes
from tests.fixtures.delivery import (
    OpenJournal,
    add_site,
)
from tests.fixtures.proven_site import (
    HOMES,
    ONE,
    OTHER,
    PUBLIC,
    deliver_all,
    prove,
    sealed,
    sign,
    trust,
    verdicts,
    work,
)


@pytest.mark.usefixtures("delivered")
def test_a_proof_is_checked_by_a_bare_python(engine: Engine, tmp_path: Path) -> None:
    trust(engine)
    work(engine)
    assert set(verdicts(engine)) == {True}
    raw = prove(engine)
    # the third batch is the first that is signed
    assert raw.count(b'"payload_hash"') == 2
    for other in HOMES[1:]:
        assert other.encode() not in raw

    program = tmp_path / "elsewhere" / "verify_proof.py"
    program.parent.mkdir()
    shutil.copy(verify_proof.__file__, program)
    file = program.with_name("proof.json")

    def checked(content: bytes) -> subprocess.CompletedProcess[str]:
        file.write_bytes(content)
        return subprocess.run(
            [sys.executable, "-I", program, file, "--key", PUBLIC],
            cwd=program.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    done = checked(raw)
    assert (done.returncode, done.stderr) == (0, "")
    assert "e-1/energy_import = 10.01 kWh" in done.stdout
    done = checked(raw.replace(b'"count": 1001', b'"count": 1002'))
    assert (done.returncode, done.stdout) == (
        1,
        "proof does not hold: reading.count: says 1002, the leaf says 1001\n",
    )
    assert checked(raw[:-2]).returncode == 2
    for line in program.read_text().splitlines():
        assert not line.startswith(("from protocols", "import protocols", "import msgspec"))


def test_a_batch_is_proven_without_naming_a_reading(engine: Engine, delivered: Journal) -> None:
    trust(engine)
    work(engine)
    body = delivered.envelope(LANE_EVENTS, 1)
    assert body is not None
    name = envelope.unpack(body).batch_id.hex()
    assert verify_proof.verify(prove(engine, f"{name}/"), PUBLIC).startswith("1 records of the gat")
    with pytest.raises(NotFoundError, match="no records of 'e-9'"):
        prove(engine, f"{name}/e-9")
    with pytest.raises(NotFoundError, match="not held"):
        prove(engine, f"{'0' * 32}/e-1")


@pytest.mark.usefixtures("delivered")
def test_what_cannot_be_found_says_what_can(engine: Engine) -> None:
    trust(engine)
    work(engine)
    with pytest.raises(NotFoundError, match=r"nearest are 2026-07-01T00:01:00\+00:00, .*00:02:00"):
        prove(engine, "e-1/energy_import@2026-07-01T08:01:30+08:00")
    for wrong in ("e-1", "e-1/energy_import", "e-1/energy_import@noon", ONE.rstrip("Z")):
        with pytest.raises((CloudError, ValueError), match=r"allowed|zone"):
            prove(engine, wrong)


def test_a_new_epoch_is_proven_by_the_old_ones_signature(
    engine: Engine, delivered: Journal
) -> None:
    delivered.new_epoch(LANE_READINGS)
    deliver_all(engine, delivered, lanes=(1,))
    trust(engine)
    work(engine)
    assert verify_proof.verify(prove(engine), PUBLIC)


def test_the_commands_enrol_trust_prove_and_verify(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_journal: OpenJournal,
    sqlite_engine: Engine,
) -> None:
    monkeypatch.setenv("HUTONG_DATABASE_URL", str(sqlite_engine.url))
    add_site(sqlite_engine, "gw-0")

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, list(words))
        return done.exit_code, done.output

    enrol = ("gateway", "enrol", "gw-1", "--project", "p-1")
    assert run(*enrol, "--public-key", "short")[0] != 0
    assert run(*enrol, "--public-key", PUBLIC) == (0, "enrolled gw-1\n")
    assert run("gateway", "keys", "gw-1") == (0, f"{PUBLIC}  valid\n")
    other = key_text(public_bytes(OTHER))
    since = ("--from", "2026-07-01T00:00:00Z")
    assert run("gateway", "trust-key", "gw-1", other, *since) == (0, "trusted for gw-1\n")
    assert run("gateway", "revoke-key", "gw-1", other) == (0, "revoked for gw-1\n")
    assert "from 2026-07-01T00:00:00+00:00" in run("gateway", "keys", "gw-1")[1]
    assert "revoked 20" in run("gateway", "keys", "gw-1")[1]

    journal = open_journal()
    sealed(journal, 0, 2)
    sign(journal)
    deliver_all(sqlite_engine, journal)
    work(sqlite_engine)
    out = tmp_path / "proof.json"
    told = f"wrote {out}\nclock_quality: certain\n"
    assert run("prove", ONE, "--out", str(out)) == (0, told)
    code, told = run("verify", str(out), "--key", PUBLIC)
    assert code == 0
    assert told.startswith("proof holds: ")
    out.write_bytes(out.read_bytes().replace(b'"index": 0', b'"index": 1'))
    assert run("verify", str(out))[0] == 1
    assert run("verify", str(tmp_path / "absent"))[0] == 2
