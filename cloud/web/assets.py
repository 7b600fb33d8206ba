"""Style sheet and scripts under a path that changes with their content, so caches keep them."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, HTTPException, Response

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOREVER: Final = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@cache
def files() -> dict[str, bytes]:
    """Return every static file by name."""
    return {
        path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES
    }


@cache
def digest() -> str:
    """Return the hash of all static files: modules may then import each other by name."""
    whole = hashlib.sha256()
    for name, content in files().items():
        whole.update(name.encode() + b"\0" + content)
    return whole.hexdigest()[:12]


def address(name: str) -> str:
    """Return the path of a static file; KeyError for a file that is not there."""
    if name not in files():
        raise KeyError(name)
    return f"/static/{digest()}/{name}"


@router.get("/static/{version}/{name}")
def static_file(version: str, name: str) -> Response:
    """Serve a static file; an old version's path is gone."""
    content = files().get(name)
    if content is None or version != digest():
        raise HTTPException(404)
    return Response(
        content, media_type=_TYPES[Path(name).suffix], headers={"Cache-Control": _FOREVER}
    )
