"""Routes of commands, and of what cutting off is judged by."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from cloud.auth import Person
from cloud.commands import permissions, repository, terms
from cloud.commands.cutting_off import Terms
from cloud.commands.repository import Asked
from cloud.commands.schemas import (
    CommandIn,
    CommandOut,
    CommandTrail,
    ConfirmationIn,
    CutOffTermsIn,
    NoticeIn,
    NoticeOut,
    PrepaymentIn,
    StepOut,
)
from cloud.commands.service import Commands, Wanted
from cloud.commands.states import State
from cloud.money import fen_to_yuan, yuan_to_fen
from cloud.paging import Limit
from cloud.requests import Reading, Writing, require, teller_of
from protocols.delivery.records import instant

router = APIRouter(tags=["commands"])

Looker = Annotated[Person, Depends(require(*sorted(permissions.MAY_LOOK)))]
Confirmer = Annotated[Person, Depends(require(*sorted(permissions.MAY_CONFIRM)))]
TermsSetter = Annotated[Person, Depends(require(*sorted(permissions.MAY_SET_TERMS)))]
Notifier = Annotated[Person, Depends(require(*sorted(permissions.MAY_NOTICE)))]


def commands_of(request: Request) -> Commands:
    """Return the command service of the application."""
    found: Commands = request.app.state.commands
    return found


Service = Annotated[Commands, Depends(commands_of)]


@router.post("/commands", status_code=201)
def ask_command(wanted: CommandIn, person: Looker, commands: Service) -> CommandOut:
    """Ask for something: sent at once, or waiting for another person's confirmation.

    What is refused is answered by 409 with every reason, and is on file.
    """
    return _shown(commands.ask(person, Wanted(**wanted.model_dump())))


@router.get("/commands")
def list_commands(
    person: Looker,
    connection: Reading,
    *,
    state: Annotated[list[State] | None, Query()] = None,
    device: str | None = None,
    limit: Limit = 100,
) -> list[CommandOut]:
    """List your project's commands, the newest first."""
    found = repository.commands_of(
        connection, person.project_id, states=state or (), target=device, limit=limit
    )
    return [_shown(item) for item in found]


@router.get("/commands/{command_id}")
def get_command(command_id: str, person: Looker, connection: Reading) -> CommandTrail:
    """Give one command with its trail."""
    held = repository.command_of(connection, person.project_id, command_id)
    steps = [
        StepOut(state=each.state, by=each.by, said=each.said, at=instant(each.at_us))
        for each in repository.trail(connection, command_id)
    ]
    return CommandTrail(**_shown(held).model_dump(), trail=steps)


@router.post("/commands/{command_id}/confirmation", status_code=201)
def confirm_command(
    command_id: str, wanted: ConfirmationIn, person: Confirmer, commands: Service
) -> CommandOut:
    """Confirm a command of somebody else, which is judged again, or turn it down."""
    return _shown(commands.confirm(person, command_id, grant=wanted.grant, note=wanted.note))


@router.put("/cut-off-terms/{service}", status_code=204)
def put_terms(
    service: str, wanted: CutOffTermsIn, person: TermsSetter, connection: Writing
) -> None:
    """Say what may be cut off for a service; nothing may, until this is on file."""
    made = Terms(
        wanted.licensed_by,
        wanted.licence,
        yuan_to_fen(wanted.grace),
        wanted.notice_days,
        _minute(wanted.begins),
        _minute(wanted.ends),
        {year: frozenset(days) for year, days in wanted.holidays.items()},
    )
    terms.set_terms(connection, teller_of(person), service, made)


@router.delete("/cut-off-terms/{service}", status_code=204)
def delete_terms(service: str, person: TermsSetter, connection: Writing) -> None:
    """Let nothing of a service be cut off from now on."""
    terms.withdraw_terms(connection, teller_of(person), service)


@router.post("/accounts/{account_id}/prepaid-services", status_code=204)
def agree_prepayment(
    account_id: str, wanted: PrepaymentIn, person: Notifier, connection: Writing
) -> None:
    """Note that an account's holder has agreed to prepay a service."""
    terms.agree_prepayment(
        connection, teller_of(person), account_id, wanted.service, source=wanted.source
    )


@router.post("/cut-off-notices", status_code=201)
def give_notice(wanted: NoticeIn, person: Notifier, connection: Writing) -> NoticeOut:
    """Record that a holder was told; refused where the balance is no cause."""
    made = terms.give_notice(
        connection,
        teller_of(person),
        wanted.account,
        wanted.service,
        channel=wanted.channel,
        note=wanted.note,
    )
    return NoticeOut(
        account=made.account_id,
        service=made.service,
        noticed_on=made.noticed_on,
        balance=fen_to_yuan(made.balance_fen),
    )


def _minute(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)


def _shown(held: Asked) -> CommandOut:
    return CommandOut(
        id=held.id,
        gateway=held.gateway_id,
        device=held.target,
        action=held.action,
        pulse_ms=held.pulse_ms,
        dry_run=held.dry_run,
        state=held.state,
        said=held.said,
        asked_by=held.asked_by,
        why=held.why,
        asked_at=instant(held.asked_us),
        confirmed_by=held.confirmed_by,
        changed_at=instant(held.changed_us),
    )
