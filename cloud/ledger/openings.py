"""What an old system leaves behind 期初: read from a file, met with its totals (pure)."""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

from cloud.billing.cycles import PERIOD
from cloud.documents import DocumentError, exact_decimal
from cloud.ledger.entries import Charge
from cloud.money import fen_to_yuan, yuan_to_fen

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
COLUMNS: Final = ("account", "item", "period", "charged", "received", "prepaid", "deposit", "used")


@dataclass(frozen=True)
class OpeningCharge:
    """A charge of before: what was charged and what of it was received, in fen."""

    account_id: str
    charge: Charge
    charged_fen: int
    received_fen: int


@dataclass(frozen=True)
class Openings:
    """All that is taken over: charges, balances in fen by account, use by (account, service)."""

    charges: tuple[OpeningCharge, ...]
    prepaid_fen: Mapping[str, int]
    deposit_fen: Mapping[str, int]
    used: Mapping[tuple[str, str], Decimal]

    @property
    def accounts(self) -> list[str]:
        """Give the accounts that something is taken over of, by id."""
        named = {each.account_id for each in self.charges} | {name for name, _ in self.used}
        return sorted({*named, *self.prepaid_fen, *self.deposit_fen})

    def totals(self) -> dict[str, int]:
        """Return what must meet the old system's word: receivable by item, prepaid, deposit."""
        sums: dict[str, int] = defaultdict(int)
        for each in self.charges:
            sums[f"receivable.{each.charge.item}"] += each.charged_fen - each.received_fen
        sums["prepaid"] = sum(self.prepaid_fen.values())
        sums["deposit"] = sum(self.deposit_fen.values())
        return dict(sums)

    def check(self, said: Mapping[str, int], *, name: str) -> None:
        """Refuse totals that are not met: DocumentError with one line for each."""
        ours = self.totals()
        faults = [
            f"{name}: {key}: {fen_to_yuan(said.get(key, 0))} is said,"
            f" the rows add up to {fen_to_yuan(ours.get(key, 0))}"
            for key in sorted({*ours, *said})
            if ours.get(key, 0) != said.get(key, 0)
        ]
        if faults:
            raise DocumentError(*faults)


def parse_openings(text: str, *, name: str) -> Openings:
    """Read openings from CSV with a header line; DocumentError with one line per fault.

    A row is either a charge (item, period, charged, received), or what is prepaid, deposited or
    used so far (`used` of the service named by item); amounts are yuan with two decimals.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    header = reader.fieldnames or []
    if odd := sorted({*header} ^ {*COLUMNS}):
        msg = f"{name}: line 1: columns {', '.join(odd)}: allowed are exactly {', '.join(COLUMNS)}"
        raise DocumentError(msg)
    gathered = _Gathered(name)
    for number, row in enumerate(reader, start=2):
        gathered.add(number, {key: (row[key] or "").strip() for key in COLUMNS})
    if gathered.faults:
        raise DocumentError(*gathered.faults)
    return Openings(
        tuple(gathered.charges[key] for key in sorted(gathered.charges)),
        dict(gathered.balances["prepaid"]),
        dict(gathered.balances["deposit"]),
        gathered.used,
    )


def parse_totals(document: object, *, name: str) -> dict[str, int]:
    """Read {"receivable": {item: yuan}, "prepaid": yuan, "deposit": yuan}; DocumentError."""
    if not isinstance(document, dict) or document.keys() - {"receivable", "prepaid", "deposit"}:
        msg = f"{name}: allowed is an object with receivable, prepaid and deposit"
        raise DocumentError(msg)
    items = document.get("receivable", {})
    if not isinstance(items, dict):
        msg = f"{name}: receivable: allowed is an object {{item: yuan}}"
        raise DocumentError(msg)
    said = {f"receivable.{item}": value for item, value in items.items()}
    said |= {key: document.get(key, "0.00") for key in ("prepaid", "deposit")}
    totals: dict[str, int] = {}
    for key, value in said.items():
        try:
            totals[key] = yuan_to_fen(str(value))
        except ValueError as error:
            msg = f"{name}: {key}: {error}"
            raise DocumentError(msg) from None
    return totals


class _Gathered:
    """The rows of a file as they are read, and what is wrong with them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.faults: list[str] = []
        self.charges: dict[tuple[str, Charge], OpeningCharge] = {}
        self.balances: dict[str, dict[str, int]] = {"prepaid": {}, "deposit": {}}
        self.used: dict[tuple[str, str], Decimal] = {}

    def add(self, number: int, row: Mapping[str, str]) -> None:
        try:
            self._add(row)
        except ValueError as error:
            self.faults.append(f"{self._name}: line {number}: {error}")

    def _add(self, row: Mapping[str, str]) -> None:
        account = row["account"]
        if not account:
            msg = "account: '': allowed is an account's id"
            raise ValueError(msg)
        kinds = [key for key in ("charged", "prepaid", "deposit", "used") if row[key]]
        if len(kinds) != 1:
            msg = (
                f"{', '.join(kinds) or 'nothing'} is given: allowed is exactly one of charged,"
                " prepaid, deposit and used"
            )
            raise ValueError(msg)
        if kinds == ["charged"]:
            self._charge(account, row)
        elif kinds == ["used"]:
            self._use(account, row)
        else:
            _once(self.balances[kinds[0]], account, _fen(row, kinds[0]))

    def _charge(self, account: str, row: Mapping[str, str]) -> None:
        item, period = row["item"], row["period"]
        if not item or not _is_period(period):
            msg = f"item {item!r}, period {period!r}: allowed are an item and a month YYYY-MM"
            raise ValueError(msg)
        charged, received = _fen(row, "charged"), _fen(row, "received") if row["received"] else 0
        if received > charged:
            msg = (
                f"received: {row['received']}: allowed is up to {row['charged']}, what was charged"
            )
            raise ValueError(msg)
        charge = Charge(period, item)
        found = OpeningCharge(account, charge, charged, received)
        _once(self.charges, (account, charge), found)

    def _use(self, account: str, row: Mapping[str, str]) -> None:
        quantity = exact_decimal(row["used"])
        if not row["item"] or quantity < 0:
            msg = f"used: {row['used']}: allowed is 0 or more of a service that `item` names"
            raise ValueError(msg)
        _once(self.used, (account, row["item"]), quantity)


def _once(held: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if key in held:
        msg = f"{key}: stands twice; allowed is once"
        raise ValueError(msg)
    held[key] = value


def _fen(row: Mapping[str, str], key: str) -> int:
    try:
        fen = yuan_to_fen(row[key])
    except ValueError as error:
        msg = f"{key}: {error}"
        raise ValueError(msg) from None
    if fen < 0:
        msg = f"{key}: {row[key]}: allowed is 0.00 or more"
        raise ValueError(msg)
    return fen


def _is_period(text: str) -> bool:
    return PERIOD.fullmatch(text) is not None
