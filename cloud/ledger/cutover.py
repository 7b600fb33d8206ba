"""Cutover 切换: the balances of an old system are entered, all of them or none."""

from datetime import date

from sqlalchemy import Connection, select

from cloud.billing.tables import opening_uses
from cloud.database import upsert
from cloud.errors import NotFoundError
from cloud.ledger import entries as books
from cloud.ledger import repository, service
from cloud.ledger.entries import Book, Entry, Kind
from cloud.ledger.openings import Openings
from cloud.ledger.repository import Fresh
from cloud.ledger.service import Teller
from cloud.ledger.tables import accounts


def take_over(connection: Connection, teller: Teller, openings: Openings, *, as_of: date) -> int:
    """Enter openings in the caller's transaction; return how many entries were new.

    What was entered before stays as it is; NotFoundError names accounts that are not there.
    """
    names = openings.accounts
    query = select(accounts.c.id).where(
        accounts.c.project_id == teller.project_id, accounts.c.id.in_(names)
    )
    if unknown := sorted(set(names) - set(connection.scalars(query))):
        message = f"accounts are unknown: {', '.join(unknown[:20])}"
        raise NotFoundError(message)
    wanted = _entries(openings)
    held = repository.keys_held(connection, teller.project_id, list(wanted))
    fresh = [
        Fresh(account, entry, key=key, request="", counts_as=entry.kind)
        for key, (account, entry) in wanted.items()
        if key not in held
    ]
    repository.add_entries(connection, service.stamp_of(connection, teller), fresh)
    rows = [
        {"account_id": account, "service": item, "as_of": as_of, "quantity": f"{quantity:f}"}
        for (account, item), quantity in openings.used.items()
    ]
    upsert(connection, opening_uses, rows)
    return len(fresh)


def _entries(openings: Openings) -> dict[str, tuple[str, Entry]]:
    found: dict[str, tuple[str, Entry]] = {}
    for each in openings.charges:
        name = f"{each.account_id}:{each.charge.item}:{each.charge.period}"
        charged = books.charged(Kind.OPENING, [(each.charge, each.charged_fen)])
        found[f"opening:{name}"] = (each.account_id, charged)
        if each.received_fen:
            received = books.received_before([(each.charge, each.received_fen)])
            found[f"opening-received:{name}"] = (each.account_id, received)
    for book, held in (
        (Book.PREPAID, openings.prepaid_fen),
        (Book.DEPOSIT, openings.deposit_fen),
    ):
        for account, fen in held.items():
            if fen:
                found[f"opening-{book}:{account}"] = (account, books.opened(book, fen))
    return found
