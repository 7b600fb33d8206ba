"""Reports to download."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Response

from cloud.billing.cycles import PERIOD
from cloud.errors import CloudError
from cloud.requests import Reading
from cloud.web.permissions import BILLING
from cloud.web.rendering import HEADERS
from cloud.web.report_frame import Span
from cloud.web.reports import MEDIA_TYPE, NAMES, workbook
from cloud.web.route import PageRoute
from cloud.web.visit import Visit, visit_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)

ClerkVisit = Annotated[Visit, Depends(visit_of(*BILLING))]
Month = Annotated[str, Query(pattern=f"^{PERIOD.pattern}$")]


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
