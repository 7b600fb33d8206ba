"""A bill run: one month of one project, in one transaction, once."""

import time
from dataclasses import dataclass, field
from datetime import date
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection

from cloud.billing import repository
from cloud.billing.allocation import AllocationError
from cloud.billing.metered import (
    SUPPLIER_TARIFF,
    RatedPoint,
    evidence_of_parts,
    rate_point,
    tariff_text,
)
from cloud.billing.pools import PoolHeldError, SharedPool, share
from cloud.billing.repository import Holder, Run
from cloud.errors import NotFoundError
from cloud.ledger import repository as accounts
from cloud.ledger import service as ledger
from cloud.ledger.entries import Charge
from cloud.ledger.service import Teller
from cloud.metering import repository as meters
from cloud.metering import service as metering
from cloud.metering.registers import Consumption, RegisterError
from cloud.metering.service import Span
from cloud.metering.verification import screen_points
from cloud.money import fen_to_yuan
from cloud.tariffs.files import (
    TariffRefusedError,
    check_billable,
    load_tariffs,
    tariff_in_force,
)
from cloud.tariffs.rating import LineItem, RatingError
from cloud.tariffs.tariff import SupplyKind

log = structlog.get_logger("billing")

SHARED = "shared"
ENTERED_BY = "bill run"


@dataclass
class Draft:
    """What a run would post."""

    period: str
    span: Span
    bills: list[dict[str, object]] = field(default_factory=list)
    items: list[dict[str, object]] = field(default_factory=list)
    statements: list[dict[str, object]] = field(default_factory=list)
    shares: list[dict[str, object]] = field(default_factory=list)
    held: list[dict[str, object]] = field(default_factory=list)
    tariffs: dict[str, tuple[str, str]] = field(default_factory=dict)
    closed: dict[str, Consumption] = field(default_factory=dict)

    @property
    def total_fen(self) -> int:
        """Return the sum of all bills."""
        return sum(int(str(bill["total_fen"])) for bill in self.bills)


def run(
    connection: Connection,
    project_id: str,
    period: str,
    *,
    allow_unverified: bool = False,
) -> Run:
    """Post a period's bills in the caller's transaction; a period that was run stays as it is."""
    repository.lock_project(connection, project_id)
    held = repository.run_of(connection, project_id, period)
    if held is not None:
        return held
    drawn = draft(connection, project_id, period, allow_unverified=allow_unverified)
    now_us = time.time_ns() // 1000
    metering.close(connection, drawn.closed, drawn.span, now_us=now_us)
    for digest, (tariff_id, text) in drawn.tariffs.items():
        repository.save_tariff(connection, digest, tariff_id, text)
    posted = [{**bill, "posted_us": now_us} for bill in drawn.bills]
    repository.save_bills(connection, posted, drawn.items)
    _enter(connection, project_id, drawn, now_us)
    repository.save_statements(connection, drawn.statements, drawn.shares)
    repository.save_exceptions(connection, drawn.held)
    done = Run(project_id, period, now_us, len(drawn.bills), len(drawn.held))
    repository.save_run(connection, done)
    log.info("bills_posted", project=project_id, period=period, bills=done.bills, held=done.held)
    return done


def _enter(connection: Connection, project_id: str, drawn: Draft, now_us: int) -> None:
    # bills and books are one transaction: neither is without the other
    accounts.open_accounts(connection, project_id, date.fromisoformat(f"{drawn.period}-01"))
    of_premise = accounts.open_accounts_of(connection, project_id)
    charges = {
        str(bill["id"]): (
            of_premise[str(bill["premise_id"])],
            Charge(drawn.period, str(bill["service"])),
            int(str(bill["total_fen"])),
        )
        for bill in drawn.bills
    }
    ledger.post_bills(connection, Teller(project_id, ENTERED_BY, now_us), charges)


def draft(
    connection: Connection, project_id: str, period: str, *, allow_unverified: bool = False
) -> Draft:
    """Work out a period's bills without posting them (a dry run)."""
    zone = repository.time_zone(connection, project_id)
    if zone is None:
        message = f"project {project_id!r} is unknown"
        raise NotFoundError(message)
    span = metering.month(period, ZoneInfo(zone))
    return _Drafting(connection, project_id, span, allow_unverified).draw()


class _Drafting:
    """The working state of one run."""

    def __init__(
        self,
        connection: Connection,
        project_id: str,
        span: Span,
        allow_unverified: bool,  # noqa: FBT001 - private
    ) -> None:
        self.connection = connection
        self.project_id = project_id
        self.span = span
        self.allow_unverified = allow_unverified
        self.draft = Draft(f"{span.from_on:%Y-%m}", span)
        self.tariffs = load_tariffs()
        self.points = meters.meter_points_of(connection, project_id)
        self.holders = repository.holders(connection, project_id)
        self.used: dict[str, Consumption] = {}

    def draw(self) -> Draft:
        entries = repository.services_of(self.connection)
        # many at once, before each is asked for by itself
        screen_points(self.connection, [point.id for point in self.points])
        for point in self.points:
            entry = entries.get(point.id)
            try:
                if (
                    entry is None
                    or point.premise_id is None
                    or entry.cutover_on > self.span.from_on
                ):
                    self.used[point.id] = metering.consumption(self.connection, point.id, self.span)
                    continue
                tariff = tariff_in_force(self.tariffs, entry.tariff_id, on=self.span.from_on)
                rated = rate_point(
                    self.connection,
                    point,
                    entry,
                    self.holders[point.premise_id],
                    span=self.span,
                    tariff=tariff,
                    allow_unverified=self.allow_unverified,
                )
            except (RegisterError, RatingError, TariffRefusedError) as error:
                self._hold(point.id, str(error))
                continue
            self.used[point.id] = rated.consumption
            self._bill_metered(rated, self.holders[point.premise_id])
        self._bill_pools()
        return self.draft

    def _bill_metered(self, rated: RatedPoint, holder: Holder) -> None:
        text, digest = tariff_text(rated.tariff)
        self.draft.tariffs[digest] = (rated.tariff.id, text)
        bill = self._bill(holder, rated.point.service, rated.rated.total_fen)
        bill |= {
            "tariff_id": rated.tariff.id,
            "tariff_hash": digest,
            "quantity": f"{rated.consumption.quantity:f}",
            "estimated": int(rated.consumption.estimated),
        }
        self.draft.bills.append(bill)
        self.draft.closed[rated.point.id] = rated.consumption
        evidence = evidence_of_parts({rated.point.id: rated.consumption})
        for position, item in enumerate(rated.rated.line_items):
            self.draft.items.append(_item_row(str(bill["id"]), position, item, evidence))

    def _bill_pools(self) -> None:
        shared: list[SharedPool] = []
        for pool in repository.pools_of(self.connection, self.project_id):
            if not pool.is_on:
                continue
            try:
                tariff = tariff_in_force(self.tariffs, SUPPLIER_TARIFF, on=self.span.from_on)
                check_billable(tariff, SupplyKind.PUBLIC, allow_unverified=self.allow_unverified)
                shared.append(
                    share(
                        self.connection,
                        pool,
                        self.points,
                        self.used,
                        holders=self.holders,
                        span=self.span,
                        tariff=tariff,
                    )
                )
            except (PoolHeldError, AllocationError, RatingError, TariffRefusedError) as error:
                self._hold(pool.master_id, f"pool {pool.id}: {error}")
        for item in shared:
            self._post_statement(item)
        for holder in sorted(self.holders.values(), key=lambda holder: holder.id):
            mine = [item for item in shared if holder.id in item.shares]
            if mine:
                self._bill_shares(holder, mine)

    def _post_statement(self, item: SharedPool) -> None:
        period = self.draft.period
        self.draft.closed.update(item.parts)
        self.draft.statements.append(
            {
                "pool_id": item.pool.id,
                "period": period,
                "master": f"{item.balance.master:f}",
                "subs": f"{item.balance.subs:f}",
                "public": f"{item.balance.public:f}",
                "loss": f"{item.balance.loss:f}",
                "charged": f"{item.charged:f}",
                "unit_price": f"{item.unit_price:f}",
                "total_fen": item.total_fen,
                "note": item.note,
                "evidence": evidence_of_parts(item.parts),
            }
        )
        self.draft.shares += [
            {
                "pool_id": item.pool.id,
                "period": period,
                "premise_id": premise,
                "weight": f"{item.weights[premise]:f}",
                "amount_fen": amount,
            }
            for premise, amount in sorted(item.shares.items())
        ]

    def _bill_shares(self, holder: Holder, shared: list[SharedPool]) -> None:
        total = sum(item.shares[holder.id] for item in shared)
        bill = self._bill(holder, SHARED, total)
        self.draft.bills.append(bill)
        for position, item in enumerate(shared):
            weight, area = item.weights[holder.id], sum(item.weights.values())
            self.draft.items.append(
                {
                    "bill_id": bill["id"],
                    "position": position,
                    "code": f"{SHARED}.{item.pool.id}",
                    "description": item.pool.name,
                    "description_en": item.pool.name_en,
                    "quantity": f"{weight:f}",
                    "uom": "m2",
                    "unit_price": "",
                    "amount_fen": item.shares[holder.id],
                    "formula": f"{fen_to_yuan(item.total_fen)} x {weight:f} / {area:f}",
                    "evidence": f'{{"pool": "{item.pool.id}"}}',
                }
            )

    def _bill(self, holder: Holder, service: str, total_fen: int) -> dict[str, object]:
        return {
            "id": f"{self.draft.period}-{holder.id}-{service}-1",
            "project_id": self.project_id,
            "premise_id": holder.id,
            "service": service,
            "period": self.draft.period,
            "revision": 1,
            "holder": holder.holder,
            "tariff_id": None,
            "tariff_hash": None,
            "quantity": None,
            "estimated": 0,
            "total_fen": total_fen,
        }

    def _hold(self, point_id: str, reason: str) -> None:
        log.warning("bill_held", meter_point=point_id, period=self.draft.period, reason=reason)
        self.draft.held = [row for row in self.draft.held if row["meter_point_id"] != point_id]
        self.draft.held.append(
            {"meter_point_id": point_id, "period": self.draft.period, "reason": reason}
        )


def _item_row(bill_id: str, position: int, item: LineItem, evidence: str) -> dict[str, object]:
    return {
        "bill_id": bill_id,
        "position": position,
        "code": item.code,
        "description": item.description,
        "description_en": item.description_en,
        "quantity": f"{item.quantity:f}",
        "uom": item.uom,
        "unit_price": f"{item.unit_price:f}",
        "amount_fen": item.amount_fen,
        "formula": item.formula,
        "evidence": evidence,
    }
