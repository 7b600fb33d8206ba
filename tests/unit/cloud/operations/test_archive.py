"""An archive: every flipped byte is found, no half one is left, nothing is written over."""

import tarfile
from pathlib import Path

import pytest

from cloud.operations.archive import (
    FORMAT,
    ArchiveWriter,
    BackupError,
    Manifest,
    copy_part,
    read_manifest,
)

SIZES = {"database/hutong.db": 1500, "photos/p/a.jpg": 1, "tariffs/水费.yaml": 512, "photos/0": 0}


def made(folder: Path, name: str = "b.tar") -> Path:
    path = folder / name
    with ArchiveWriter(path) as writer:
        for part, size in SIZES.items():
            source = folder / "source"
            source.write_bytes(bytes(number % 251 for number in range(size)))
            writer.add(part, source)
        writer.finish(Manifest(FORMAT, "1", "0001", "sqlite", "t", "t", writer.parts))
    return path


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    path = made(tmp_path)
    manifest = read_manifest(path)
    assert {part.name: part.size for part in manifest.parts} == SIZES
    assert path.stat().st_mode & 0o777 == 0o600
    for number, part in enumerate(manifest.parts):
        target = tmp_path / str(number)
        copy_part(path, part, target)
        assert target.read_bytes() == bytes(it % 251 for it in range(part.size))
    # the system's own tar reads it, too
    with tarfile.open(path) as tar:
        assert tar.getnames() == [*SIZES, "manifest.json", "archive.sha256"]


def test_the_same_parts_make_the_same_archive(tmp_path: Path) -> None:
    assert made(tmp_path).read_bytes() == made(tmp_path, "c.tar").read_bytes()


def test_each_flipped_byte_is_found(tmp_path: Path) -> None:
    path = made(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(BackupError, match=r"b\.tar: "):
            read_manifest(path)
    path.write_bytes(whole)
    read_manifest(path)


@pytest.mark.parametrize("name", [name for name, size in SIZES.items() if size])
def test_the_first_part_that_differs_is_named(tmp_path: Path, name: str) -> None:
    path = made(tmp_path)
    with tarfile.open(path) as tar:
        place = tar.getmember(name).offset_data
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(BackupError, match=f"{name}: damaged"):
        read_manifest(path)


@pytest.mark.parametrize("length", [0, 1, 511, 512, 2048, 4096, -1])
def test_what_is_cut_off_is_found(tmp_path: Path, length: int) -> None:
    path = made(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BackupError, match=r"b\.tar: "):
        read_manifest(path)


def test_what_is_added_is_found(tmp_path: Path) -> None:
    path = made(tmp_path)
    path.write_bytes(path.read_bytes() + bytes(512))
    with pytest.raises(BackupError):
        read_manifest(path)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = made(tmp_path)
    before = path.read_bytes()
    with pytest.raises(BackupError, match="exists already"):
        made(tmp_path)
    assert path.read_bytes() == before


def test_two_do_not_write_the_same_archive(tmp_path: Path) -> None:
    path = tmp_path / "b.tar"
    with (
        ArchiveWriter(path),
        pytest.raises(BackupError, match="another backup"),
    ):
        ArchiveWriter(path)
    # as one that was broken off would be
    assert path.with_name("b.tar.part").exists()


def test_no_half_archive_is_left(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"), ArchiveWriter(tmp_path / "b.tar") as writer:
        writer.add("x", tmp_path / "missing")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["/etc/passwd", "photos/../../x"])
def test_names_outside_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "b.tar"
    (tmp_path / "source").write_bytes(b"x")
    with ArchiveWriter(path) as writer:
        writer.add(name, tmp_path / "source")
        writer.finish(Manifest(FORMAT, "1", "0001", "sqlite", "t", "t", writer.parts))
    with pytest.raises(BackupError, match="below the archive's own folder"):
        read_manifest(path)
