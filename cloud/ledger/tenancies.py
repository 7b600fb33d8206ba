"""Who holds a premise from when to when 入住 / 迁出: one account at a time, none ever reused."""

from datetime import date

from sqlalchemy import Connection, func, select

from cloud.errors import NotFoundError, RefusedError
from cloud.ledger.tables import accounts
from cloud.sites.tables import premises


def move_out(connection: Connection, project_id: str, account_id: str, *, on: date) -> None:
    """Close an account: `on` is the first day that is no longer theirs; RefusedError.

    What was billed beyond it is taken back when its months are billed again.
    """
    row = connection.execute(
        select(accounts)
        .where(accounts.c.id == account_id, accounts.c.project_id == project_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        message = f"account {account_id!r} is unknown"
        raise NotFoundError(message)
    if row.closed_on is not None:
        message = f"account {account_id} was closed on {row.closed_on}"
        raise RefusedError(message)
    if on <= row.opened_on:
        message = f"on: {on}: allowed is a day after {row.opened_on}, when it was opened"
        raise RefusedError(message)
    connection.execute(accounts.update().where(accounts.c.id == account_id).values(closed_on=on))


def move_in(
    connection: Connection,
    project_id: str,
    premise_id: str,
    *,
    holder: str,
    on: date,
    continues: str | None = None,
) -> str:
    """Open an account for who holds a premise from a day on; return its id; RefusedError.

    Annual tiers begin anew with it, unless it `continues` a closed account of the same household,
    which moved within the project: then its use so far counts on.
    """
    query = select(premises.c.id).where(
        premises.c.id == premise_id, premises.c.project_id == project_id
    )
    if connection.execute(query.with_for_update()).one_or_none() is None:
        message = f"premise {premise_id!r} is unknown"
        raise NotFoundError(message)
    if not holder.strip():
        message = "holder: '': allowed is who moves in"
        raise RefusedError(message)
    before = connection.execute(
        select(accounts).where(accounts.c.premise_id == premise_id).order_by(accounts.c.opened_on)
    ).all()
    for row in before:
        if row.closed_on is None or row.closed_on > on:
            until = row.closed_on or "an open end"
            message = f"on: {on}: account {row.id} holds the premise until {until}"
            raise RefusedError(message)
    if continues is not None:
        _check_continued(connection, project_id, continues)
    account_id = premise_id if not before else f"{premise_id}-{len(before) + 1}"
    connection.execute(
        accounts.insert().values(
            id=account_id,
            project_id=project_id,
            premise_id=premise_id,
            holder=holder.strip(),
            opened_on=on,
            held_from=None if continues else on,
            continues=continues,
        )
    )
    connection.execute(
        premises.update().where(premises.c.id == premise_id).values(holder=holder.strip())
    )
    return account_id


def _check_continued(connection: Connection, project_id: str, account_id: str) -> None:
    row = connection.execute(
        select(accounts.c.closed_on).where(
            accounts.c.id == account_id, accounts.c.project_id == project_id
        )
    ).one_or_none()
    if row is None or row.closed_on is None:
        message = f"continues: {account_id!r}: allowed is a closed account of this project"
        raise RefusedError(message)
    taken = select(func.count()).where(accounts.c.continues == account_id)
    if connection.scalar(taken):
        message = f"continues: {account_id!r} is continued by another account already"
        raise RefusedError(message)
