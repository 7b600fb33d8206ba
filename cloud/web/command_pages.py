"""Commands 指令: what was asked, what became of it, and what waits for another person."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Response
from fastapi.responses import RedirectResponse

from cloud.commands import repository
from cloud.commands.endpoints import Service
from cloud.commands.permissions import MAY_CONFIRM, MAY_LOOK
from cloud.commands.service import CommandRefusedError, Wanted
from cloud.commands.states import State
from cloud.errors import ForbiddenError, RefusedError
from cloud.requests import Reading
from cloud.web.paging import MOST, Pager, offset_of
from cloud.web.rendering import page
from cloud.web.route import PageRoute, refusal
from cloud.web.visit import OwnSite, Visit, visit_of
from protocols.commands import Action

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE = 50

Looker = Annotated[Visit, Depends(visit_of(*sorted(MAY_LOOK)))]
Confirmer = Annotated[Visit, Depends(visit_of(*sorted(MAY_CONFIRM)))]


@router.get("/commands")
def show_commands(
    visit: Looker,
    connection: Reading,
    page_number: Annotated[int, Query(alias="page", ge=1, le=MOST)] = 1,
) -> Response:
    """Show the commands, the newest first, and before them what waits."""
    project = visit.person.project_id
    pager = Pager("/commands", {}, page_number, PAGE, repository.count(connection, project))
    return page(
        visit,
        "commands.html",
        rows=repository.commands_of(
            connection, project, offset=offset_of(page_number, PAGE), limit=PAGE
        ),
        waiting=repository.commands_of(connection, project, states=(State.WAITING,), limit=PAGE),
        pager=pager,
    )


@router.get("/commands/{command_id}")
def show_command(
    visit: Looker, connection: Reading, command_id: str, refused: str = ""
) -> Response:
    """Show one command with its trail; who may confirm it finds the buttons here."""
    held = repository.command_of(connection, visit.person.project_id, command_id)
    may = visit.person.role in MAY_CONFIRM and visit.person.username != held.asked_by
    return page(
        visit,
        "command.html",
        command=held,
        trail=repository.trail(connection, command_id),
        may_confirm=may and held.state is State.WAITING,
        moves=held.state in (State.ASKED, State.SENT),
        refused=bool(refused),
    )


@router.post("/commands/{command_id}/confirmation", dependencies=[OwnSite])
def confirm(
    visit: Confirmer,
    commands: Service,
    command_id: str,
    grant: Annotated[bool, Form()],
    note: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Confirm or turn down; what is refused meanwhile stands in the trail."""
    try:
        commands.confirm(visit.person, command_id, grant=grant, note=note)
    except CommandRefusedError:
        return RedirectResponse(f"/commands/{command_id}", 303)
    except RefusedError:
        return RedirectResponse(f"/commands/{command_id}?refused=1", 303)
    return RedirectResponse(f"/commands/{command_id}", 303)


@router.post("/devices/{device_id}/read-now", dependencies=[OwnSite])
def read_now(visit: Looker, commands: Service, device_id: str) -> Response:
    """Ask for a read of a device at once."""
    wanted = Wanted(Action.READ_NOW, "", secrets.token_hex(16), device=device_id)
    try:
        held = commands.ask(visit.person, wanted)
    except CommandRefusedError as error:
        return RedirectResponse(f"/commands/{error.command_id}", 303)
    except ForbiddenError:
        return refusal(visit.request, 403)
    return RedirectResponse(f"/commands/{held.id}", 303)
