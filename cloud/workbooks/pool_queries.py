"""What pools 公摊 measured, charged, carried and left to the company, as rows for reports."""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, select

from cloud.billing.bill_tables import pool_statements
from cloud.billing.carrying import PUBLIC, measured_of
from cloud.billing.pool_repository import counted_of
from cloud.billing.tables import pools
from cloud.errors import CloudError
from cloud.metering.registers import sum_of
from cloud.metering.tables import meter_points
from cloud.sites.tables import buildings


class UnbalancedPoolError(CloudError):
    """A sheet whose measured, carried and charged quantities do not add up."""


@dataclass(frozen=True)
class PoolMonth:
    """A pool's month: measured + carried in + corrected = charged + above the cap + carried out."""

    period: str
    building: str
    name: str
    name_en: str
    kind: str
    uom: str
    measured: Decimal
    carried_in: Decimal
    corrected: Decimal
    charged: Decimal
    above_cap: Decimal
    carried_out: Decimal
    total_fen: int
    company_fen: int


def pool_months(
    connection: Connection, project_id: str, *, first: str, last: str
) -> list[PoolMonth]:
    """Return the posted sheets of periods first .. last; UnbalancedPoolError."""
    query = (
        select(pool_statements, pools.c.name, pools.c.name_en, meter_points.c.uom)
        .add_columns(buildings.c.name.label("building"))
        .join(pools, pools.c.id == pool_statements.c.pool_id)
        .join(buildings, buildings.c.id == pools.c.building_id)
        .join(meter_points, meter_points.c.id == pools.c.master_id)
        .where(pools.c.project_id == project_id, pool_statements.c.period.between(first, last))
        .order_by(pool_statements.c.period, buildings.c.position, pools.c.id)
    )
    found: list[PoolMonth] = []
    for row in connection.execute(query):
        counted = [(each, Decimal(each.quantity)) for each in counted_of(row.meters)]
        measured = measured_of(row.kind, counted)
        if not counted:
            # a sheet of before meters were kept with it
            measured = Decimal(row.public if row.kind == PUBLIC else row.loss)
        month = PoolMonth(
            row.period,
            row.building,
            row.name,
            row.name_en,
            row.kind,
            row.uom,
            measured,
            carried_in=Decimal(row.carried_in),
            corrected=Decimal(row.corrected),
            charged=Decimal(row.charged),
            above_cap=Decimal(row.above_cap),
            carried_out=Decimal(row.carried_out),
            total_fen=row.total_fen,
            company_fen=row.company_fen,
        )
        became = [month.charged, month.above_cap, month.carried_out]
        due = sum_of([month.measured, month.carried_in, month.corrected])
        if counted and due != sum_of(became):
            message = f"pool {row.pool_id} of {row.period}: its quantities do not add up"
            raise UnbalancedPoolError(message)
        found.append(month)
    return found
