"""Documents out of the database: bills, receipts, dunning letters and public sheets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from cloud.billing.evidence import BillEvidence, PartEvidence, evidence_of
from cloud.config import Settings
from cloud.errors import NotFoundError, RefusedError
from cloud.ledger import repository, service
from cloud.ledger.entries import Book, Charge
from cloud.ledger.repository import Entered
from cloud.printing import words
from cloud.printing.documents import (
    Bill,
    BillLine,
    DunningLetter,
    Home,
    Office,
    Owed,
    PublicSheet,
    Receipt,
    Register,
    Settled,
    SheetExempt,
    SheetMeter,
    SheetShare,
)
from cloud.sites.tables import buildings, premises, projects
from cloud.web import bill_queries as queries
from cloud.web import sheet_queries
from cloud.web.bill_queries import BillRow, LineItem
from cloud.web.bill_view import TariffFace, open_items, tariff_face
from protocols.delivery.records import instant


@dataclass(frozen=True)
class Desk:
    """Where documents of a project come from, and what the settings say of them."""

    project_id: str
    settings: Settings


def bill(connection: Connection, desk: Desk, bill_id: str) -> Bill:
    """Return a bill to print; NotFoundError, RefusedError where its lines do not add up."""
    row = queries.bill_of(connection, desk.project_id, bill_id)
    evidence = evidence_of(connection, bill_id)
    items = queries.items_of(connection, bill_id)
    total_fen = sum(item.amount_fen for item in items)
    if total_fen != row.total_fen:
        msg = f"bill {bill_id}: its lines add up to {total_fen} fen, its total is {row.total_fen}"
        raise RefusedError(msg)
    zone, office = _office(connection, desk)
    posted_on = instant(row.posted_us).astimezone(zone).date()
    tariff = tariff_face(evidence.tariff_text)
    return Bill(
        office=office,
        home=Home(row.holder, row.building_name, row.premise_name),
        id=row.number,
        service=words.service(row.service),
        period=row.period,
        revision=row.revision,
        posted_on=posted_on,
        due_on=posted_on + timedelta(days=desk.settings.bill_due_days) if total_fen > 0 else None,
        registers=_registers(items, evidence, zone),
        lines=tuple(_line(item) for item in items),
        total_fen=total_fen,
        tariff="" if tariff is None else f"{tariff.name}（{tariff.id} {tariff.version}）",
        notes=_notes(row, items, evidence, tariff),
        evidence_url=f"{desk.settings.address}/bills/{quote(row.id)}",
    )


def receipt(connection: Connection, desk: Desk, account_id: str, entry_id: int) -> Receipt:
    """Return the receipt of an entry that has a number; NotFoundError for any other."""
    held = repository.entry(connection, desk.project_id, entry_id)
    if (
        held.account_id != account_id
        or held.number is None
        or held.entry.kind not in words.RECEIPTS
    ):
        msg = f"account {account_id}: entry {entry_id} has no receipt"
        raise NotFoundError(msg)
    zone, office = _office(connection, desk)
    undone = repository.reversal_of(connection, entry_id)
    voided_on = (
        None if undone is None else repository.entry(connection, desk.project_id, undone).entered_on
    )
    lines = _settled(held)
    return Receipt(
        office=office,
        home=_home(connection, desk.project_id, account_id),
        title=words.RECEIPTS[held.entry.kind],
        number=held.number,
        entered_at=f"{instant(held.entered_us).astimezone(zone):%Y-%m-%d %H:%M}",
        channel="、".join(
            words.CHANNELS.get(line.channel, line.channel)
            for line in held.entry.lines
            if line.book is Book.CASH
        ),
        lines=lines,
        total_fen=sum(line.amount_fen for line in lines),
        entered_by=words.ACTORS.get(held.entered_by, held.entered_by),
        note=held.note,
        voided_on=voided_on,
    )


def dunning_letter(
    connection: Connection, desk: Desk, account_id: str, *, letter_on: date
) -> DunningLetter:
    """Return a letter for all that an account owes; RefusedError where it owes nothing."""
    standing = service.standing_of(connection, desk.project_id, account_id)
    lines = tuple(
        Owed(
            _item(each.charge),
            each.charge.period,
            each.charged_fen,
            each.charged_fen - each.owed_fen,
            each.owed_fen,
        )
        for each in standing.statements
        if each.owed_fen > 0
    )
    if not lines:
        msg = f"account {account_id}: nothing is owed; allowed is a letter for what is"
        raise RefusedError(msg)
    _, office = _office(connection, desk)
    return DunningLetter(
        office=office,
        home=_home(connection, desk.project_id, account_id),
        account=account_id,
        letter_on=letter_on,
        due_on=letter_on + timedelta(days=desk.settings.dunning_days),
        lines=lines,
        prepaid_fen=standing.prepaid_fen,
    )


def public_sheet(connection: Connection, desk: Desk, period: str, pool_id: str) -> PublicSheet:
    """Return a pool's public sheet of a period; NotFoundError."""
    found = sheet_queries.statements_of(connection, desk.project_id, period)
    for held in found:
        if held.pool_id == pool_id:
            break
    else:
        msg = f"pool {pool_id!r} has no public sheet of {period}"
        raise NotFoundError(msg)
    _, office = _office(connection, desk)
    return PublicSheet(
        office=office,
        name=held.name,
        kind=words.POOL_KINDS.get(held.kind, held.kind),
        building=words.scope(held.level, held.building_name, held.entrance),
        period=period,
        master_name=held.master_name,
        uom=words.uom(held.uom),
        master=_number(held.master),
        subs=_number(held.subs),
        public=_number(held.public),
        loss=_number(held.loss),
        carried_in=_number(held.carried_in) if Decimal(held.carried_in) else "",
        corrected=_number(held.corrected) if Decimal(held.corrected) else "",
        charged=_number(held.charged),
        above_cap=_number(held.above_cap) if held.is_above_cap else "",
        carried_out=_number(held.carried_out) if held.is_carried else "",
        unit_price=held.unit_price,
        resolution=held.resolution or "",
        cap_percent=held.cap_percent or "",
        by=words.by(held.by, held.formula, is_fallback=held.is_fallback),
        weight=words.weight(held.by, held.weight_uom),
        total_fen=held.total_fen,
        shares=tuple(
            SheetShare(share.premise_name, Decimal(share.weight), share.amount_fen)
            for share in held.shares
        ),
        exempt=tuple(
            SheetExempt(
                each.premise_name,
                words.EXEMPTIONS.get(each.reason, each.reason),
                words.BEARERS.get(each.borne_by, each.borne_by),
                each.amount_fen,
            )
            for each in held.exempt
        ),
        company_fen=held.company_fen,
        company_weight=held.company_weight,
        meters=tuple(SheetMeter(each.name, _number(each.quantity)) for each in held.meters),
        evidence_url=f"{desk.settings.address}/bill-sheets/{period}#{quote(pool_id)}",
    )


def _office(connection: Connection, desk: Desk) -> tuple[ZoneInfo, Office]:
    row = connection.execute(
        select(projects.c.name, projects.c.time_zone).where(projects.c.id == desk.project_id)
    ).one_or_none()
    if row is None:
        msg = f"project {desk.project_id!r} is unknown"
        raise NotFoundError(msg)
    settings = desk.settings
    means = settings.payment_means or "、".join(words.CHANNELS[each] for each in service.CHANNELS)
    return ZoneInfo(row.time_zone), Office(row.name, settings.contact, means)


def _home(connection: Connection, project_id: str, account_id: str) -> Home:
    account = repository.account(connection, project_id, account_id)
    row = connection.execute(
        select(buildings.c.name, premises.c.name)
        .join_from(premises, buildings, buildings.c.id == premises.c.building_id)
        .where(premises.c.id == account.premise_id)
    ).one()
    return Home(account.holder, row[0], row[1])


def _registers(
    items: Sequence[LineItem], evidence: BillEvidence, zone: ZoneInfo
) -> tuple[Register, ...]:
    uoms = {item.position: item.uom for item in items}
    found: dict[PartEvidence, str] = {}
    for item in evidence.items:
        for part in item.parts if item.statement is None else ():
            found.setdefault(part, uoms.get(item.position, ""))
    return tuple(_register(part, uom, zone) for part, uom in found.items())


def _register(part: PartEvidence, uom: str, zone: ZoneInfo) -> Register:
    start, end = part.start, part.end
    return Register(
        meter=part.meter_id,
        previous_on=instant(start.boundary_us).astimezone(zone).date(),
        previous=_number(Decimal(start.count).scaleb(part.exponent)),
        current_on=instant(end.boundary_us).astimezone(zone).date(),
        current=_number(Decimal(end.count).scaleb(part.exponent)),
        multiplier=f"{part.multiplier.normalize():f}",
        quantity=_number(part.quantity),
        uom=words.uom(uom),
        is_estimated=start.estimated or end.estimated,
    )


def _line(item: LineItem) -> BillLine:
    # 电费 第1档 峰时: what it is, and of which tier, period and season
    name, _, of = item.description.partition(" ")
    uom = "·".join(words.uom(part) for part in item.uom.split("·"))
    formula = "" if item.unit_price else item.formula.replace(" x ", " × ")
    return BillLine(
        name, of, _number(item.quantity), uom, item.unit_price, item.amount_fen, formula
    )


def _notes(
    row: BillRow, items: Sequence[LineItem], evidence: BillEvidence, tariff: TariffFace | None
) -> tuple[str, ...]:
    said = (
        (row.estimated, words.ESTIMATED),
        (open_items(items, evidence).time_uncertain, words.TIME_UNCERTAIN),
        (tariff is not None and not tariff.verified, words.UNVERIFIED),
        (row.revision > 1, words.REVISED),
        (row.credit_number is not None, f"{words.TAKEN_BACK}{row.credit_number}"),
    )
    return tuple(text for is_so, text in said if is_so)


def _settled(held: Entered) -> tuple[Settled, ...]:
    # what stands against the money: all lines of one side, shown above 0
    lines = [line for line in held.entry.lines if line.book is not Book.CASH]
    if len(lines) == len(held.entry.lines):
        lines = [line for line in lines if line.book is Book.RECEIVABLE]
    sign = -1 if sum(line.amount_fen for line in lines) < 0 else 1
    return tuple(
        Settled(
            words.BOOKS.get(line.book, line.book) if line.charge is None else _item(line.charge),
            "" if line.charge is None else line.charge.period,
            sign * line.amount_fen,
        )
        for line in lines
    )


def _item(charge: Charge) -> str:
    return words.service(charge.item) + (f" {words.LATE}" if charge.late else "")


def _number(value: Decimal | str) -> str:
    exact = Decimal(value)
    return f"{exact:,f}"
