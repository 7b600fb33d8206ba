"""The archive of a backup: a tar in which not one byte may differ."""

import hashlib
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, Final, Self

import msgspec

from cloud.errors import CloudError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SEAL: Final = "archive.sha256"
_BLOCK: Final = tarfile.BLOCKSIZE
# the seal's header and content, and the two empty blocks by which a tar ends
_TRAILER: Final = 4 * _BLOCK
_PIECE: Final = 1 << 20
_OWNER_ONLY: Final = 0o600


class BackupError(CloudError):
    """A backup that cannot be made, or must not be restored; the message says why."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a backup: its name within the archive, bytes, and SHA-256 in hex."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup is of; instants are RFC 3339 in UTC."""

    format: int
    product: str
    schema: str
    database: str
    begun_at: str
    finished_at: str
    parts: list[Part]


class ArchiveWriter:
    """Adds files to an archive that does not exist yet, and nothing else of that name either."""

    def __init__(self, path: Path) -> None:
        """Open `path`.part for its owner alone; BackupError if the name is taken."""
        self.path = path
        self.part = path.with_name(f"{path.name}.part")
        if path.exists():
            message = f"{path}: exists already, and is never written over: choose another name"
            raise BackupError(message)
        try:
            number = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        except FileExistsError:
            message = (
                f"{self.part}: another backup is being written, or one was broken off:"
                " remove it if none runs"
            )
            raise BackupError(message) from None
        except OSError as error:
            raise _cannot(self.part, error) from error
        self._file = _Hashed(os.fdopen(number, "wb"))
        self.parts: list[Part] = []

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        """Leave no half archive."""
        self._file.close()
        if kind is not None:
            self.part.unlink(missing_ok=True)

    def add(self, name: str, source: Path) -> None:
        """Add a file, which must not grow meanwhile; OSError."""
        digest = hashlib.sha256()
        with source.open("rb") as file:
            left = size = os.fstat(file.fileno()).st_size
            self._file.write(_header(name, size))
            while left and (piece := file.read(min(_PIECE, left))):
                digest.update(piece)
                self._file.write(piece)
                left -= len(piece)
        if left:
            message = f"{source}: became shorter while it was read"
            raise BackupError(message)
        self._file.write(bytes(-size % _BLOCK))
        self.parts.append(Part(name, size, digest.hexdigest()))

    def finish(self, manifest: Manifest) -> None:
        """Seal the archive, bring it to the disk, and give it its name; OSError."""
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        self._file.write(_header(MANIFEST, len(text)) + text + bytes(-len(text) % _BLOCK))
        self._file.raw.write(_trailer(self._file.sha256))
        self._file.raw.flush()
        os.fsync(self._file.raw.fileno())
        self.part.rename(self.path)
        sync_folder(self.path.parent)


def read_manifest(path: Path) -> Manifest:
    """Read what an archive says it is, after checking every byte of it; BackupError."""
    try:
        size = path.stat().st_size
        sealed = size > _TRAILER and _is_sealed(path, size)
        if not sealed:
            raise BackupError(_first_difference(path))
        with tarfile.open(path, "r:") as tar:
            return _manifest(path, tar)
    except (tarfile.TarError, OSError) as error:
        raise _cannot(path, error) from error


@contextmanager
def part_of(path: Path, name: str) -> Iterator[BinaryIO]:
    """Give the content of one part of a checked archive; BackupError."""
    try:
        with tarfile.open(path, "r:") as tar:
            file = tar.extractfile(name)
            if file is None:
                message = f"{path}: {name}: is no file"
                raise BackupError(message)
            yield file  # type: ignore[misc]  # a reader of bytes
    except (tarfile.TarError, KeyError) as error:
        raise _cannot(path, error) from error


def copy_part(path: Path, part: Part, target: Path) -> None:
    """Write a part as a file for its owner alone, on the disk when this returns; OSError."""
    digest = hashlib.sha256()
    number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with part_of(path, part.name) as source, os.fdopen(number, "wb") as file:
        while piece := source.read(_PIECE):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != part.sha256:
        message = f"{path}: {part.name}: changed while it was read"
        raise BackupError(message)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class _Hashed:
    """A file to write to, and the hash of what was written."""

    def __init__(self, raw: BinaryIO) -> None:
        self.raw = raw
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self.raw.write(data)

    def close(self) -> None:
        # what could not be written is thrown away with the half archive
        with suppress(OSError):
            self.raw.close()


def _header(name: str, size: int) -> bytes:
    # nothing of the machine: the same parts make the same archive
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = _OWNER_ONLY
    return info.tobuf(tarfile.PAX_FORMAT)


def _trailer(sha256: str) -> bytes:
    content = f"{sha256}\n".encode()
    return _header(SEAL, len(content)) + content.ljust(_BLOCK, b"\0") + bytes(2 * _BLOCK)


def _is_sealed(path: Path, size: int) -> bool:
    digest = hashlib.sha256()
    left = size - _TRAILER
    with path.open("rb") as file:
        while left and (piece := file.read(min(_PIECE, left))):
            digest.update(piece)
            left -= len(piece)
        return file.read() == _trailer(digest.hexdigest())


def _first_difference(path: Path) -> str:
    """Name the first part that is not as its manifest says, or the archive itself."""
    damaged = f"{path}: damaged or cut off"
    try:
        with tarfile.open(path, "r:") as tar:
            manifest = _manifest(path, tar)
            for part in manifest.parts:
                if _sha256(tar, part.name) != part.sha256:
                    return f"{path}: {part.name}: damaged: its SHA-256 is not that of the manifest"
    except (tarfile.TarError, BackupError, KeyError, OSError, ValueError) as error:
        return f"{damaged}: {error}"
    return f"{damaged}: every part is whole, what holds them together is not"


def _sha256(tar: tarfile.TarFile, name: str) -> str:
    digest = hashlib.sha256()
    file = tar.extractfile(name)
    while file is not None and (piece := file.read(_PIECE)):
        digest.update(piece)
    return digest.hexdigest()


def _manifest(path: Path, tar: tarfile.TarFile) -> Manifest:
    try:
        file = tar.extractfile(MANIFEST)
        manifest = msgspec.json.decode(file.read() if file else b"", type=Manifest)
    except (KeyError, msgspec.MsgspecError) as error:
        message = f"{path}: {MANIFEST}: no backup of hutong-cloud: {error}"
        raise BackupError(message) from error
    if manifest.format != FORMAT:
        message = f"{path}: format {manifest.format}: known is {FORMAT}"
        raise BackupError(message)
    _check_names(path, manifest.parts)
    return manifest


def _check_names(path: Path, parts: Sequence[Part]) -> None:
    for part in parts:
        steps = PurePosixPath(part.name)
        if steps.is_absolute() or ".." in steps.parts:
            message = f"{path}: {part.name}: allowed are names below the archive's own folder"
            raise BackupError(message)


def _cannot(path: Path, error: Exception) -> BackupError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return BackupError(f"{path}: {reason}")
