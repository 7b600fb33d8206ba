"""Photos are kept by their content, only JPEG and PNG of at most 5 MiB."""

from pathlib import Path

import pytest

from cloud.errors import NotFoundError, RefusedError
from cloud.metering.photos import MOST_BYTES, keep_photo, kept_photo

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 20


@pytest.mark.parametrize(("body", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg")])
def test_a_photo_is_given_back_as_what_it_is(tmp_path: Path, body: bytes, kind: str) -> None:
    name = keep_photo(tmp_path / "p", body)
    assert keep_photo(tmp_path / "p", body) == name
    assert kept_photo(tmp_path / "p", name) == (body, kind)
    assert [path.name for path in (tmp_path / "p").iterdir()] == [name]


@pytest.mark.parametrize(
    "body", [b"<html>", b"GIF89a", b"", b"<svg/>", PNG + b"\0" * MOST_BYTES], ids=len
)
def test_anything_else_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(RefusedError, match=r"photo: .*allowed"):
        keep_photo(tmp_path, body)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../x.jpg", "x.html", "a" * 64 + ".jpg", ""])
def test_only_kept_photos_are_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.html").write_text("<script>")
    with pytest.raises(NotFoundError):
        kept_photo(tmp_path, name)
