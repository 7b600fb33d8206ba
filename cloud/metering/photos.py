"""Photos of meters: checked, kept as files by their content, given back as what they are."""

import hashlib
import re
from pathlib import Path
from typing import Final

from cloud.errors import NotFoundError, RefusedError

MOST_BYTES: Final = 5 * 1024 * 1024
_JPEG: Final = b"\xff\xd8\xff"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_NAME: Final = re.compile(r"[0-9a-f]{64}\.(jpg|png)", re.ASCII)
_TYPES: Final = {"jpg": "image/jpeg", "png": "image/png"}


def keep_photo(folder: Path, body: bytes) -> str:
    """Keep a JPEG or PNG of at most 5 MiB in a folder; return its name. RefusedError."""
    if len(body) > MOST_BYTES:
        message = f"photo: {len(body)} bytes: allowed are {MOST_BYTES}"
        raise RefusedError(message)
    if body.startswith(_JPEG):
        ending = "jpg"
    elif body.startswith(_PNG):
        ending = "png"
    else:
        message = "photo: neither JPEG nor PNG: allowed are JPEG and PNG"
        raise RefusedError(message)
    name = f"{hashlib.sha256(body).hexdigest()}.{ending}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if not path.exists():
        # never half a photo under its name
        part = folder / f"{name}.part"
        part.write_bytes(body)
        part.replace(path)
    return name


def kept_photo(folder: Path, name: str) -> tuple[bytes, str]:
    """Return a kept photo and its media type; NotFoundError for what is none."""
    if not _NAME.fullmatch(name) or not (folder / name).is_file():
        message = f"photo {name!r} is unknown"
        raise NotFoundError(message)
    return (folder / name).read_bytes(), _TYPES[name.rpartition(".")[2]]
