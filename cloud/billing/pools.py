"""Pools 公摊 of a month: public use and loss, priced by the supplier's invoice, shared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import msgspec

from cloud.billing.allocation import AllocationError, allocate
from cloud.billing.carrying import (
    MASTER,
    PUBLIC,
    SUB,
    Brought,
    Counted,
    Settled,
    measured_of,
    settle,
)
from cloud.billing.cycles import Days
from cloud.billing.drafts import Exempt, Held, Share, Sheet, Use
from cloud.billing.formulas import FormulaError
from cloud.billing.participants import Part, Pool, parts_of
from cloud.billing.repository import Household
from cloud.billing.tariff_book import TariffBook
from cloud.billing.uses import bare_parts
from cloud.billing.uses import measured_of as registered
from cloud.billing.weights import Member, Weigher, Weight, WeightError
from cloud.metering import balance as metering
from cloud.metering.balance import Balance, Node
from cloud.metering.registers import sum_of
from cloud.metering.repository import MeterPoint
from cloud.money import EXACT
from cloud.tariffs.files import TariffRefusedError
from cloud.tariffs.rating import RatingError, rate_by
from cloud.tariffs.tariff import SupplyKind
from cloud.tariffs.usage import SupplierInvoice, Usage

SUPPLIER_TARIFF = "cn-supplier-invoice-electricity"


class PoolHeldError(ValueError):
    """A pool cannot be shared this month; the message says why."""


_REASONS = (
    PoolHeldError,
    AllocationError,
    WeightError,
    FormulaError,
    RatingError,
    TariffRefusedError,
)


@dataclass(frozen=True)
class Estate:
    """What pools are shared from and among: meter points, what they used, invoices, premises.

    The households are those who hold their premises at the end of the period, `usage` is what
    premises used by (premise, service), `brought` what earlier months bring along, by pool.
    """

    period: str
    days: Days
    points: Sequence[MeterPoint]
    uses: Mapping[str, Use]
    invoices: Mapping[str, SupplierInvoice]
    homes: Sequence[Household]
    closed: frozenset[str]
    members: Sequence[Member] = ()
    usage: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)
    brought: Mapping[str, Brought] = field(default_factory=dict)


@dataclass(frozen=True)
class _Measured:
    quantity: Decimal
    estimated: bool


@dataclass(frozen=True)
class _Shared:
    shares: tuple[Share, ...]
    exempt: tuple[Exempt, ...]
    fallback: str


def share_pools(
    book: TariffBook, pools: Sequence[Pool], estate: Estate
) -> tuple[list[Sheet], list[Held]]:
    """Share the pools that are on; one that must wait is held with its reason."""
    sheets: list[Sheet] = []
    held: list[Held] = []
    for pool in pools:
        if not pool.is_on:
            continue
        try:
            sheets.append(_share(book, pool, estate))
        except _REASONS as error:
            # several pools may hang at one master: each has its own reason
            reason = f"pool {pool.id}: {error}"
            held.append(Held(f"pool/{pool.id}", reason, meter_point_id=pool.master_id))
    return sheets, held


def balance_of(master_id: str, points: Sequence[MeterPoint], uses: Mapping[str, Use]) -> Balance:
    """Return what registers say behind a master; PoolHeldError if a meter's month is unknown."""
    nodes = [Node(point.id, point.parent_id, point.role) for point in points]
    behind = {master_id, *(node.id for node in nodes if node.parent_id == master_id)}
    used = {
        name: _Measured(registered(use), use.estimated)
        for name, use in uses.items()
        if name in behind
    }
    balance = metering.balance_of(master_id, nodes, used)
    if not balance.is_complete:
        message = f"the month is unknown of {', '.join(balance.missing)}"
        raise PoolHeldError(message)
    return balance


def _share(book: TariffBook, pool: Pool, estate: Estate) -> Sheet:
    balance = balance_of(pool.master_id, estate.points, estate.uses)
    invoice = estate.invoices.get(pool.master_id)
    if invoice is None:
        message = f"no supplier's invoice of {pool.master_id} for {estate.period}"
        raise PoolHeldError(message)
    counted = _counted(pool, balance, estate)
    brought = estate.brought.get(pool.id, Brought())
    measured = measured_of(pool.kind, [(each, Decimal(each.quantity)) for each in counted])
    cap_percent = pool.cap_percent or Decimal(0)
    settled = settle(
        sum_of([measured, brought.carried_in, brought.corrected]),
        EXACT.divide(EXACT.multiply(balance.master, cap_percent), Decimal(100)),
    )
    usage = Usage(
        from_on=estate.days.from_on,
        to_on=estate.days.to_on,
        quantity=settled.charged,
        invoice=invoice,
    )
    chosen = book.choose(SUPPLIER_TARIFF, SupplyKind.PUBLIC, on=estate.days.from_on)
    rated = rate_by(chosen.plan, usage)
    shared = _shared(pool, estate, rated.total_fen)
    names = (pool.master_id, *balance.behind)
    return Sheet(
        pool_id=pool.id,
        period=estate.period,
        master=f"{balance.master:f}",
        subs=f"{balance.subs:f}",
        public=f"{balance.public:f}",
        loss=f"{balance.loss:f}",
        charged=f"{settled.charged:f}",
        # nothing charged has no line and so shows no price
        unit_price=f"{rated.line_items[0].unit_price if rated.line_items else Decimal(0):f}",
        total_fen=rated.total_fen,
        note=_note(settled, cap_percent),
        evidence=json.dumps([part for name in names for part in bare_parts(estate.uses[name])]),
        kind=pool.kind,
        cap_percent=f"{cap_percent:f}",
        invoice=json.dumps({"amount": f"{invoice.amount:f}", "quantity": f"{invoice.quantity:f}"}),
        tariff_hash=chosen.hash,
        shares=shared.shares,
        closings=tuple(estate.uses[name].closing for name in names if name not in estate.closed),
        level=pool.level,
        entrance=pool.entrance or "",
        by=pool.by,
        formula=pool.formula,
        fallback=shared.fallback,
        carried_in=f"{brought.carried_in:f}",
        corrected=f"{brought.corrected:f}",
        above_cap=f"{settled.above_cap:f}",
        carried_out=f"{settled.carried_out:f}",
        company_fen=sum(each.amount_fen for each in shared.exempt),
        exempt=shared.exempt,
        meters=msgspec.json.encode(counted).decode(),
        corrections=msgspec.json.encode(brought.corrections).decode(),
    )


def _counted(pool: Pool, balance: Balance, estate: Estate) -> list[Counted]:
    roles = {point.id: point.role for point in estate.points}
    public = {name for name in balance.behind if roles[name] == PUBLIC}
    if odd := sorted(set(pool.meters) - public):
        message = (
            f"meters: {', '.join(odd)}: allowed are the public meters right behind"
            f" {pool.master_id}: {', '.join(sorted(public)) or 'none'}"
        )
        raise PoolHeldError(message)
    shared = set(pool.meters) or public
    made = [Counted(pool.master_id, MASTER, f"{balance.master:f}")]
    for name in balance.behind:
        quantity = f"{registered(estate.uses[name]):f}"
        is_public = name in public
        made.append(
            Counted(name, PUBLIC if is_public else SUB, quantity, not is_public or name in shared)
        )
    return made


def _shared(pool: Pool, estate: Estate, total_fen: int) -> _Shared:
    service = next(point.service for point in estate.points if point.id == pool.master_id)
    members = [
        replace(member, usage=estate.usage.get((member.premise_id, service)))
        for member in estate.members
    ]
    parts = parts_of(pool, members)
    by, weights = pool.by, _weights(parts, Weigher.of(pool.by, pool.formula))
    if pool.fallback and not any(weight.value for weight in weights.values()):
        by, weights = pool.fallback, _weights(parts, Weigher.of(pool.fallback))
    fen = allocate(total_fen, {name: weight.value for name, weight in weights.items()})
    none = Weight(Decimal(0), {})
    shares, exempt = [], []
    for part in parts:
        name = part.member.premise_id
        weight = weights.get(name, none)
        shown = f"{weight.value:f}"
        if part.exempt:
            exempt.append(Exempt(name, part.exempt, part.borne_by, shown, fen.get(name, 0)))
        else:
            facts = json.dumps(weight.facts, ensure_ascii=False, sort_keys=True)
            shares.append(Share(name, shown, fen[name], facts))
    return _Shared(tuple(shares), tuple(exempt), by if by != pool.by else "")


def _weights(parts: Sequence[Part], weigher: Weigher) -> dict[str, Weight]:
    return {part.member.premise_id: weigher.weight(part.member) for part in parts if part.counts}


def _note(settled: Settled, cap_percent: Decimal) -> str:
    if settled.carried_out:
        return f"negative {settled.carried_out:f}: carried forward, not posted"
    if settled.above_cap:
        return f"capped at {cap_percent:f} %: the company bears {settled.above_cap:f}"
    return ""
