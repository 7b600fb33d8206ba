"""Reading rounds 抄表: open one, walk it with a phone, see what is left, close it."""

from datetime import date
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from cloud.errors import NotFoundError, RefusedError
from cloud.metering import manual_reads, reading_rounds, repository, round_queries
from cloud.metering import manual_repository as manual
from cloud.metering.file_reads import exponent_at
from cloud.metering.manual_reads import Taken
from cloud.metering.manual_repository import ManualRead
from cloud.metering.photos import keep_photo, kept_photo
from cloud.metering.plausibility import Answer
from cloud.metering.read_files import count_of, moment_us
from cloud.requests import Reading, Writing
from cloud.web.permissions import BILLING, READS
from cloud.web.read_sheets import round_book
from cloud.web.rendering import HEADERS, page
from cloud.web.reports import MEDIA_TYPE
from cloud.web.round_view import Said, Stop, Typed, Walk, round_of, walk_of
from cloud.web.route import PageRoute
from cloud.web.uploads import Filled, FilledForm
from cloud.web.visit import OwnSite, Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

# which meter points a round lists, beside the id of a building
BY_HAND: Final = "*"
# a picture is a picture and nothing else, whatever its bytes say
_PHOTO_HEADERS: Final = HEADERS | {
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "Cache-Control": "private, max-age=3600",
}

ReaderVisit = Annotated[Visit, Depends(visit_of(*READS))]
ClerkVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
Short = Annotated[str, Query(max_length=100)]
Reason = Annotated[str, Form(min_length=1, max_length=500)]


@router.get("/reading-rounds")
def show_rounds(visit: ReaderVisit, connection: Reading, refused: Short = "") -> Response:
    """Show the rounds, how far each is by building, and the form to open one."""
    project = visit.person.project_id
    places = round_queries.places_of(connection, project)
    buildings: dict[str, tuple[str, int]] = {}
    for place in places:
        _, number = buildings.get(place.building_id, ("", 0))
        name = visit.name(place.building, place.building_en)
        buildings[place.building_id] = (name, number + 1)
    today = visit.today
    return page(
        visit,
        "rounds.html",
        rounds=round_queries.rounds_of(connection, project),
        buildings=buildings,
        by_hand=len(round_queries.unread_by_gateways(connection, project)),
        every=BY_HAND,
        may_open=visit.person.role in BILLING,
        today=today,
        refused=refused,
    )


@router.post("/reading-rounds", dependencies=[OwnSite])
def open_round(
    visit: ClerkVisit,
    connection: Writing,
    name: Annotated[str, Form(min_length=1, max_length=100)],
    read_on: Annotated[date, Form()],
    which: Annotated[str, Form(max_length=64)],
) -> Response:
    """Open a round over a building, or over all that no gateway reads."""
    project = visit.person.project_id
    unread = round_queries.unread_by_gateways(connection, project)
    routes: dict[str, list[str]] = {}
    for place in round_queries.places_of(connection, project):
        if place.id in unread if which == BY_HAND else place.building_id == which:
            routes.setdefault(place.building[:100], []).append(place.id)
    try:
        with connection.begin_nested():
            made = reading_rounds.open_round(
                connection,
                project,
                name.strip(),
                routes,
                read_on=read_on,
                by=visit.person.username,
            )
    except RefusedError:
        return RedirectResponse("/reading-rounds?refused=1", 303)
    return RedirectResponse(f"/reading-rounds/{made}", 303)


@router.get("/reading-rounds/{round_id}")
def show_round(
    visit: ReaderVisit,
    connection: Reading,
    round_id: int,
    point: Short = "",
    done: Annotated[int, Query(ge=0)] = 0,
    refused: Short = "",
) -> Response:
    """Show the next meter point to read, all that are left, and what was read."""
    walk = walk_of(connection, visit.person.project_id, round_id)
    stored = next((stop for stop in walk.stops if stop.read and stop.read.id == done), None)
    wanted = walk.stop(point)
    after = walk.next_after(stored.place.id if stored else "")
    here = wanted if wanted and wanted.read is None else after
    return _page(visit, walk, here, stored=stored, refused=refused)


@router.post("/reading-rounds/{round_id}/reads", dependencies=[OwnSite])
def take(visit: ReaderVisit, form: Filled, connection: Writing, round_id: int) -> Response:
    """Take a read: stored, asked about once more, or refused with what was typed still there."""
    project = visit.person.project_id
    walk = walk_of(connection, project, round_id)
    here = walk.stop(form.text("point"))
    if here is None:
        raise HTTPException(404)
    reasons: list[str] = []
    photo = _photo(_photos(visit), form, reasons)
    typed = Typed.of(form, photo=photo)
    try:
        read = _read_of(connection, visit, here, typed)
        if not reasons:
            taken = _take(connection, visit, walk, read, form)
            if taken.id:
                return RedirectResponse(f"/reading-rounds/{round_id}?done={taken.id}", 303)
            is_question = taken.judgement.answer is Answer.ASK
            said = Said(is_question=is_question, reasons=[taken.judgement.reason])
            return _page(visit, walk, here, typed=typed, said=said)
    except (RefusedError, ValueError) as error:
        reasons.append(str(error))
    return _page(visit, walk, here, typed=typed, said=Said(is_question=False, reasons=reasons))


@router.post("/reading-rounds/{round_id}/reads/{read_id}/withdraw", dependencies=[OwnSite])
def withdraw(
    visit: ReaderVisit, connection: Writing, round_id: int, read_id: int, reason: Reason
) -> Response:
    """Withdraw a read of an open round: the office any, others their own."""
    found = round_of(connection, visit.person.project_id, round_id)
    read = manual.manual_read(connection, read_id)
    if read.round_id != round_id:
        raise HTTPException(404)
    if visit.person.role not in BILLING and read.taken_by != visit.person.username:
        raise HTTPException(403)
    if found.closed_us is not None:
        return RedirectResponse(f"/reading-rounds/{round_id}?refused=1", 303)
    try:
        with connection.begin_nested():
            manual_reads.withdraw_read(
                connection, read_id, by=visit.person.username, why=reason, now_us=visit.now_us
            )
    except RefusedError:
        return RedirectResponse(f"/reading-rounds/{round_id}?refused=1", 303)
    return RedirectResponse(f"/reading-rounds/{round_id}?point={read.meter_point_id}", 303)


@router.post("/reading-rounds/{round_id}/close", dependencies=[OwnSite])
def close(
    visit: ClerkVisit,
    connection: Writing,
    round_id: int,
    estimate: Annotated[bool, Form()] = False,  # noqa: FBT002 - a tick of a form
) -> Response:
    """Close a round; what is missing is estimated if that was ticked."""
    round_of(connection, visit.person.project_id, round_id)
    try:
        with connection.begin_nested():
            reading_rounds.close_round(
                connection,
                round_id,
                by=visit.person.username,
                estimate=estimate,
                now_us=visit.now_us,
            )
    except RefusedError:
        return RedirectResponse(f"/reading-rounds/{round_id}?refused=1", 303)
    return RedirectResponse(f"/reading-rounds/{round_id}", 303)


@router.get("/reading-rounds/{round_id}/template.xlsx")
def download_template(visit: ReaderVisit, connection: Reading, round_id: int) -> Response:
    """Give a workbook of what is left of a round, to fill in."""
    walk = walk_of(connection, visit.person.project_id, round_id)
    made = round_book(visit, walk.round, [stop.place for stop in walk.left])
    named = {"Content-Disposition": f'attachment; filename="round-{round_id}.xlsx"'}
    return Response(made, headers=HEADERS | named, media_type=MEDIA_TYPE)


@router.get("/reading-rounds/{round_id}/reads/{read_id}/photo")
def show_photo(visit: ReaderVisit, connection: Reading, round_id: int, read_id: int) -> Response:
    """Give the photo of a read; another project's is not there."""
    round_of(connection, visit.person.project_id, round_id)
    read = manual.manual_read(connection, read_id)
    if read.round_id != round_id:
        raise HTTPException(404)
    body, kind = kept_photo(_photos(visit), read.photo)
    named = {"Content-Disposition": f'inline; filename="{read.photo}"'}
    return Response(body, headers=_PHOTO_HEADERS | named, media_type=kind)


def _page(
    visit: Visit,
    walk: Walk,
    here: Stop | None,
    *,
    typed: Typed | None = None,
    said: Said | None = None,
    stored: Stop | None = None,
    refused: str = "",
) -> Response:
    if walk.round.closed_us is not None and said is None:
        here = None
    routes: dict[str, list[Stop]] = {}
    for stop in walk.left:
        routes.setdefault(stop.route, []).append(stop)
    return page(
        visit,
        "round.html",
        status=422 if said is not None and not said.is_question else 200,
        walk=walk,
        here=here,
        routes=routes,
        typed=typed or Typed(),
        said=said,
        stored=stored,
        refused=refused,
        may_close=visit.person.role in BILLING,
    )


def _read_of(connection: Connection, visit: Visit, here: Stop, typed: Typed) -> ManualRead:
    at_us = moment_us(typed.read_at, visit.zone) if typed.read_at else visit.now_us
    mounted = repository.mounted_at(connection, [here.place.id])[here.place.id]
    return ManualRead(
        meter_point_id=here.place.id,
        read_at_us=at_us,
        count=count_of(typed.register, exponent_at(mounted, at_us)),
        taken_by=visit.person.username,
        photo=typed.photo,
        note=typed.note,
    )


def _take(
    connection: Connection, visit: Visit, walk: Walk, read: ManualRead, form: FilledForm
) -> Taken:
    nth = form.text("nth")
    # a second press confirms the register that was asked about, no other
    confirmed = bool(form.text("asked")) and form.text("asked") == form.text("register")
    with connection.begin_nested():
        return reading_rounds.take_in_round(
            connection,
            walk.round.id,
            read,
            confirmed=confirmed,
            nth=int(nth) if nth.isdecimal() and len(nth) < 10 else None,  # noqa: PLR2004 - a small number
            now_us=visit.now_us,
        )


def _photo(folder: Path, form: FilledForm, reasons: list[str]) -> str:
    # the one that came now, else the one that came with an earlier press
    if "photo" in form.files:
        try:
            return keep_photo(folder, form.files["photo"].body)
        except RefusedError as error:
            reasons.append(str(error))
            return ""
    held = form.text("held_photo")
    if held:
        try:
            kept_photo(folder, held)
        except NotFoundError:
            return ""
    return held


def _photos(visit: Visit) -> Path:
    folder: Path = visit.request.app.state.settings.data_dir
    return folder / "photos" / visit.person.project_id
