"""The API: every module's endpoints under /api/v1."""

from fastapi import APIRouter

from cloud.alerts.endpoints import router as alerts
from cloud.billing.account_endpoints import router as accounts
from cloud.billing.endpoints import router as billing
from cloud.commands.endpoints import router as commands
from cloud.discounts.endpoints import router as discounts
from cloud.ledger.endpoints import router as ledger
from cloud.maintenance.endpoints import router as maintenance
from cloud.mirror.endpoints import router as mirror
from cloud.payments.endpoints import router as payments
from cloud.printing.endpoints import router as documents
from cloud.sites.endpoints import router as sites
from cloud.telemetry.endpoints import router as telemetry
from cloud.web.pages import stream_changes

router = APIRouter()
for part in (
    sites,
    telemetry,
    alerts,
    billing,
    accounts,
    discounts,
    ledger,
    payments,
    maintenance,
    documents,
    mirror,
    commands,
):
    router.include_router(part)
# the live stream of the pages, for programs
router.add_api_route("/events", stream_changes, tags=["telemetry"])
