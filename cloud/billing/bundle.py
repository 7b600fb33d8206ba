"""The evidence bundle of a bill: one JSON document from which anybody computes the bill anew."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from cloud.billing import verify_bill
from cloud.billing.bill_tables import bills, credit_notes, line_items
from cloud.billing.bundle_parts import Json
from cloud.billing.bundle_pools import pool_of
from cloud.billing.bundle_segments import segment_of
from cloud.errors import NotFoundError
from cloud.money import fen_to_yuan
from protocols.delivery.records import instant

Items = Sequence[Row[Any]]


def bundle_of(connection: Connection, bill_id: str, *, hours: bool = True) -> bytes:
    """Return the bundle of a posted bill; NotFoundError if there is none.

    With `hours` a bill by time of use has the register of every hour with its proof: megabytes.
    RefusedError where what is stored is not what a gateway signed.
    """
    row = connection.execute(select(bills).where(bills.c.id == bill_id)).one_or_none()
    if row is None:
        message = f"bill {bill_id!r} is unknown"
        raise NotFoundError(message)
    items = connection.execute(
        select(line_items).where(line_items.c.bill_id == bill_id).order_by(line_items.c.position)
    ).all()
    kept: list[Json] = json.loads(row.inputs)
    names = {item.segment: (item.description, item.description_en) for item in items}
    segments = [each for each in kept if "tariff_hash" in each]
    shares = [(place, each) for place, each in enumerate(kept) if "pool" in each]
    return to_json(
        {
            "format": verify_bill.FORMAT,
            "bill": _bill(row, items),
            "segments": [segment_of(connection, each, hours=hours) for each in segments],
            "pools": [
                pool_of(
                    connection,
                    str(each["pool"]),
                    period=row.period,
                    premise_id=row.premise_id,
                    names=names[place],
                )
                for place, each in shares
            ],
            "credit": _credit(connection, bill_id),
        }
    )


def to_json(body: Json) -> bytes:
    """Return a bundle as it is written, with its digest: there is one way to write each.

    Sorted keys, an indent of one, a line feed at the end.
    """
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    whole = body | {"digest": hashlib.sha256(text.encode()).hexdigest()}
    return f"{json.dumps(whole, ensure_ascii=False, sort_keys=True, indent=1)}\n".encode()


def _bill(row: Row[Any], items: Items) -> Json:
    return {
        "id": row.id,
        "number": row.number,
        "account": row.account_id,
        "premise": row.premise_id,
        "holder": row.holder,
        "service": row.service,
        "period": row.period,
        "revision": row.revision,
        "from_on": row.from_on.isoformat(),
        "to_on": row.to_on.isoformat(),
        "posted_at": instant(row.posted_us).isoformat(),
        "quantity": row.quantity,
        # what is not metered has nothing that could be estimated
        "estimated": None if row.quantity is None else bool(row.estimated),
        "total": fen_to_yuan(row.total_fen),
        "line_items": [
            {
                "segment": item.segment,
                "code": item.code,
                "description": item.description,
                "description_en": item.description_en,
                "quantity": item.quantity,
                "uom": item.uom,
                "unit_price": item.unit_price,
                "amount": fen_to_yuan(item.amount_fen),
                "formula": item.formula,
            }
            for item in items
        ],
    }


def _credit(connection: Connection, bill_id: str) -> Json | None:
    query = select(credit_notes).where(credit_notes.c.bill_id == bill_id)
    note = connection.execute(query).one_or_none()
    if note is None:
        return None
    return {"number": note.number, "reason": note.reason, "total": fen_to_yuan(note.total_fen)}
