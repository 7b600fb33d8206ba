"""Reports to download."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Query, Response

from cloud.errors import CloudError
from cloud.requests import Reading
from cloud.web.permissions import BILLING
from cloud.web.rendering import HEADERS
from cloud.web.report_frame import Span
from cloud.web.reports import MEDIA_TYPE, NAMES, workbook
from cloud.web.route import PageRoute
from cloud.web.visit import Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PERIOD: Final = r"^\d{4}-(0[1-9]|1[0-2])$"

ClerkVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
Month = Annotated[str, Query(pattern=_PERIOD)]


@router.get("/reports/{name}.xlsx")
def download_report(
    name: str, visit: ClerkVisit, connection: Reading, first: Month, last: Month
) -> Response:
    """Give a report of the billing months first .. last as a workbook."""
    if name not in NAMES:
        raise HTTPException(404)
    try:
        span = Span(first, last)
    except CloudError as error:
        raise HTTPException(400) from error
    made = workbook(connection, visit.person.project_id, name, span=span, language=visit.language)
    file = f"{name}-{first}-{last}.xlsx"
    return Response(
        made,
        headers={**HEADERS, "Content-Disposition": f'attachment; filename="{file}"'},
        media_type=MEDIA_TYPE,
    )
