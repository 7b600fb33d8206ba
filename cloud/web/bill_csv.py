"""Bills as CSV that a spreadsheet opens without running anything in it."""

import csv
import io
from collections.abc import Sequence

from cloud.money import fen_to_yuan
from cloud.web.bill_queries import BillRow
from cloud.web.i18n import N_, translations_of
from cloud.web.labels import SERVICES
from cloud.web.visit import Visit

_HEADS = (
    N_("Bill number"),
    N_("Period"),
    N_("Building"),
    N_("Premise"),
    N_("Holder"),
    N_("Service"),
    N_("Quantity"),
    N_("Estimated"),
    N_("Amount"),
    N_("Posted at"),
)
_RISKY = ("=", "+", "-", "@", "\t", "\r")


def bills_csv(visit: Visit, rows: Sequence[BillRow]) -> str:
    """Return bills as CSV with a byte order mark and heads in the reader's language."""
    translate = translations_of(visit.language).gettext
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text)
    writer.writerow([translate(head) for head in _HEADS])
    for row in rows:
        writer.writerow(
            [
                _safe(row.id),
                row.period,
                _safe(visit.name(row.building_name, row.building_name_en)),
                _safe(row.premise_name),
                _safe(row.holder),
                translate(SERVICES.get(row.service, row.service)),
                row.quantity or "",
                int(row.estimated),
                fen_to_yuan(row.total_fen),
                visit.format.iso(row.posted_us),
            ]
        )
    return text.getvalue()


def _safe(text: str) -> str:
    # a cell that begins like a formula would be run by the spreadsheet
    return f"'{text}" if text.startswith(_RISKY) else text
