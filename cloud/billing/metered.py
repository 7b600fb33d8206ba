"""The metered part of a bill run: what households used, rated by their tariffs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from cloud.billing import repository
from cloud.billing.billed import Billed
from cloud.billing.cycles import Days, days_of
from cloud.billing.drafts import Draft, Held, Use
from cloud.billing.evidence_parts import parts_of
from cloud.billing.rated_drafts import Segment, draft_of
from cloud.billing.repository import Household, ServiceEntry
from cloud.billing.tariff_book import Chosen, TariffBook
from cloud.billing.uses import closing_of, use_of
from cloud.metering import repository as meters
from cloud.metering import service as metering
from cloud.metering.accounts import AccountError, AccountShare
from cloud.metering.accounts import parts_of as shared_among
from cloud.metering.registers import Consumption, RegisterError, sum_of
from cloud.metering.repository import MeterPoint
from cloud.metering.service import MeterUse, Wanted
from cloud.metering.true_up import Closing
from cloud.tariffs.allowances import tier_period_start
from cloud.tariffs.files import TariffRefusedError
from cloud.tariffs.rating import RatingError, rate_by
from cloud.tariffs.tariff import Tariff
from cloud.tariffs.usage import SupplierInvoice, Usage, UsageInterval

Uses = Mapping[Wanted, MeterUse | RegisterError]
_REASONS = (RatingError, RegisterError, TariffRefusedError, AccountError)


@dataclass
class MeteredDrafts:
    """What the meters of households come to; `uses` is of meter points they have to themselves."""

    drafts: list[Draft] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    uses: dict[str, Use] = field(default_factory=dict)


@dataclass(frozen=True)
class _Meter:
    """A meter point that a household pays for; `shares` are of all who do, if there are others."""

    point: MeterPoint
    entry: ServiceEntry
    shares: tuple[AccountShare, ...]

    def mine(self, account_id: str, quantity: Decimal) -> Decimal:
        return shared_among(quantity, self.shares)[account_id] if self.shares else quantity

    def weights(self, account_id: str) -> tuple[Decimal, Decimal]:
        mine = sum_of([each.weight for each in self.shares if each.account_id == account_id])
        return mine, sum_of([each.weight for each in self.shares])


@dataclass(frozen=True)
class _Charge:
    """What a household is billed of one service: its meters, and its days by tariff version."""

    home: Household
    service: str
    meters: tuple[_Meter, ...]
    segments: tuple[tuple[Days, Chosen], ...]

    @property
    def days(self) -> Days:
        return Days(self.segments[0][0].from_on, self.segments[-1][0].to_on)


def metered_drafts(
    connection: Connection,
    book: TariffBook,
    homes: Mapping[str, Household],
    billed: Billed,
    *,
    period: str,
    zone: ZoneInfo,
    pending: Mapping[str, Sequence[Closing]] | None = None,
) -> MeteredDrafts:
    """Rate what households used in a period; what cannot be billed is held.

    `pending` are the closings of drafts of earlier periods, by meter point.
    """
    days = days_of(period)
    return _Rating(connection, book, homes, billed, period, days, zone, pending or {}).draw()


@dataclass
class _Rating:
    connection: Connection
    book: TariffBook
    homes: Mapping[str, Household]
    billed: Billed
    period: str
    days: Days
    zone: ZoneInfo
    pending: Mapping[str, Sequence[Closing]]
    done: MeteredDrafts = field(default_factory=MeteredDrafts)
    # by master: many hang behind one
    invoices: dict[str, SupplierInvoice | None] = field(default_factory=dict)

    def draw(self) -> MeteredDrafts:
        charges: list[_Charge] = []
        for home, service, some in self._meters():
            try:
                charges.append(self._charge(home, service, some))
            except _REASONS as error:
                self._hold(home, some, error)
        # all at once: reads come by the hundred meters
        wanted = dict.fromkeys(each for charge in charges for each in self._wanted(charge))
        uses = metering.uses(self.connection, list(wanted), pending=self.pending)
        for charge in charges:
            try:
                self.done.drafts.append(self._draft(charge, uses))
            except _REASONS as error:
                self._hold(charge.home, charge.meters, error)
                continue
            self._keep_uses(charge, uses)
        return self.done

    def _meters(self) -> Iterator[tuple[Household, str, tuple[_Meter, ...]]]:
        # meters that no tariff bills yet are only measured
        by_premise: dict[str, list[str]] = {}
        for home in self.homes.values():
            by_premise.setdefault(home.premise_id, []).append(home.account_id)
        span = metering.days(*self.days, self.zone)
        points, shares = meters.owners_of(
            self.connection, list(self.homes), list(by_premise), span.end_us - 1
        )
        entries = repository.services_of(self.connection, [point.id for point in points])
        found: dict[tuple[str, str], list[_Meter]] = {}
        for point in points:
            entry = entries.get(point.id)
            if entry is None or entry.cutover_on > self.days.from_on:
                continue
            owned = tuple(shares.get(point.id, ()))
            names = [share.account_id for share in owned]
            for name in names or by_premise.get(point.premise_id or "", []):
                if name in self.homes:
                    meter = _Meter(point, entry, owned)
                    found.setdefault((name, point.service), []).append(meter)
        for (name, service), some in sorted(found.items()):
            yield self.homes[name], service, tuple(some)

    def _charge(self, home: Household, service: str, some: tuple[_Meter, ...]) -> _Charge:
        tariffs = sorted({meter.entry.tariff_id for meter in some})
        if len(tariffs) > 1:
            message = (
                f"the meters of {service} are billed by {', '.join(tariffs)}: allowed is one"
                " tariff for all meters of an account's service"
            )
            raise TariffRefusedError(message)
        held = Days(
            max(self.days.from_on, home.days.from_on), min(self.days.to_on, home.days.to_on)
        )
        segments = []
        for days in self.book.segments(tariffs[0], held):
            for supply in sorted({meter.point.supply for meter in some}):
                chosen = self.book.choose(tariffs[0], supply, on=days.from_on)
            segments.append((days, chosen))
        return _Charge(home, service, some, tuple(segments))

    def _wanted(self, charge: _Charge) -> Iterator[Wanted]:
        for days, chosen in charge.segments:
            for meter in charge.meters:
                yield self._one(meter, days, chosen.tariff)

    def _one(self, meter: _Meter, days: Days, tariff: Tariff) -> Wanted:
        return Wanted(
            meter.point.id,
            metering.days(*days, self.zone),
            estimate_end=tariff.missing_end == "estimate",
            by_hour=tariff.time_of_use is not None,
        )

    def _draft(self, charge: _Charge, uses: Uses) -> Draft:
        home, service = charge.home, charge.service
        carried = self.billed.carried(home.account_id, service, before=charge.days.from_on)
        rated: list[Segment] = []
        for days, chosen in charge.segments:
            tariff = chosen.tariff
            found = {meter: _known(uses, self._one(meter, days, tariff)) for meter in charge.meters}
            quantity = sum_of(
                [
                    meter.mine(home.account_id, use.consumption.quantity)
                    for meter, use in found.items()
                ]
            )
            by_time = tariff.time_of_use is not None
            usage = Usage(
                from_on=days.from_on,
                to_on=days.to_on,
                quantity=None if by_time else quantity,
                intervals=_intervals(home, found) if by_time else None,
                used_before=self._used_before(charge, tariff, days.from_on, rated),
                carried_before=carried,
                held_from=home.held_from,
                premise=home.facts,
                invoice=self._invoice(charge) if tariff.price_source == "invoice" else None,
            )
            done = rate_by(chosen.plan, usage)
            carried = done.carried_quantity
            parts = {meter.point.id: use.consumption for meter, use in found.items()}
            estimated = any(each.estimated for each in parts.values())
            shares = {
                meter.point.id: meter.weights(home.account_id)
                for meter in charge.meters
                if len(meter.shares) > 1
            }
            rated.append(Segment(chosen, usage, done, quantity, parts_of(parts), estimated, shares))
        span = metering.days(*charge.days, self.zone)
        closings = [
            closing_of(meter.point.id, span, self._consumptions(charge, meter, uses))
            for meter in charge.meters
            # of those who share a meter one closes its span
            if home.account_id == min([s.account_id for s in meter.shares] or [home.account_id])
        ]
        return draft_of(home, service, self.period, rated, closings=closings)

    def _used_before(
        self, charge: _Charge, tariff: Tariff, from_on: date, rated: Sequence[Segment]
    ) -> Decimal:
        home, since = charge.home, tier_period_start(tariff, from_on)
        before = self.billed.used(
            home.account_id, charge.service, since=since, before=charge.days.from_on
        )
        here = [
            segment.quantity
            for segment in rated
            if segment.quantity is not None and segment.usage.from_on >= since
        ]
        return sum_of([before, *here])

    def _invoice(self, charge: _Charge) -> SupplierInvoice | None:
        masters = {meter.point.parent_id for meter in charge.meters}
        if len(masters) > 1:
            message = f"invoice: the meters hang behind {len(masters)} masters: allowed is one"
            raise RatingError(message)
        master = masters.pop()
        if master is None:
            return None
        if master not in self.invoices:
            found = repository.invoices_of(self.connection, [master], self.period)
            self.invoices[master] = found.get(master)
        return self.invoices[master]

    def _consumptions(self, charge: _Charge, meter: _Meter, uses: Uses) -> list[Consumption]:
        return [
            _known(uses, self._one(meter, days, chosen.tariff)).consumption
            for days, chosen in charge.segments
        ]

    def _keep_uses(self, charge: _Charge, uses: Uses) -> None:
        if charge.days != self.days:
            return
        span = metering.days(*self.days, self.zone)
        for meter in charge.meters:
            if not meter.shares:
                found = self._consumptions(charge, meter, uses)
                self.done.uses[meter.point.id] = use_of(meter.point.id, span, found)

    def _hold(self, home: Household, some: Sequence[_Meter], error: Exception) -> None:
        for meter in some:
            self.done.held.append(
                Held(
                    meter.point.id,
                    str(error),
                    meter_point_id=meter.point.id,
                    account_id=home.account_id,
                    service=meter.point.service,
                )
            )


def _intervals(home: Household, found: Mapping[_Meter, MeterUse]) -> tuple[UsageInterval, ...]:
    # a meter that was swapped within an hour has two parts of it; several meters add up
    hours: dict[datetime, list[UsageInterval]] = {}
    for meter, use in found.items():
        mine = use.hours
        if meter.shares:
            quantity = meter.mine(home.account_id, use.consumption.quantity)
            mine = tuple(metering.spread(mine, quantity))
        for hour in mine:
            whole = hour.start_at.replace(minute=0, second=0, microsecond=0)
            interval = UsageInterval(hour.start_at, hour.end_at, hour.quantity)
            hours.setdefault(whole, []).append(interval)
    return tuple(
        UsageInterval(
            min(part.start_at for part in parts),
            max(part.end_at for part in parts),
            sum_of([part.quantity for part in parts]),
        )
        for _, parts in sorted(hours.items())
    )


def _known(uses: Uses, wanted: Wanted) -> MeterUse:
    use = uses[wanted]
    if isinstance(use, RegisterError):
        raise use
    return use
