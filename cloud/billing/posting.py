"""Posting 出账: drafts of a shard become bills, credit notes and entries in the books, at once."""

from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from cloud.billing import bill_repository, run_repository
from cloud.billing.carrying import MASTER
from cloud.billing.drafts import Closing, Draft, Reversal, Sheet
from cloud.billing.pool_repository import counted_of
from cloud.billing.run_repository import Run, Shard
from cloud.ledger import service as ledger
from cloud.ledger.entries import Charge
from cloud.ledger.service import Teller
from cloud.maintenance import repository as maintenance
from cloud.maintenance.orders import Subject
from cloud.metering import repository as meters

_ABOVE: Final = {"loss": ("线损", "loss"), "public": ("公共用量", "public use")}
BILL, CREDIT_NOTE = "bill", "credit_note"


def post_shard(connection: Connection, run: Run, shard: Shard) -> None:
    """Post the drafts of one shard under the numbers that are set aside for it."""
    at_us = run.posted_us or run.started_us
    found = run_repository.drafts_of(connection, run.key, shard.shard)
    drafts = [each for each in found if isinstance(each, Draft)]
    reversals = [each for each in found if isinstance(each, Reversal)]
    sheets = [each for each in found if isinstance(each, Sheet)]
    bill_repository.save_credits(
        connection,
        [(f"C{shard.first_credit + place:08d}", each) for place, each in enumerate(reversals)],
        project_id=run.project_id,
        reason=run.reason,
        by=run.started_by,
        at_us=at_us,
    )
    bill_repository.save_bills(
        connection,
        [(f"B{shard.first_bill + place:08d}", each) for place, each in enumerate(drafts)],
        project_id=run.project_id,
        at_us=at_us,
    )
    bill_repository.save_sheets(connection, sheets)
    orders = [order_of(sheet) for sheet in sheets if Decimal(sheet.above_cap)]
    maintenance.open_orders(connection, run.project_id, orders, by=run.started_by, at_us=at_us)
    closings = [closing for draft in drafts for closing in draft.closings]
    closings += [closing for sheet in sheets for closing in sheet.closings]
    # pools behind one master name its meters each
    rows = [_closing_row(closing, at_us) for closing in dict.fromkeys(closings)]
    meters.save_closings(connection, rows)
    # bills and books are one transaction: neither is without the other
    charges = {
        f"{each.bill_id}/credit": (
            each.account_id,
            Charge(each.period, each.service),
            -each.total_fen,
        )
        for each in reversals
    } | {
        each.id: (each.account_id, Charge(each.period, each.service), each.total_fen)
        for each in drafts
    }
    ledger.post_bills(connection, Teller(run.project_id, run.started_by, at_us), charges)
    run_repository.drop_drafts(connection, run.key, shard.shard)


def order_of(sheet: Sheet) -> Subject:
    """Return the work order 工单 that a sheet above its cap opens, once for a pool and month."""
    master = next(each for each in counted_of(sheet.meters) if each.role == MASTER)
    what, what_en = _ABOVE[sheet.kind]
    return Subject(
        kind=f"pool_{sheet.kind}",
        source=f"pool/{sheet.pool_id}/{sheet.period}",
        title=f"{sheet.period} {what}超过上限 {sheet.cap_percent}%",
        title_en=f"{sheet.period}: {what_en} above the cap of {sheet.cap_percent} %",
        note=f"{sheet.above_cap} / {sheet.master}",
        meter_point_id=master.meter_point_id,
        pool_id=sheet.pool_id,
    )


def _closing_row(closing: Closing, at_us: int) -> dict[str, object]:
    return {
        "meter_point_id": closing.meter_point_id,
        "start_us": closing.start_us,
        "end_us": closing.end_us,
        "quantity": closing.quantity,
        "is_open": int(closing.is_open),
        "rules": closing.rules,
        "closed_us": at_us,
    }
