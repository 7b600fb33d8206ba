"""A reminder put on record together with the message that goes out for it."""

from sqlalchemy import Connection, select

from cloud.config import Settings
from cloud.errors import RefusedError
from cloud.ledger import arrears, service
from cloud.ledger.service import Teller
from cloud.ledger.tables import accounts
from cloud.money import fen_to_yuan
from cloud.notify import outbox, pacing
from cloud.sites.tables import premises, projects
from cloud.sites.zones import local_day, zone_of


def remind(
    connection: Connection,
    teller: Teller,
    account_id: str,
    *,
    settings: Settings,
    channel: str,
    cause: str = "unknown",
    note: str = "",
) -> None:
    """Record a reminder; one by message or mail is also sent, where a way out is configured.

    RefusedError where nothing is owed, nobody can be reached, or enough was sent today.
    """
    reminder_id = arrears.remind(
        connection, teller, account_id, channel=channel, cause=cause, note=note
    )
    via = via_of(settings, teller.project_id, channel)
    if via is None:
        return
    since_us = pacing.day_start_us(teller.now_us, zone_of(connection, teller.project_id))
    if outbox.made_since(connection, account_id, since_us) >= settings.notify_per_day:
        message = (
            f"account {account_id} was sent a message today: allowed are"
            f" {settings.notify_per_day} a day (HUTONG_NOTIFY_PER_DAY)"
        )
        raise RefusedError(message)
    row = connection.execute(
        select(accounts, premises.c.phone, premises.c.name, projects.c.name.label("project"))
        .join(premises, premises.c.id == accounts.c.premise_id)
        .join(projects, projects.c.id == accounts.c.project_id)
        .where(accounts.c.id == account_id)
    ).one()
    recipient = f"{teller.project_id}/clerk"
    if via == "sms":
        # the phone of a premise is that of who lives there now
        if row.closed_on is not None or not row.phone.strip():
            message = f"account {account_id} has no phone: allowed is one that is on file"
            raise RefusedError(message)
        recipient = row.phone.strip()
    owed_fen = service.standing_of(connection, teller.project_id, account_id).owed_fen
    text = settings.notify_text.format(
        project=row.project,
        holder=row.holder,
        premise=row.name,
        amount=fen_to_yuan(owed_fen),
        day=local_day(connection, teller.project_id, teller.now_us),
    )
    outbox.add(
        connection,
        teller.project_id,
        account_id,
        reminder_id=reminder_id,
        via=via,
        recipient=recipient,
        text=text,
        at_us=teller.now_us,
    )


def via_of(settings: Settings, project_id: str, channel: str) -> str | None:
    """Return how a reminder's channel goes out of the service, None where somebody sends it."""
    if channel == "message" and settings.sms_url:
        return "sms"
    urls = settings.notify_urls
    if channel == "mail" and (project_id in urls or f"{project_id}/clerk" in urls):
        return "apprise"
    return None
