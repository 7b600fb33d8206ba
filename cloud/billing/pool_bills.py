"""What each household is billed of the pools 公摊 of a month (pure)."""

import json
from collections.abc import Sequence

from cloud.billing.drafts import Draft, Item, Share, Sheet
from cloud.billing.participants import Pool
from cloud.billing.pools import Estate
from cloud.billing.weights import uom_of
from cloud.money import fen_to_yuan

SHARED = "shared"


def shared_drafts(pools: Sequence[Pool], sheets: Sequence[Sheet], estate: Estate) -> list[Draft]:
    """Return each household's bill of its shares, by account."""
    by_id = {pool.id: pool for pool in pools}
    uoms = {point.id: point.uom for point in estate.points}
    shares = {
        sheet.pool_id: {share.premise_id: share for share in sheet.shares} for sheet in sheets
    }
    totals = {sheet.pool_id: sheet.weight_total for sheet in sheets}
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
                shares[sheet.pool_id][home.premise_id],
                uom=uom_of(sheet.weighed_by, uoms[by_id[sheet.pool_id].master_id]),
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


def _item(place: int, pool: Pool, formula: str, share: Share, *, uom: str) -> Item:
    return Item(
        place,
        f"{SHARED}.{pool.id}",
        pool.name,
        pool.name_en,
        share.weight,
        uom,
        "",
        share.amount_fen,
        formula.format(share.weight),
    )
