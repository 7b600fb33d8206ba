"""Imports of register reads: a file is tried dry, looked at, taken as one act, and undone."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from cloud.documents import DocumentError
from cloud.errors import RefusedError
from cloud.metering import file_reads, round_queries
from cloud.metering import manual_repository as manual
from cloud.metering.file_reads import Filed, Filing
from cloud.metering.plausibility import Answer
from cloud.metering.read_files import MOST_BYTES, rows_of
from cloud.requests import Reading, Writing
from cloud.web.permissions import BILLING
from cloud.web.read_sheets import left_out_book
from cloud.web.rendering import HEADERS, page
from cloud.web.reports import MEDIA_TYPE
from cloud.web.route import PageRoute
from cloud.web.uploads import Filled
from cloud.web.visit import OwnSite, Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_ROOT: Final = "/reading-rounds/imports"
_FILE: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SHOWN: Final = 500

ClerkVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
Short = Annotated[str, Query(max_length=300)]
RoundId = Annotated[int, Query(alias="round", ge=0)]


@router.get(_ROOT)
def show_imports(
    visit: ClerkVisit, connection: Reading, refused: Short = "", round_id: RoundId = 0
) -> Response:
    """Show the imports so far and the form to try a file."""
    project = visit.person.project_id
    rounds = round_queries.rounds_of(connection, project)
    return page(
        visit,
        "read_imports.html",
        imports=round_queries.imports_of(connection, project),
        rounds=[row.round for row in rounds if row.round.closed_us is None],
        chosen=round_id,
        refused=refused,
    )


@router.post(_ROOT, dependencies=[OwnSite])
def upload(visit: ClerkVisit, form: Filled) -> Response:
    """Keep a file and go on to what would become of it."""
    sent = form.files.get("file")
    if sent is None:
        return RedirectResponse(f"{_ROOT}?refused=none", 303)
    if len(sent.body) > MOST_BYTES:
        return RedirectResponse(f"{_ROOT}?refused=large", 303)
    try:
        rows_of(sent.body, name=sent.name)
    except DocumentError:
        return RedirectResponse(f"{_ROOT}?refused=file", 303)
    digest = hashlib.sha256(sent.body).hexdigest()
    _folder(visit).mkdir(parents=True, exist_ok=True)
    (_folder(visit) / digest).write_bytes(sent.body)
    wanted = form.text("round")
    round_id = wanted if wanted.isdecimal() else "0"
    return RedirectResponse(_Try(digest, sent.name[:150], int(round_id[:9])).path, 303)


@router.get(_ROOT + "/files/{digest}")
def show_file(
    visit: ClerkVisit,
    connection: Writing,
    digest: str,
    name: Short = "",
    round_id: RoundId = 0,
) -> Response:
    """Show what would become of a file, and store nothing of it."""
    tried = _Try(digest, name, round_id)
    try:
        filed = _filed(connection, visit, tried, dry_run=True)
    except RefusedError:
        return RedirectResponse(f"{_ROOT}?refused=round", 303)
    names = sorted({item.meter_point_id for item in filed.outcomes})
    places = round_queries.places_of(connection, visit.person.project_id, names)
    return page(
        visit,
        "read_import_try.html",
        places={place.id: place for place in places},
        tried=tried,
        filed=filed,
        asked=filed.of(Answer.ASK)[:_SHOWN],
        wrong=filed.of(Answer.REFUSE)[:_SHOWN],
        fine=filed.of(Answer.ACCEPT)[:_SHOWN],
        answers=Answer,
    )


@router.post(_ROOT + "/files/{digest}", dependencies=[OwnSite])
def confirm(
    visit: ClerkVisit,
    connection: Writing,
    digest: str,
    name: Annotated[str, Form(max_length=300)] = "",
    round_id: Annotated[int, Form(alias="round", ge=0)] = 0,
    confirmed: Annotated[bool, Form()] = False,  # noqa: FBT002 - a tick of a form
) -> Response:
    """Store a file that was looked at as one import."""
    tried = _Try(digest, name, round_id)
    try:
        filed = _filed(connection, visit, tried, confirmed=confirmed)
    except RefusedError:
        return RedirectResponse(f"{_ROOT}?refused=round", 303)
    if filed.import_id is None:
        return RedirectResponse(f"{_ROOT}?refused=nothing", 303)
    if filed.left_out:
        _left_out(visit, filed.import_id).write_bytes(left_out_book(visit, name, filed.left_out))
    return RedirectResponse(f"{_ROOT}/{filed.import_id}", 303)


@router.get(_ROOT + "/files/{digest}/left-out.xlsx")
def download_tried(
    visit: ClerkVisit,
    connection: Writing,
    digest: str,
    name: Short = "",
    round_id: RoundId = 0,
) -> Response:
    """Give the rows of a file that would be left out, each with its reason."""
    try:
        filed = _filed(connection, visit, _Try(digest, name, round_id), dry_run=True)
    except RefusedError as error:
        raise HTTPException(400) from error
    return _xlsx(left_out_book(visit, name, filed.left_out), "left-out.xlsx")


@router.get(_ROOT + "/{import_id}")
def show_import(
    visit: ClerkVisit, connection: Reading, import_id: int, refused: Short = ""
) -> Response:
    """Show an import: what it stored, and the form to undo it."""
    project = visit.person.project_id
    row = round_queries.import_row(connection, project, import_id)
    if row is None:
        raise HTTPException(404)
    reads = manual.reads_ever_imported(connection, import_id)
    names = sorted({read.meter_point_id for read in reads})
    places = {place.id: place for place in round_queries.places_of(connection, project, names)}
    return page(
        visit,
        "read_import.html",
        row=row,
        reads=reads[:_SHOWN],
        places=places,
        has_left_out=_left_out(visit, import_id).is_file(),
        refused=refused,
    )


@router.get(_ROOT + "/{import_id}/left-out.xlsx")
def download_left_out(visit: ClerkVisit, connection: Reading, import_id: int) -> Response:
    """Give the rows that an import left out, each with its reason."""
    row = round_queries.import_row(connection, visit.person.project_id, import_id)
    path = _left_out(visit, import_id)
    if row is None or not path.is_file():
        raise HTTPException(404)
    return _xlsx(path.read_bytes(), f"left-out-{import_id}.xlsx")


@router.post(_ROOT + "/{import_id}/undo", dependencies=[OwnSite])
def undo(
    visit: ClerkVisit,
    connection: Writing,
    import_id: int,
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Withdraw every read of an import; they stay on file."""
    try:
        with connection.begin_nested():
            file_reads.undo(
                connection,
                visit.person.project_id,
                import_id,
                by=visit.person.username,
                why=reason,
                now_us=visit.now_us,
            )
    except RefusedError:
        return RedirectResponse(f"{_ROOT}/{import_id}?refused=1", 303)
    return RedirectResponse(f"{_ROOT}/{import_id}", 303)


@dataclass(frozen=True)
class _Try:
    """A kept file that is looked at; round_id 0 is none."""

    digest: str
    name: str
    round_id: int

    @property
    def path(self) -> str:
        """Give the address of the page that shows it."""
        return f"{_ROOT}/files/{self.digest}?{self.query}"

    @property
    def query(self) -> str:
        """Give what the addresses of its pages carry along."""
        return urlencode({"name": self.name, "round": self.round_id})


def _filed(
    connection: Connection,
    visit: Visit,
    tried: _Try,
    *,
    confirmed: bool = False,
    dry_run: bool = False,
) -> Filed:
    path = _folder(visit) / tried.digest
    if not _FILE.fullmatch(tried.digest) or not path.is_file():
        raise HTTPException(404)
    rows = rows_of(path.read_bytes(), name=tried.name)
    person = visit.person
    filing = Filing(person.project_id, tried.name, person.username, tried.round_id or None)
    with connection.begin_nested():
        return file_reads.file_reads(
            connection,
            filing,
            rows,
            confirmed=confirmed,
            dry_run=dry_run,
            now_us=visit.now_us,
        )


def _folder(visit: Visit) -> Path:
    folder: Path = visit.request.app.state.settings.data_dir
    return folder / "read-imports" / visit.person.project_id


def _left_out(visit: Visit, import_id: int) -> Path:
    return _folder(visit) / f"left-out-{import_id}.xlsx"


def _xlsx(body: bytes, name: str) -> Response:
    named = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, headers=HEADERS | named, media_type=MEDIA_TYPE)
