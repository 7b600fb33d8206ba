"""Pools 公摊 of a month: public use and loss, priced by the supplier's invoice, shared by area."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from cloud.billing.allocation import AllocationError, allocate
from cloud.billing.cycles import Days
from cloud.billing.drafts import Draft, Held, Item, Sheet, Use
from cloud.billing.repository import Household, Pool
from cloud.billing.tariff_book import TariffBook
from cloud.metering import balance as metering
from cloud.metering.balance import Balance, Node
from cloud.metering.repository import MeterPoint
from cloud.money import fen_to_yuan
from cloud.tariffs.files import TariffRefusedError
from cloud.tariffs.rating import RatingError, rate_by
from cloud.tariffs.tariff import SupplyKind
from cloud.tariffs.usage import SupplierInvoice, Usage

SHARED = "shared"
SUPPLIER_TARIFF = "cn-supplier-invoice-electricity"


class PoolHeldError(ValueError):
    """A pool cannot be shared this month; the message says why."""


@dataclass(frozen=True)
class Estate:
    """What pools are shared from and among: meter points, what they used, invoices, households.

    The households are those who hold their premises at the end of the period.
    """

    period: str
    days: Days
    points: Sequence[MeterPoint]
    uses: Mapping[str, Use]
    invoices: Mapping[str, SupplierInvoice]
    homes: Sequence[Household]
    closed: frozenset[str]


@dataclass(frozen=True)
class _Measured:
    quantity: Decimal
    estimated: bool


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
        except (PoolHeldError, AllocationError, RatingError, TariffRefusedError) as error:
            reason = f"pool {pool.id}: {error}"
            held.append(Held(pool.master_id, reason, meter_point_id=pool.master_id))
    return sheets, held


def shared_drafts(pools: Sequence[Pool], sheets: Sequence[Sheet], estate: Estate) -> list[Draft]:
    """Return each household's bill of its shares, by account."""
    by_id = {pool.id: pool for pool in pools}
    shares = {sheet.pool_id: {name: (w, fen) for name, w, fen in sheet.shares} for sheet in sheets}
    totals = {
        sheet.pool_id: sum((Decimal(weight) for _, weight, _ in sheet.shares), Decimal(0))
        for sheet in sheets
    }
    drafts: list[Draft] = []
    for home in sorted(estate.homes, key=lambda home: home.account_id):
        mine = [sheet for sheet in sheets if home.premise_id in shares[sheet.pool_id]]
        if not mine:
            continue
        items = tuple(
            _item(
                place,
                by_id[sheet.pool_id],
                f"{fen_to_yuan(sheet.total_fen)} x {{}} / {totals[sheet.pool_id]:f}",
                *shares[sheet.pool_id][home.premise_id],
            )
            for place, sheet in enumerate(mine)
        )
        drafts.append(
            Draft(
                account_id=home.account_id,
                premise_id=home.premise_id,
                holder=home.holder,
                service=SHARED,
                period=estate.period,
                from_on=estate.days.from_on,
                to_on=estate.days.to_on,
                total_fen=sum(item.amount_fen for item in items),
                inputs=json.dumps([{"pool": sheet.pool_id} for sheet in mine]),
                items=items,
            )
        )
    return drafts


def balance_of(master_id: str, points: Sequence[MeterPoint], uses: Mapping[str, Use]) -> Balance:
    """Return the balance behind a master; PoolHeldError if a meter's month is unknown."""
    nodes = [Node(point.id, point.parent_id, point.role) for point in points]
    behind = {master_id, *(node.id for node in nodes if node.parent_id == master_id)}
    used = {
        name: _Measured(Decimal(use.quantity), use.estimated)
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
    charged, note = _charged(pool, balance)
    usage = Usage(
        from_on=estate.days.from_on, to_on=estate.days.to_on, quantity=charged, invoice=invoice
    )
    chosen = book.choose(SUPPLIER_TARIFF, SupplyKind.PUBLIC, on=estate.days.from_on)
    rated = rate_by(chosen.plan, usage)
    weights = {
        home.premise_id: home.facts.area_m2 or Decimal(0)
        for home in estate.homes
        if home.building_id == pool.building_id and home.kind == "home"
    }
    shares = allocate(rated.total_fen, weights)
    names = (pool.master_id, *balance.behind)
    parts = [part for name in names for part in json.loads(estate.uses[name].parts)]
    # nothing charged has no line and so shows no price
    unit_price = rated.line_items[0].unit_price if rated.line_items else Decimal(0)
    return Sheet(
        pool.id,
        estate.period,
        f"{balance.master:f}",
        f"{balance.subs:f}",
        f"{balance.public:f}",
        f"{balance.loss:f}",
        f"{charged:f}",
        f"{unit_price:f}",
        rated.total_fen,
        note,
        json.dumps(parts),
        pool.kind,
        f"{pool.cap_percent or Decimal(0):f}",
        json.dumps({"amount": f"{invoice.amount:f}", "quantity": f"{invoice.quantity:f}"}),
        chosen.hash,
        tuple((name, f"{weights[name]:f}", fen) for name, fen in sorted(shares.items())),
        tuple(estate.uses[name].closing for name in names if name not in estate.closed),
    )


def _charged(pool: Pool, balance: Balance) -> tuple[Decimal, str]:
    quantity = balance.public if pool.kind == "public" else balance.loss
    if quantity < 0:
        return Decimal(0), f"negative {quantity}: carried forward, not posted"
    cap = balance.master * (pool.cap_percent or Decimal(0)) / 100
    if quantity > cap:
        return cap, f"capped at {pool.cap_percent} %: the company bears {quantity - cap}"
    return quantity, ""


def _item(place: int, pool: Pool, formula: str, weight: str, amount_fen: int) -> Item:
    return Item(
        place,
        f"{SHARED}.{pool.id}",
        pool.name,
        pool.name_en,
        weight,
        "m2",
        "",
        amount_fen,
        formula.format(weight),
    )
