"""All reports by name, and a report as an xlsx file."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from cloud.errors import CloudError
from cloud.web.i18n import N_, Language
from cloud.web.money_sheets import ageing_sheets, collection_sheets, rate_sheets, takings_sheets
from cloud.web.pool_sheets import pool_sheets
from cloud.web.record_sheets import change_sheets, spread_sheets
from cloud.web.report_frame import Frame, Span
from cloud.workbooks.sheets import Sheet, to_xlsx

ALL: Final = "all"
NAMES: Final = {
    "collection": N_("Collection"),
    "takings": N_("Takings"),
    "rates": N_("Collection rates"),
    "ageing": N_("Arrears by age"),
    "spread": N_("Bought against sold"),
    "pools": N_("Shared costs"),
    "changes": N_("Changes"),
    ALL: N_("All reports"),
}
MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_MAKERS: Final[dict[str, Callable[[Frame], list[Sheet]]]] = {
    "collection": collection_sheets,
    "takings": takings_sheets,
    "rates": rate_sheets,
    "ageing": ageing_sheets,
    "spread": spread_sheets,
    "pools": pool_sheets,
    "changes": change_sheets,
}


def sheets_of(frame: Frame, name: str) -> list[Sheet]:
    """Return the sheets of a report; CloudError for a name that is none."""
    if name not in NAMES:
        message = f"report {name!r}: allowed are {', '.join(NAMES)}"
        raise CloudError(message)
    makers = _MAKERS.values() if name == ALL else [_MAKERS[name]]
    return [sheet for make in makers for sheet in make(frame)]


def workbook(
    connection: Connection, project_id: str, name: str, *, span: Span, language: Language = "zh"
) -> bytes:
    """Return a report as an xlsx file; CloudError where its rows do not add up."""
    frame = Frame(connection, project_id, span, language)
    return to_xlsx(sheets_of(frame, name), in_all=frame.words(N_("in all")))
