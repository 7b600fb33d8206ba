"""Backups of a database that is written to, what refuses to be restored, and full disks."""

import os
import resource
import subprocess
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text

from cloud.config import Settings
from cloud.database import migrate, open_engine, opened
from cloud.ingest import repository
from cloud.ingest.service import process
from cloud.ingest.tables import batches, envelopes, lanes
from cloud.operations import backup, restore
from cloud.operations.archive import BackupError
from cloud.sites.tables import projects
from edge.journal import Journal
from tests.e2e.chain_processes import program
from tests.faults.small_disks import tmpfs
from tests.fixtures.databases import fresh_postgres
from tests.fixtures.delivery import OpenJournal, add_site, fill, packed
from tests.fixtures.system_parts import postgres_programs

BATCHES = 300


@pytest.fixture
def settings(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give the settings of a service on this database."""
    if engine.dialect.name == "postgresql":
        monkeypatch.setenv("PATH", f"{postgres_programs()}{os.pathsep}{os.environ['PATH']}")
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    return Settings(data_dir=tmp_path / "data", database_url=url)


@pytest.fixture
def kept(engine: Engine, settings: Settings, tmp_path: Path) -> Path:
    """Give a backup of one project, one gateway and a photo; nobody is connected any more."""
    add_site(engine, "gw-1")
    photo = settings.data_dir / "photos" / "p-1" / "a.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"photo")
    (photo.parent / "b.jpg.part").write_bytes(b"half")
    made = backup.make(settings, tmp_path / "kept.tar")
    engine.dispose()
    assert {part.name for part in made.manifest.parts} >= {"photos/p-1/a.jpg"}
    assert not any(part.name.endswith(".part") for part in made.manifest.parts)
    return made.path


def test_a_backup_beside_ingest_is_consistent(
    engine: Engine, settings: Settings, open_journal: OpenJournal, tmp_path: Path
) -> None:
    add_site(engine, "gw-1")
    journal = open_journal()
    fill(journal, BATCHES)
    stored = threading.Event()
    writer = threading.Thread(target=_deliver, args=(engine, journal, stored))
    writer.start()
    try:
        assert stored.wait(20)
        made = [backup.make(settings, tmp_path / f"{number}.tar") for number in range(3)]
    finally:
        writer.join(60)
    engine.dispose()
    counts = []
    for item in made:
        done = restore.restore(settings, item.path, force=True)
        assert done.set_aside
        counts.append(_check_lane(settings))
    assert counts == sorted(counts)
    assert 0 < counts[0] < BATCHES, "it was not made while batches came"


def test_what_is_restored_is_what_was_kept(settings: Settings, kept: Path) -> None:
    (settings.data_dir / "photos" / "p-1" / "a.jpg").unlink()
    with opened(settings.database) as engine, engine.begin() as connection:
        connection.execute(projects.update().values(name="changed"))
        repository.set_generation(connection, "gw-1", 7)
    with pytest.raises(BackupError, match="--force"):
        restore.restore(settings, kept)
    done = restore.restore(settings, kept, force=True)
    # above what the one that is kept aside ever said
    assert done.generations == {"gw-1": 8}
    assert done.files == 1
    assert (settings.data_dir / "photos" / "p-1" / "a.jpg").read_bytes() == b"photo"
    with opened(settings.database) as engine, engine.connect() as connection:
        reader = connection.execution_options(readonly=True)
        assert reader.scalar(select(projects.c.name)) == "青松"
        assert repository.generation(reader, "gw-1") == 8
        if engine.dialect.name == "postgresql":
            aside = done.set_aside.split()[1]
            reader.execute(text(f'SET search_path TO "{aside}"'))
            assert reader.scalar(select(projects.c.name)) == "changed"
    if settings.database.startswith("sqlite"):
        with opened(f"sqlite:///{done.set_aside}") as engine, engine.connect() as connection:
            reader = connection.execution_options(readonly=True)
            assert reader.scalar(select(projects.c.name)) == "changed"


def test_a_database_in_use_is_not_replaced(settings: Settings, kept: Path, engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execution_options(readonly=True).scalar(select(projects.c.name))
        with pytest.raises(BackupError, match="stop hutong-cloud first"):
            restore.restore(settings, kept, force=True)
        assert connection.scalar(select(func.count()).select_from(projects)) == 1


def test_a_file_that_changed_is_left_alone(settings: Settings, kept: Path) -> None:
    photo = settings.data_dir / "photos" / "p-1" / "a.jpg"
    photo.write_bytes(b"another")
    done = restore.restore(settings, kept, force=True)
    assert done.left_alone == [str(photo)]
    assert photo.read_bytes() == b"another"


def test_an_older_schema_is_migrated(settings: Settings, kept: Path, tmp_path: Path) -> None:
    kept.unlink()
    with opened(settings.database) as engine:
        migrate(engine, "0014")
    older = backup.make(settings, tmp_path / "older.tar")
    assert older.manifest.schema == "0014"
    done = restore.restore(settings, older.path, force=True)
    assert done.schema > "0014"


def test_a_newer_schema_is_refused(
    settings: Settings, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "revisions", lambda: ["0001", "0002"])
    with pytest.raises(BackupError, match="newer than this program's 0002"):
        restore.restore(settings, kept, force=True)


def test_a_backup_does_not_cross(settings: Settings, kept: Path) -> None:
    other = "sqlite:////tmp/x.db"
    if settings.database.startswith("sqlite"):
        other = "postgresql://127.0.0.1:1/x"
    with pytest.raises(BackupError, match="does not cross"):
        restore.restore(settings.model_copy(update={"database_url": other}), kept)


def test_keys_only_when_asked_for(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("secret", "utf-8")
    with_key = settings.model_copy(update={"alipay_private_key_file": key})
    of_commands = with_key.command_key_file
    none = backup.make(with_key, tmp_path / "none.tar", with_keys=True)
    assert b"command_key_file" not in none.path.read_bytes()
    of_commands.write_text("another secret", "utf-8")
    plain = backup.make(with_key, tmp_path / "plain.tar")
    assert b"secret" not in plain.path.read_bytes()
    full = backup.make(with_key, tmp_path / "full.tar", with_keys=True)
    engine.dispose()
    key.unlink()
    of_commands.unlink()
    restore.restore(with_key, full.path, force=True)
    assert (key.read_text("utf-8"), of_commands.read_text("utf-8")) == ("secret", "another secret")
    for file in (key, of_commands):
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("kept")
def test_a_full_disk_leaves_no_half_backup(settings: Settings, tmp_path: Path) -> None:
    (settings.data_dir / "photos" / "large.jpg").write_bytes(bytes(9 << 20))
    with tmpfs(tmp_path / "small", 8) as folder:
        with pytest.raises(BackupError, match="No space left on device; nothing of it is left"):
            backup.make(settings, folder)
        assert not list(folder.iterdir())


@pytest.mark.usefixtures("kept")
def test_a_limit_of_file_sizes_leaves_no_half_backup(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "limited"
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if "HUTONG" not in key}
    environment |= {"HUTONG_DATABASE_URL": settings.database.replace("+psycopg", "")}
    done = subprocess.run(
        [program("hutong-cloud"), "backup", str(folder)],
        env=environment | {"HUTONG_DATA_DIR": str(settings.data_dir)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert str(folder) in done.stderr or "pg_dump" in done.stderr
    assert not list(folder.iterdir())


@pytest.mark.postgres
def test_a_missing_pg_dump_is_told(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.operations.copies._PLACES", (str(tmp_path),))
    monkeypatch.setenv("PATH", str(tmp_path))
    other = tmp_path / "pg_dump"
    other.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6'\n", "utf-8")
    other.chmod(0o755)
    with fresh_postgres(postgres_url) as url:
        with opened(url) as engine:
            migrate(engine)
        settings = Settings(data_dir=tmp_path, database_url=url.replace("+psycopg", ""))
        with pytest.raises(BackupError, match=r"pg_dump: of PostgreSQL .* is of version 9.: inst"):
            backup.make(settings, tmp_path / "x.tar")
    assert not (tmp_path / "x.tar.part").exists()


def _deliver(engine: Engine, journal: Journal, stored: threading.Event) -> None:
    for seq in range(1, BATCHES + 1):
        with engine.begin() as connection:
            process(connection, [packed(journal, seq)], 0)
        if seq > 5:
            stored.set()


def _check_lane(settings: Settings) -> int:
    """Return how many batches are held, in one whole chain that the watermark covers."""
    engine = open_engine(settings.database)
    try:
        with engine.connect() as connection:
            reader = connection.execution_options(readonly=True)
            lane = reader.execute(select(lanes)).one()
            rows = reader.execute(select(envelopes).order_by(envelopes.c.seq)).all()
            held = set(reader.scalars(select(batches.c.batch_id)))
    finally:
        engine.dispose()
    assert [row.seq for row in rows] == list(range(1, lane.through + 1))
    assert {row.batch_id for row in rows} == held
    assert all(b.prev_hash == a.hash for a, b in pairwise(rows))
    assert rows[-1].hash == lane.hash_through
    return len(rows)
