"""What a bill run works out: bills of a period, or of periods that were billed before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from cloud.billing import bill_repository, pool_repository, repository
from cloud.billing.bill_repository import Standing
from cloud.billing.billed import Billed
from cloud.billing.cycles import days_of, next_month
from cloud.billing.drafts import Draft, Drafted, Held, Key, Reversal, Use
from cloud.billing.estates import estate_of
from cloud.billing.metered import metered_drafts
from cloud.billing.pool_bills import SHARED, shared_drafts
from cloud.billing.pools import share_pools
from cloud.billing.recurring import recurring_drafts
from cloud.billing.tariff_book import TariffBook
from cloud.discounts import repository as discounts
from cloud.discounts.lowering import grants_in
from cloud.discounts.plans import Grant
from cloud.metering.true_up import Closing

# no tier period, and no cycle of a charge, is longer
_LOOK_BACK = timedelta(days=366)


@dataclass
class Drawn:
    """Drafts in the order in which they are posted, what is held, by period, and meters' uses."""

    drafts: list[Drafted] = field(default_factory=list)
    held: dict[str, list[Held]] = field(default_factory=dict)
    uses: dict[str, Use] = field(default_factory=dict)


class Drawing:
    """Works out bills of a project; posts nothing."""

    def __init__(
        self, connection: Connection, book: TariffBook, project_id: str, zone: ZoneInfo
    ) -> None:
        self.book = book
        self._connection = connection
        self._project_id = project_id
        self._zone = zone

    def accounts(self, names: Sequence[str], first: str, last: str) -> Drawn:
        """Bill the periods first .. last of accounts, in their order.

        What was billed before and comes out otherwise is taken back and billed anew, so that later
        annual tiers follow. Left alone are shares of pools, single charges, and what is held now.
        """
        granted = discounts.grants_of(self._connection, self._project_id, names)
        some = _Accounts(self._connection, self.book, self._zone, names, first, granted)
        return some.draw(first, last)

    def pools(self, period: str, uses: Callable[[], Mapping[str, Use]]) -> Drawn:
        """Share the pools of a period, from what its accounts used; asked only if there are any."""
        drawn = Drawn()
        every = pool_repository.pools_of(self._connection, self._project_id)
        pools = [pool for pool in every if pool.is_on]
        if pools:
            estate, held = estate_of(
                self._connection, self._project_id, pools, uses(), period=period, zone=self._zone
            )
            sheets, waiting = share_pools(self.book, pools, estate)
            drawn.drafts = [*sheets, *shared_drafts(pools, sheets, estate)]
            drawn.held[period] = [*held, *waiting]
        return drawn


class _Accounts:
    """Some accounts, period after period."""

    def __init__(
        self,
        connection: Connection,
        book: TariffBook,
        zone: ZoneInfo,
        names: Sequence[str],
        first: str,
        granted: Mapping[str, Sequence[Grant]],
    ) -> None:
        self._connection = connection
        self._book = book
        self._zone = zone
        self._names = names
        self._granted = granted
        since = days_of(first).from_on - _LOOK_BACK
        homes = repository.households(connection, names)
        continued = repository.continued(connection, homes.values())
        before = [name for chain in continued.values() for name in chain]
        standing = bill_repository.standing(connection, [*names, *before], since=since)
        self._homes = homes
        self._standing = [bill for bill in standing if bill.account_id in homes]
        openings = repository.opening_uses_of(connection, [*names, *before])
        self._billed = Billed(standing, openings=openings, continued=continued)
        self._terms = repository.terms_of(connection, names)
        self._pending: dict[str, list[Closing]] = {}

    def draw(self, first: str, last: str) -> Drawn:
        drawn = Drawn()
        for period in periods_of(first, last):
            days = days_of(period)
            homes = {
                name: home
                for name, home in self._homes.items()
                if home.days.from_on < days.to_on and home.days.to_on > days.from_on
            }
            held = {
                bill.key: bill
                for bill in self._standing
                if bill.period == period and not bill.part and bill.service != SHARED
            }
            for key in held:
                self._billed.forget(key)
            metered = metered_drafts(
                self._connection,
                self._book,
                homes,
                self._billed,
                period=period,
                zone=self._zone,
                pending=self._pending,
            )
            terms = [term for term in self._terms if term.account_id in homes]
            ids = [bill.id for bill in held.values()]
            posted = bill_repository.drafts_of(self._connection, ids)
            recurring, waiting = recurring_drafts(
                self._book,
                homes,
                terms,
                self._billed,
                period=period,
                granted=self._granted,
                # a bill that is made anew keeps the discounts that it was posted with
                kept={(each.account_id, each.service): grants_in(each) for each in posted.values()},
            )
            drawn.uses |= metered.uses
            drawn.held[period] = [*metered.held, *waiting]
            fresh = {draft.key: draft for draft in (*metered.drafts, *recurring)}
            drawn.drafts += self._decide(period, held, fresh, drawn.held[period], posted=posted)
        return drawn

    def _decide(
        self,
        period: str,
        held: Mapping[Key, Standing],
        fresh: Mapping[Key, Draft],
        waiting: Sequence[Held],
        *,
        posted: Mapping[str, Draft],
    ) -> list[Drafted]:
        revisions = bill_repository.last_revisions(self._connection, self._names, period)
        unknown = {Key(each.account_id or "", each.service, period) for each in waiting}
        found: list[Drafted] = []
        for key in sorted({*held, *fresh}):
            bill, draft = held.get(key), fresh.get(key)
            if bill is not None:
                before = posted[bill.id]
                if key in unknown if draft is None else is_same(before, draft):
                    self._billed.add(before)
                    continue
                found.append(_reversal(bill))
            if draft is not None:
                draft = msgspec.structs.replace(draft, revision=revisions.get(key, 0) + 1)
                found.append(draft)
                self._billed.add(draft)
                self._await(draft)
        return found

    def _await(self, draft: Draft) -> None:
        for each in draft.closings:
            closing = Closing(
                each.start_us, each.end_us, draft.revision, Decimal(each.quantity), each.is_open
            )
            self._pending.setdefault(each.meter_point_id, []).append(closing)


def periods_of(first: str, last: str) -> list[str]:
    """Return the periods first .. last."""
    found, day = [], days_of(first).from_on
    while (period := f"{day:%Y-%m}") <= last:
        found.append(period)
        day = next_month(day)
    return found


def is_same(before: Draft, now: Draft) -> bool:
    """Say whether a bill would be posted as it was before."""
    names = ("from_on", "to_on", "tariff_hash", "quantity", "total_fen", "items")
    return all(getattr(before, name) == getattr(now, name) for name in names)


def _reversal(bill: Standing) -> Reversal:
    return Reversal(bill.id, bill.account_id, bill.service, bill.period, bill.total_fen)
