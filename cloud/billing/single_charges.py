"""Single charges 临时收费: a repair, a card, a rented tool, billed at once and by itself."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, select

from cloud.billing import bill_repository, posting, repository
from cloud.billing.bill_tables import bills
from cloud.billing.drafts import Draft, Item
from cloud.errors import RefusedError
from cloud.ledger import repository as accounts
from cloud.ledger import service as ledger
from cloud.ledger.entries import Charge
from cloud.ledger.service import Teller
from cloud.money import fen_to_yuan
from cloud.sites.zones import local_day

_ITEM: Final = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)


@dataclass(frozen=True)
class SingleCharge:
    """What is charged once: `item` is its charge item, the amount is in fen."""

    item: str
    description: str
    amount_fen: int


def charge_once(
    connection: Connection, teller: Teller, account_id: str, wanted: SingleCharge, *, key: str
) -> str:
    """Post a bill over a single charge and return its id; the same key gives the same bill.

    RefusedError for nonsense, and for a key that was used for something else.
    """
    _check(wanted)
    accounts.account(connection, teller.project_id, account_id, lock=True)
    home = repository.households(connection, [account_id])[account_id]
    today = local_day(connection, teller.project_id, teller.now_us)
    part = hashlib.sha256(key.encode()).hexdigest()[:16]
    inputs = json.dumps(
        {"single": wanted.description, "amount": fen_to_yuan(wanted.amount_fen)},
        ensure_ascii=False,
    )
    draft = Draft(
        account_id=account_id,
        premise_id=home.premise_id,
        holder=home.holder,
        service=wanted.item,
        period=f"{today:%Y-%m}",
        part=part,
        from_on=today,
        to_on=today + timedelta(days=1),
        total_fen=wanted.amount_fen,
        inputs=f"[{inputs}]",
        items=(_item(wanted),),
    )
    held = connection.execute(
        select(bills.c.id, bills.c.service, bills.c.inputs).where(
            bills.c.account_id == account_id, bills.c.part == part
        )
    ).one_or_none()
    if held is not None:
        if (held.service, held.inputs) != (draft.service, draft.inputs):
            message = f"key {key!r} was used for something else: allowed is a new key"
            raise RefusedError(message)
        return str(held.id)
    number = accounts.next_numbers(connection, teller.project_id, posting.BILL)
    bill_repository.save_bills(
        connection,
        [(f"B{number:08d}", draft)],
        project_id=teller.project_id,
        at_us=teller.now_us,
    )
    charge = Charge(draft.period, draft.service)
    ledger.post_bills(connection, teller, {draft.id: (account_id, charge, wanted.amount_fen)})
    return draft.id


def _check(wanted: SingleCharge) -> None:
    if not _ITEM.fullmatch(wanted.item):
        message = f"item {wanted.item!r}: allowed are small letters, digits and -, at most 32"
        raise RefusedError(message)
    if not wanted.description.strip():
        message = "description: '': allowed is a text that says what for"
        raise RefusedError(message)
    if wanted.amount_fen <= 0:
        message = f"amount {fen_to_yuan(wanted.amount_fen)}: allowed is an amount above 0"
        raise RefusedError(message)


def _item(wanted: SingleCharge) -> Item:
    amount = fen_to_yuan(wanted.amount_fen)
    return Item(
        segment=0,
        code=f"single.{wanted.item}",
        description=wanted.description.strip()[:200],
        description_en=wanted.description.strip()[:200],
        quantity="1",
        uom="",
        unit_price=amount,
        amount_fen=wanted.amount_fen,
        formula=f"{amount} 元",
    )
