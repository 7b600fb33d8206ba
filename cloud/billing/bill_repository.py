"""All SQL of posted bills, credit notes and public sheets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import astuple
from sqlalchemy import ColumnElement, Connection, Row, select

from cloud.billing.bill_tables import bills, credit_notes, line_items, pool_shares, pool_statements
from cloud.billing.drafts import Draft, Item, Key, Reversal, Sheet
from cloud.bulk import insert_rows

# what a bill's row takes from its draft as it is there
_OF_BILL: Final = tuple(
    name for name in Draft.__struct_fields__ if name not in ("items", "closings", "estimated")
)
_facts_of: Final = attrgetter(*_OF_BILL)


@dataclass(frozen=True, slots=True)
class Standing:
    """A posted bill that was not taken back."""

    id: str
    account_id: str
    service: str
    period: str
    part: str
    revision: int
    from_on: date
    to_on: date
    quantity: Decimal | None
    carried: Decimal
    total_fen: int

    @property
    def key(self) -> Key:
        """Give what is billed once."""
        return Key(self.account_id, self.service, self.period, self.part)


def is_standing() -> ColumnElement[bool]:
    """Return what selects the bills that no credit note takes back."""
    back = select(credit_notes.c.bill_id).where(credit_notes.c.bill_id == bills.c.id)
    return ~back.exists()


def standing(connection: Connection, account_ids: Sequence[str], *, since: date) -> list[Standing]:
    """Return the standing bills of accounts that cover days from `since` on, by first day."""
    query = select(*(bills.c[name] for name in Standing.__slots__)).where(
        bills.c.account_id.in_(account_ids), bills.c.to_on > since, is_standing()
    )
    return [
        Standing(
            row.id,
            row.account_id,
            row.service,
            row.period,
            row.part,
            row.revision,
            row.from_on,
            row.to_on,
            None if row.quantity is None else Decimal(row.quantity),
            Decimal(row.carried),
            row.total_fen,
        )
        for row in connection.execute(query.order_by(bills.c.from_on, bills.c.id))
    ]


def last_revisions(
    connection: Connection, account_ids: Sequence[str], period: str
) -> dict[Key, int]:
    """Return the highest revision of each of a period's keys, taken back or not."""
    query = (
        select(bills.c.account_id, bills.c.service, bills.c.period, bills.c.part, bills.c.revision)
        .where(bills.c.account_id.in_(account_ids), bills.c.period == period)
        .order_by(bills.c.revision)
    )
    return {
        Key(row.account_id, row.service, row.period, row.part): row.revision
        for row in connection.execute(query)
    }


def drafts_of(connection: Connection, bill_ids: Sequence[str]) -> dict[str, Draft]:
    """Return posted bills as the drafts they were, by bill id; closings are not kept there."""
    items: dict[str, list[Item]] = {}
    query = select(line_items).where(line_items.c.bill_id.in_(bill_ids))
    for row in connection.execute(query.order_by(line_items.c.bill_id, line_items.c.position)):
        values = [getattr(row, name) for name in Item.__struct_fields__]
        items.setdefault(row.bill_id, []).append(Item(*values))
    rows = connection.execute(select(bills).where(bills.c.id.in_(bill_ids)))
    return {row.id: _draft(row, tuple(items.get(row.id, ()))) for row in rows}


def save_bills(
    connection: Connection, posted: Sequence[tuple[str, Draft]], *, project_id: str, at_us: int
) -> None:
    """Post bills (number, draft) with their line items."""
    insert_rows(
        connection,
        bills,
        ("id", "number", "project_id", "posted_us", "estimated", *_OF_BILL),
        [
            (draft.id, number, project_id, at_us, int(draft.estimated), *_facts_of(draft))
            for number, draft in posted
        ],
    )
    insert_rows(
        connection,
        line_items,
        ("bill_id", "position", *Item.__struct_fields__),
        [
            (draft.id, position, *astuple(item))
            for _, draft in posted
            for position, item in enumerate(draft.items)
        ],
    )


def save_credits(
    connection: Connection,
    posted: Sequence[tuple[str, Reversal]],
    *,
    project_id: str,
    reason: str,
    by: str,
    at_us: int,
) -> None:
    """Post credit notes 冲红 (number, what is taken back)."""
    rows = [
        {
            "bill_id": reversal.bill_id,
            "project_id": project_id,
            "number": number,
            "total_fen": -reversal.total_fen,
            "reason": reason,
            "posted_by": by,
            "posted_us": at_us,
        }
        for number, reversal in posted
    ]
    if rows:
        connection.execute(credit_notes.insert(), rows)


def save_sheets(connection: Connection, sheets: Sequence[Sheet]) -> None:
    """Post public sheets 公示表 with every premise's share."""
    aside = ("shares", "closings", "exempt")
    fields = [name for name in Sheet.__struct_fields__ if name not in aside]
    rows = [
        {name: getattr(sheet, name) for name in fields}
        | {"exempt": msgspec.json.encode(sheet.exempt).decode()}
        for sheet in sheets
    ]
    if rows:
        connection.execute(pool_statements.insert(), rows)
    insert_rows(
        connection,
        pool_shares,
        ("pool_id", "period", "premise_id", "weight", "amount_fen", "facts"),
        [
            (
                *(sheet.pool_id, sheet.period, share.premise_id, share.weight),
                *(share.amount_fen, share.facts),
            )
            for sheet in sheets
            for share in sheet.shares
        ],
    )


def _draft(row: Row[Any], items: tuple[Item, ...]) -> Draft:
    fields = {name: getattr(row, name) for name in _OF_BILL}
    return Draft(**fields, items=items, estimated=bool(row.estimated))
