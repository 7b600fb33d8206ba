"""What may be done with an account's money; each act is one transaction of its caller."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from cloud.errors import RefusedError
from cloud.ledger import entries as books
from cloud.ledger import repository
from cloud.ledger.accounts import Standing, standing
from cloud.ledger.entries import Book, Charge, Entry, Kind
from cloud.ledger.matching import settle
from cloud.ledger.repository import Entered, Fresh, Stamp
from cloud.money import fen_to_yuan
from cloud.sites.zones import local_day

CHANNELS = ("cash", "bank", "pos", "wechat", "alipay", "online")
RECEIPT = "receipt"
_WORDS = {Book.PREPAID: "prepaid", Book.DEPOSIT: "deposited"}


@dataclass(frozen=True)
class Teller:
    """Who acts, in which project, and at what time."""

    project_id: str
    by: str
    now_us: int

    @classmethod
    def now(cls, project_id: str, by: str) -> "Teller":
        """Return somebody who acts at this moment."""
        return cls(project_id, by, time.time_ns() // 1000)


def post_bills(
    connection: Connection, teller: Teller, charges: Mapping[str, tuple[str, Charge, int]]
) -> None:
    """Enter bills into the books: bill id -> (account, charge, fen); a credit note is below 0.

    What a credit note leaves paid beyond its charge is prepaid again.
    """
    fresh = [
        Fresh(
            account_id,
            books.charged(Kind.BILL if fen > 0 else Kind.CREDIT_NOTE, [(charge, fen)]),
            key=f"bill:{bill_id}",
            request="",
            counts_as=Kind.BILL if fen > 0 else Kind.CREDIT_NOTE,
        )
        for bill_id, (account_id, charge, fen) in charges.items()
        if fen
    ]
    stamp = stamp_of(connection, teller)
    repository.add_entries(connection, stamp, fresh)
    for account_id in sorted({account for account, _, fen in charges.values() if fen < 0}):
        repository.account(connection, teller.project_id, account_id, lock=True)
        repository.add_entries(connection, stamp, _overpaid(connection, account_id, teller))


def standing_of(connection: Connection, project_id: str, account_id: str) -> Standing:
    """Return what an account owes and owns; NotFoundError."""
    repository.account(connection, project_id, account_id)
    return _standing(connection, account_id)


def pay(
    connection: Connection,
    teller: Teller,
    account_id: str,
    *,
    amount_fen: int,
    channel: str,
    key: str,
    items: Sequence[str] | None = None,
) -> Entered:
    """Take a payment: the oldest charges first within an item, the rest becomes prepaid.

    The same key and request give the same receipt again; RefusedError for another request.
    """
    _check_channel(channel)

    def make() -> Entry:
        owed = _standing(connection, account_id).open_fen()
        return books.paid(channel, amount_fen, settle(amount_fen, owed, items=items))

    request = {"amount": amount_fen, "channel": channel, "items": items}
    return _once(connection, teller, account_id, key=key, request=request, make=make)


def take_deposit(
    connection: Connection,
    teller: Teller,
    account_id: str,
    *,
    amount_fen: int,
    channel: str,
    key: str,
) -> Entered:
    """Take a deposit 押金; see `pay` for the key."""
    _check_channel(channel)
    request = {"deposit": amount_fen, "channel": channel}
    return _once(
        connection,
        teller,
        account_id,
        key=key,
        request=request,
        make=lambda: books.deposited(channel, amount_fen),
    )


def offset(
    connection: Connection,
    teller: Teller,
    account_id: str,
    *,
    book: Book,
    key: str,
    items: Sequence[str] | None = None,
) -> Entered:
    """Settle charges from what is prepaid or deposited 冲抵; RefusedError if there is nothing."""

    def make() -> Entry:
        held = _standing(connection, account_id)
        owned = held.owned_fen(book)
        settled = settle(owned, held.open_fen(), items=items)
        if not settled:
            message = f"nothing to offset: {fen_to_yuan(owned)} are {_WORDS[book]}"
            raise RefusedError(message)
        return books.offset(book, settled)

    request = {"offset": book, "items": items}
    return _once(connection, teller, account_id, key=key, request=request, make=make)


def refund(
    connection: Connection,
    teller: Teller,
    account_id: str,
    *,
    book: Book,
    amount_fen: int,
    channel: str,
    key: str,
) -> Entered:
    """Give back what is prepaid or deposited; RefusedError for more than that."""
    _check_channel(channel)

    def make() -> Entry:
        held = _standing(connection, account_id)
        owned = held.owned_fen(book)
        if amount_fen > owned:
            message = (
                f"amount {fen_to_yuan(amount_fen)}: allowed is up to {fen_to_yuan(owned)},"
                f" what is {_WORDS[book]}"
            )
            raise RefusedError(message)
        return books.refunded(book, channel, amount_fen)

    request = {"refund": amount_fen, "channel": channel, "book": book}
    return _once(connection, teller, account_id, key=key, request=request, make=make)


def relieve(
    connection: Connection,
    teller: Teller,
    account_id: str,
    *,
    charge: Charge,
    amount_fen: int,
    key: str,
) -> Entered:
    """Forgive a part of what is owed 减免; RefusedError for more than that."""

    def make() -> Entry:
        owed = _standing(connection, account_id).open_fen().get(charge, 0)
        if amount_fen > owed:
            message = (
                f"amount {fen_to_yuan(amount_fen)}: allowed is up to {fen_to_yuan(owed)},"
                f" what is owed for {charge.item} of {charge.period}"
            )
            raise RefusedError(message)
        return books.relieved([(charge, amount_fen)])

    request = {"relief": amount_fen, "charge": [charge.period, charge.item, charge.late]}
    return _once(connection, teller, account_id, key=key, request=request, make=make)


def void(
    connection: Connection, teller: Teller, account_id: str, *, entry_id: int, key: str
) -> Entered:
    """Undo a payment, an offset, a deposit, a refund or a relief 作废; RefusedError otherwise."""
    repository.account(connection, teller.project_id, account_id, lock=True)
    undone = repository.entry(connection, teller.project_id, entry_id)
    request = {"void": entry_id}
    if (held := _held(connection, teller, key, request)) is not None:
        return held
    if undone.account_id != account_id or undone.entry.kind in books.CHARGING | {Kind.VOID}:
        message = f"entry {entry_id} ({undone.entry.kind}) cannot be voided"
        raise RefusedError(message)
    if repository.reversal_of(connection, entry_id) is not None:
        message = f"entry {entry_id} was voided before"
        raise RefusedError(message)
    made = books.reversed_entry(undone.entry)
    after = _standing(connection, account_id)
    for book, word in _WORDS.items():
        if after.owned_fen(book) - made.of(book) < 0:
            message = f"entry {entry_id}: what was {word} by it is used already"
            raise RefusedError(message)
    fresh = Fresh(
        account_id,
        made,
        key=key,
        request=_digest(request),
        counts_as=undone.counts_as,
        reverses=entry_id,
        number=_receipt(connection, teller.project_id),
    )
    return _enter(connection, teller, fresh)


def stamp_of(connection: Connection, teller: Teller) -> Stamp:
    """Return whose books are written by whom, and on which local day."""
    today = local_day(connection, teller.project_id, teller.now_us)
    return Stamp(teller.project_id, today, teller.now_us, teller.by)


def _once(
    connection: Connection,
    teller: Teller,
    account_id: str,
    *,
    key: str,
    request: Mapping[str, object],
    make: Callable[[], Entry],
) -> Entered:
    # one lock per account across all channels; then nobody else can have used the key meanwhile
    repository.account(connection, teller.project_id, account_id, lock=True)
    if (held := _held(connection, teller, key, {**request, "account": account_id})) is not None:
        return held
    try:
        made = make()
    except ValueError as error:
        raise RefusedError(str(error)) from error
    fresh = Fresh(
        account_id,
        made,
        key=key,
        request=_digest({**request, "account": account_id}),
        counts_as=made.kind,
        number=_receipt(connection, teller.project_id),
    )
    return _enter(connection, teller, fresh)


def _held(
    connection: Connection, teller: Teller, key: str, request: Mapping[str, object]
) -> Entered | None:
    held = repository.entry_of_key(connection, teller.project_id, key)
    if held is not None and held.request != _digest(request):
        message = f"key {key!r} was used for something else: allowed is a new key"
        raise RefusedError(message)
    return held


def _overpaid(connection: Connection, account_id: str, teller: Teller) -> list[Fresh]:
    # what a credit note leaves settled beyond the charge: paid or offset, it is the payer's own
    fresh: list[Fresh] = []
    for each in _standing(connection, account_id).statements:
        rest_fen = -each.owed_fen
        for kind, settled_fen, book in (
            (Kind.PAYMENT, each.received_fen, Book.PREPAID),
            (Kind.OFFSET, each.offset_fen, Book.PREPAID),
            (Kind.RELIEF, each.relieved_fen, Book.RELIEF),
        ):
            part_fen = min(rest_fen, settled_fen)
            if part_fen > 0:
                rest_fen -= part_fen
                charge = each.charge
                name = f"{charge.period}:{charge.item}:{int(charge.late)}"
                fresh.append(
                    Fresh(
                        account_id,
                        books.transferred(charge, part_fen, book=book),
                        key=f"transfer:{account_id}:{name}:{kind}:{teller.now_us}",
                        request="",
                        counts_as=kind,
                    )
                )
    return fresh


def _enter(connection: Connection, teller: Teller, fresh: Fresh) -> Entered:
    (identity,) = repository.add_entries(connection, stamp_of(connection, teller), [fresh])
    return repository.entry(connection, teller.project_id, identity)


def _standing(connection: Connection, account_id: str) -> Standing:
    entered = repository.entries_of(connection, account_id)
    return standing((item.entry, item.counts_as) for item in entered)


def _receipt(connection: Connection, project_id: str) -> str:
    return f"R{repository.next_numbers(connection, project_id, RECEIPT):08d}"


def _check_channel(channel: str) -> None:
    if channel not in CHANNELS:
        message = f"channel {channel!r}: allowed are {', '.join(CHANNELS)}"
        raise RefusedError(message)


def _digest(request: Mapping[str, object]) -> str:
    text = json.dumps(request, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
