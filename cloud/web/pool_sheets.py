"""The report of pools 公摊: what was measured, charged, carried, and left to the company."""

from cloud.web import labels
from cloud.web.i18n import N_
from cloud.web.report_frame import Frame
from cloud.workbooks.pool_queries import pool_months
from cloud.workbooks.sheets import Column, Form, Sheet


def pool_sheets(made: Frame) -> list[Sheet]:
    """Return each pool's months; a quantity below zero is carried until a month takes it up."""
    found = pool_months(
        made.connection, made.project_id, first=made.span.first, last=made.span.last
    )

    def amount(title: str, *, is_summed: bool = True) -> Column:
        return Column(made.words(title), Form.QUANTITY, 14, is_summed=is_summed)

    columns = (
        made.text(N_("Period")),
        made.text(N_("Building")),
        made.text(N_("Pool"), 24),
        made.text(N_("Kind")),
        made.text(N_("Unit of measure"), 8),
        amount(N_("Measured")),
        # what one month carries out the next one carries in: their sums say nothing
        amount(N_("Carried in"), is_summed=False),
        amount(N_("Corrected")),
        amount(N_("Charged quantity")),
        amount(N_("Above the cap")),
        amount(N_("Carried out"), is_summed=False),
        *made.fen(N_("Pool total"), N_("Borne by the company")),
    )
    rows = tuple(
        (
            row.period,
            row.building,
            row.name_en if made.language == "en" else row.name,
            made.word(labels.POOL_KINDS, row.kind),
            row.uom,
            row.measured,
            row.carried_in,
            row.corrected,
            row.charged,
            row.above_cap,
            row.carried_out,
            row.total_fen,
            row.company_fen,
        )
        for row in found
    )
    title = made.words(N_("Shared costs"))
    return [Sheet(title, title, columns, rows, (made.note(),))]
