"""Every table of the service, so that migrations see them all."""

from cloud.alerts import tables as alerts
from cloud.billing import bill_tables as bills
from cloud.billing import run_tables as bill_runs
from cloud.billing import tables as billing
from cloud.commands import tables as commands
from cloud.database import metadata
from cloud.discounts import tables as discounts
from cloud.ingest import attempt_tables as attempts
from cloud.ingest import clock_tables as clocks
from cloud.ingest import quarantine_tables
from cloud.ingest import tables as ingest
from cloud.ledger import arrears_tables as arrears
from cloud.ledger import tables as ledger
from cloud.maintenance import tables as maintenance
from cloud.metering import reading_tables as reads
from cloud.metering import tables as metering
from cloud.mirror import tables as mirror
from cloud.notify import tables as messages
from cloud.payments import tables as payments
from cloud.proofs import tables as proofs
from cloud.sites import tables as sites
from cloud.telemetry import tables as telemetry

__all__ = [
    "alerts",
    "arrears",
    "attempts",
    "bill_runs",
    "billing",
    "bills",
    "clocks",
    "commands",
    "discounts",
    "ingest",
    "ledger",
    "maintenance",
    "messages",
    "metadata",
    "metering",
    "mirror",
    "payments",
    "proofs",
    "quarantine_tables",
    "reads",
    "sites",
    "telemetry",
]
