"""Making a backup: the database as it is at one instant, photos, and the company's own files."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from cloud.config import Settings
from cloud.database import opened, revision_of
from cloud.operations import archive, copies
from cloud.operations.archive import ArchiveWriter, BackupError, Manifest

# below data_dir
KEPT_FOLDERS: Final = ("photos", "read-imports")
# named by settings
OWN_FOLDERS: Final = ("tariffs", "templates")
KEY_FILES: Final = (
    "wechat_merchant_key_file",
    "wechat_api_key_file",
    "wechat_platform_key_file",
    "alipay_private_key_file",
    "alipay_public_key_file",
    "mqtt_ca_file",
)
# made by the first start of the service
MADE_KEY: Final = "command_key_file"
DATABASE_PARTS: Final = {
    copies.SQLITE: "database/hutong.db",
    copies.POSTGRESQL: "database/hutong.dump",
}
_LAST: Final = "last-backup.json"


class LastBackup(msgspec.Struct, frozen=True):
    """What is remembered of the newest backup: when (RFC 3339, UTC), where, bytes."""

    at: str
    path: str
    size: int


@dataclass(frozen=True)
class Made:
    """A backup that is on the disk."""

    path: Path
    size: int
    manifest: Manifest


def make(settings: Settings, target: Path, *, with_keys: bool = False) -> Made:
    """Back up while the service runs, to a file or into a folder; BackupError."""
    begun = datetime.now(UTC)
    path = target / f"hutong-{begun:%Y%m%dT%H%M%SZ}.tar" if target.is_dir() else target
    kind = copies.kind_of(settings.database)
    try:
        with (
            ArchiveWriter(path) as writer,
            # beside the archive: its disk is the one that must have the room
            tempfile.TemporaryDirectory(prefix=".hutong-backup-", dir=path.parent) as staged,
        ):
            copy = Path(staged) / "copy"
            schema = _copy(settings.database, kind, copy)
            writer.add(DATABASE_PARTS[kind], copy)
            for name, file in _files(settings, with_keys=with_keys):
                writer.add(name, file)
            manifest = Manifest(
                format=archive.FORMAT,
                product=version("hutong"),
                schema=schema,
                database=kind,
                begun_at=begun.isoformat(),
                finished_at=datetime.now(UTC).isoformat(),
                parts=writer.parts,
            )
            writer.finish(manifest)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"{path}: cannot be written: {reason}; nothing of it is left"
        raise BackupError(message) from error
    size = path.stat().st_size
    _remember(settings, LastBackup(begun.isoformat(), str(path.resolve()), size))
    return Made(path, size, manifest)


def last_backup(settings: Settings) -> LastBackup | None:
    """Return the newest backup that was made here, None before the first; BackupError."""
    path = settings.data_dir / _LAST
    try:
        return msgspec.json.decode(path.read_bytes(), type=LastBackup)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        message = f"{path}: {error}"
        raise BackupError(message) from error


def _copy(url: str, kind: str, copy: Path) -> str:
    if kind == copies.SQLITE:
        copies.copy_sqlite(copies.sqlite_file(url), copy)
        with opened(f"sqlite:///{copy}") as engine, engine.connect() as connection:
            schema = revision_of(connection)
        # opening it made it WAL again: the copy must be one file
        copies.settle_sqlite(copy)
        return _of_ours(url, schema)
    with opened(url) as engine, engine.connect() as connection:
        schema = _of_ours(url, revision_of(connection))
    copies.copy_postgres(url, copy)
    return schema


def _of_ours(url: str, schema: str) -> str:
    if not schema:
        shown = url.rpartition("@")[2]
        message = f"{shown}: there is no database of hutong-cloud to back up"
        raise BackupError(message)
    return schema


def _files(settings: Settings, *, with_keys: bool) -> Iterator[tuple[str, Path]]:
    folders = {name: settings.data_dir / name for name in KEPT_FOLDERS}
    folders |= {name: found for name in OWN_FOLDERS if (found := getattr(settings, name))}
    for name, folder in folders.items():
        for file in sorted(folder.rglob("*")):
            # a photo that is just being written has no name of its own yet
            if file.is_file() and file.suffix != ".part":
                yield f"{name}/{file.relative_to(folder).as_posix()}", file
    if with_keys and settings.command_key_file.exists():
        yield f"keys/{MADE_KEY}", settings.command_key_file
    for name in KEY_FILES if with_keys else ():
        if file := getattr(settings, name):
            yield f"keys/{name}", file


def _remember(settings: Settings, last: LastBackup) -> None:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    path = settings.data_dir / _LAST
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(msgspec.json.encode(last))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
