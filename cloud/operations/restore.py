"""Bringing a backup back: checked first, beside what is there, with every generation raised."""

import hashlib
import os
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import DBAPIError

from cloud.config import Settings
from cloud.database import migrate, opened, revision_of, revisions
from cloud.ingest import repository
from cloud.ingest.tables import generations
from cloud.operations import copies
from cloud.operations.archive import (
    BackupError,
    Manifest,
    Part,
    copy_part,
    read_manifest,
    sync_folder,
)
from cloud.operations.backup import DATABASE_PARTS, KEPT_FOLDERS, KEY_FILES, MADE_KEY, OWN_FOLDERS
from cloud.sites.tables import gateways

_PRIVATE: Final = 0o700


@dataclass
class Restored:
    """What a restore did."""

    manifest: Manifest
    schema: str
    set_aside: str = ""
    generations: dict[str, int] = field(default_factory=dict)
    files: int = 0
    # files that were there already and are not as in the backup; they were left alone
    left_alone: list[str] = field(default_factory=list)
    # parts for which no setting says where they belong
    without_place: list[str] = field(default_factory=list)


def restore(settings: Settings, path: Path, *, force: bool = False) -> Restored:
    """Put a backup in the place of the configured database; BackupError and nothing is changed.

    A database that holds something is kept aside, and only with `force`.
    """
    manifest = read_manifest(path)
    _check(settings, path, manifest)
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    done = Restored(manifest, revisions()[-1])
    part = next(item for item in manifest.parts if item.name == DATABASE_PARTS[manifest.database])
    try:
        if manifest.database == copies.SQLITE:
            _restore_sqlite(settings, path, part, done, stamp=stamp, force=force)
        else:
            _restore_postgres(settings, path, part, done, stamp=stamp, force=force)
        for item in manifest.parts:
            if item is not part:
                _restore_file(settings, path, item, done)
    except OSError as error:
        message = f"{error.filename or path}: {error.strerror or error}"
        raise BackupError(message) from error
    return done


def _check(settings: Settings, path: Path, manifest: Manifest) -> None:
    kind = copies.kind_of(settings.database)
    if manifest.database != kind:
        message = (
            f"{path}: a backup of {manifest.database}, and HUTONG_DATABASE_URL names {kind}:"
            f" allowed is {manifest.database}; a backup does not cross from one to the other"
        )
        raise BackupError(message)
    if DATABASE_PARTS[kind] not in {part.name for part in manifest.parts}:
        message = f"{path}: {DATABASE_PARTS[kind]}: missing"
        raise BackupError(message)
    known = revisions()
    if manifest.schema not in known:
        message = (
            f"{path}: schema {manifest.schema} of hutong {manifest.product} is newer than this"
            f" program's {known[-1]}: install hutong {manifest.product} or later"
        )
        raise BackupError(message)


def _restore_sqlite(
    settings: Settings, path: Path, part: Part, done: Restored, *, stamp: str, force: bool
) -> None:
    target = copies.sqlite_file(settings.database)
    target.parent.mkdir(parents=True, exist_ok=True)
    held: dict[str, int] = {}
    if target.exists() and target.stat().st_size:
        held = _release_sqlite(target, force=force)
    fresh = target.with_name(f"{target.name}.restoring-{stamp}")
    try:
        copy_part(path, part, fresh)
        _renew(f"sqlite:///{fresh}", held, done)
        copies.settle_sqlite(fresh)
        _give(fresh, target if target.exists() else target.parent)
        if fault := copies.sqlite_fault(fresh):
            message = f"{path}: {part.name}: {fault}"
            raise BackupError(message)
        if target.exists():
            aside = target.with_name(f"{target.name}.before-{stamp}")
            # never a moment without a database under its name
            os.link(target, aside)
            done.set_aside = str(aside)
        fresh.replace(target)
        sync_folder(target.parent)
    finally:
        for ending in ("", "-wal", "-shm"):
            fresh.with_name(f"{fresh.name}{ending}").unlink(missing_ok=True)


def _release_sqlite(target: Path, *, force: bool) -> dict[str, int]:
    """Bring a database that nobody uses into its one file; return the generations it holds."""
    held: dict[str, int] = {}
    try:
        with opened(f"sqlite:///{target}") as engine, engine.connect() as connection:
            held = _refuse_or_read(connection, str(target), force=force)
        copies.settle_sqlite(target)
    except sqlite3.OperationalError as error:
        message = f"{target}: in use: stop hutong-cloud first ({error})"
        raise BackupError(message) from error
    except (DBAPIError, sqlite3.DatabaseError) as error:
        # what cannot be read is kept aside as it is
        if not force:
            message = f"{target}: cannot be read ({error}): --force keeps it aside"
            raise BackupError(message) from error
    return held


def _restore_postgres(
    settings: Settings, path: Path, part: Part, done: Restored, *, stamp: str, force: bool
) -> None:
    url = settings.database
    shown = url.rpartition("@")[2]
    with opened(url) as engine:
        if others := copies.others_connected(engine):
            message = f"{shown}: {others} other sessions use it: stop hutong-cloud first"
            raise BackupError(message)
        with engine.connect() as connection:
            is_empty = not inspect(connection).get_table_names()
            held = {} if is_empty else _refuse_or_read(connection, shown, force=force)
        dump = settings.data_dir / f"hutong.dump.restoring-{stamp}"
        dump.parent.mkdir(parents=True, exist_ok=True)
        aside = f"before_{stamp.lower()}"
        try:
            copy_part(path, part, dump)
            copies.set_aside_postgres(engine, aside)
            try:
                copies.restore_postgres(url, dump)
                _renew(url, held, done)
            except BaseException:
                copies.bring_back_postgres(engine, aside)
                raise
            if is_empty:
                copies.drop_postgres(engine, aside)
            else:
                done.set_aside = f"schema {aside} of {shown}"
        finally:
            dump.unlink(missing_ok=True)


def _refuse_or_read(connection: Connection, shown: str, *, force: bool) -> dict[str, int]:
    reader = connection.execution_options(readonly=True)
    if not inspect(reader).get_table_names():
        return {}
    if not force:
        message = f"{shown}: holds a database already: --force keeps it aside and restores"
        raise BackupError(message)
    if generations.name not in inspect(reader).get_table_names():
        return {}
    return {row.gateway_id: row.generation for row in reader.execute(select(generations))}


def _renew(url: str, held: dict[str, int], done: Restored) -> None:
    """Migrate up, and raise each gateway's generation above all that this place ever said."""
    with opened(url) as engine:
        migrate(engine)
        with engine.begin() as connection:
            names = {*connection.scalars(select(gateways.c.id)), *held}
            names |= set(connection.scalars(select(generations.c.gateway_id)))
            for name in sorted(names):
                newest = max(repository.generation(connection, name), held.get(name, 1))
                repository.set_generation(connection, name, newest + 1)
                done.generations[name] = newest + 1
            done.schema = revision_of(connection)


def _restore_file(settings: Settings, path: Path, part: Part, done: Restored) -> None:
    target = _place(settings, part.name)
    if target is None:
        done.without_place.append(part.name)
        return
    if target.exists():
        if not _is_same(target, part):
            done.left_alone.append(str(target))
        return
    target.parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.part")
    fresh.unlink(missing_ok=True)
    copy_part(path, part, fresh)
    _give(fresh, target.parent)
    fresh.replace(target)
    done.files += 1


def _place(settings: Settings, name: str) -> Path | None:
    """Return where a part belongs by the settings of now."""
    first, _, rest = name.partition("/")
    if first in KEPT_FOLDERS and rest:
        return settings.data_dir / first / rest
    if first in OWN_FOLDERS and rest and (folder := getattr(settings, first)):
        return Path(folder) / rest
    if first == "keys" and rest in (MADE_KEY, *KEY_FILES) and (file := getattr(settings, rest)):
        return Path(file)
    return None


def _give(file: Path, model: Path) -> None:
    """Give a file that root restored to whom the service's files belong."""
    if os.geteuid() == 0:
        owner = model.stat()
        os.chown(file, owner.st_uid, owner.st_gid)


def _is_same(file: Path, part: Part) -> bool:
    return hashlib.sha256(file.read_bytes()).hexdigest() == part.sha256
