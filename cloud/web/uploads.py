"""Forms with a file: parsed only for those who may send them, and only up to a size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, HTTPException, Request
from starlette.datastructures import UploadFile

# a phone's photo may be larger than what is kept: then the page says so, and keeps what was typed
MOST_REQUEST: Final = 20 * 1024 * 1024
_MOST_FIELDS: Final = 20
_MOST_FIELD: Final = 2000


@dataclass(frozen=True)
class Upload:
    """A file as it was sent."""

    name: str
    body: bytes


@dataclass(frozen=True)
class FilledForm:
    """A form's texts, at most 2,000 letters each, and its files that are not empty."""

    fields: Mapping[str, str]
    files: Mapping[str, Upload]

    def text(self, name: str) -> str:
        """Return a field's text without spaces around it, empty where there is none."""
        return self.fields.get(name, "").strip()


async def filled_form(request: Request) -> FilledForm:
    """Return the form of a request: 411 or 413 for one of no or too large a size.

    A page names it after the visit, so that strangers' files are never read.
    """
    size = request.headers.get("content-length", "")
    if not size.isdecimal():
        raise HTTPException(411)
    if int(size) > MOST_REQUEST:
        raise HTTPException(413)
    fields: dict[str, str] = {}
    files: dict[str, Upload] = {}
    async with request.form(max_files=1, max_fields=_MOST_FIELDS) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                body = await value.read()
                if body:
                    files[name] = Upload(value.filename or "", body)
            else:
                fields[name] = value[:_MOST_FIELD]
    return FilledForm(fields, files)


Filled = Annotated[FilledForm, Depends(filled_form)]
