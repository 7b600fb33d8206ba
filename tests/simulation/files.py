"""Paths of simulated disks: what the journal does with the files beside it, kept in memory."""

import io
import shutil
import types
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.disk import Disk

SCHEME = "simulated:///"
PAGE_BYTES = 1024
# nothing hangs on when a file was written
_WRITTEN_S = 1_782_864_000.0
_NO_FILE = 2
_NO_ROOM = 28


class SimulatedPath:
    """A file of a simulated disk by its name, with what `pathlib.Path` is used for."""

    def __init__(self, disk: "Disk", name: str) -> None:
        self.disk = disk
        self.name = name

    def __str__(self) -> str:
        """Return its name for messages."""
        return self.name

    @property
    def parent(self) -> "SimulatedPath":
        """Return the folder, which is the whole disk."""
        return SimulatedPath(self.disk, "")

    def with_name(self, name: str) -> "SimulatedPath":
        """Return the path of another file beside it."""
        return SimulatedPath(self.disk, name)

    def absolute(self) -> "SimulatedPath":
        """Return itself: there is no other folder."""
        return self

    def as_uri(self) -> str:
        """Return what sqlite3.connect is given to open it for reading only."""
        return f"{SCHEME}{self.disk.name}/{self.name}"

    def exists(self) -> bool:
        """Whether there is such a file."""
        return self.disk.has(self.name)

    def glob(self, pattern: str) -> "list[SimulatedPath]":
        """Return the files of the disk whose names fit."""
        return [
            SimulatedPath(self.disk, name) for name in self.disk.files if fnmatch(name, pattern)
        ]

    def mkdir(self, *, parents: bool, exist_ok: bool) -> None:
        """Do nothing: the folder is there."""
        assert parents
        assert exist_ok

    def stat(self) -> types.SimpleNamespace:
        """Return its size and a time."""
        return types.SimpleNamespace(st_size=len(self.read_bytes()), st_mtime=_WRITTEN_S)

    def read_bytes(self) -> bytes:
        """Return all of it."""
        return self.disk.read(self.name)

    def open(self, mode: str) -> "_Open":
        """Open it; what is written is there when it is closed."""
        if "w" in mode:
            self.disk.write(self.name, b"")
        return _Open(self, self.read_bytes())

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove it."""
        if not self.exists():
            if missing_ok:
                return
            raise FileNotFoundError(_NO_FILE, "no such file", self.name)
        self.disk.remove(self.name)

    def rename(self, target: "SimulatedPath") -> None:
        """Give it another name, in the place of what had that."""
        if not self.exists():
            raise FileNotFoundError(_NO_FILE, "no such file", self.name)
        self.disk.rename(self.name, target.name)


class _Open(io.BytesIO):
    """An open file; its number is itself."""

    def __init__(self, path: SimulatedPath, content: bytes) -> None:
        super().__init__(content)
        self._path = path
        self._content = content

    def fileno(self) -> Any:  # noqa: ANN401 - the simulated os takes it back
        return self

    def allocate(self, size: int) -> None:
        """Take room; OSError if there is none."""
        if self._path.disk.room_bytes() < size:
            raise OSError(_NO_ROOM, "no space left on device", self._path.name)
        self.seek(0)
        super().write(bytes(size))

    def close(self) -> None:
        if not self.closed and self.getvalue() != self._content:
            self._path.disk.write(self._path.name, self.getvalue())
        super().close()


def of_uri(uri: str) -> tuple[str, str]:
    """Return the disk and the file that `as_uri` wrote."""
    disk, _, name = uri.removeprefix(SCHEME).partition("?")[0].partition("/")
    return disk, name


def simulated_os() -> types.SimpleNamespace:
    """Return what `import os` means to the journal's space."""

    def statvfs(folder: SimulatedPath) -> types.SimpleNamespace:
        disk = folder.disk
        return types.SimpleNamespace(
            f_frsize=1, f_blocks=disk.capacity_bytes, f_bavail=max(0, disk.room_bytes())
        )

    def posix_fallocate(file: _Open, _: int, size: int) -> None:
        file.allocate(size)

    return types.SimpleNamespace(statvfs=statvfs, posix_fallocate=posix_fallocate)


def simulated_shutil() -> types.SimpleNamespace:
    """Return what `import shutil` means to the salvage of a journal."""

    def copy(source: SimulatedPath | Path, target: SimulatedPath | Path) -> None:
        if isinstance(source, SimulatedPath) and isinstance(target, SimulatedPath):
            if not source.exists():
                raise FileNotFoundError(_NO_FILE, "no such file", source.name)
            target.disk.write(target.name, source.read_bytes())
        else:
            shutil.copy(str(source), str(target))

    return types.SimpleNamespace(copy=copy)


def flipped(content: bytes, places: Iterator[tuple[int, int]]) -> bytes:
    """Return the bytes with some of them XORed."""
    damaged = bytearray(content)
    for at, mask in places:
        damaged[at] ^= mask
    return bytes(damaged)
