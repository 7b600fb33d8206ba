"""The usage file of `tariff try`: JSON into a Usage."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field

from cloud.documents import (
    DocumentError,
    StrictModel,
    WholeNumber,
    parse_json,
    parse_model,
)
from cloud.tariffs.usage import Premise, SupplierInvoice, Usage, UsageInterval
from cloud.tariffs.values import Day, NotNegative, Positive


def parse_usage(text: str, *, name: str) -> Usage:
    """Read a usage file; DocumentError with one line per fault."""
    document = parse_json(text, name=name)
    if not isinstance(document, dict):
        msg = f"{name}: allowed is an object with from, to and what was used"
        raise DocumentError(msg)
    form = parse_model(_UsageForm, document, name=name)
    return Usage(
        from_on=form.from_on,
        to_on=form.to_on,
        quantity=form.quantity,
        time_of_use=form.time_of_use,
        intervals=None
        if form.intervals is None
        else tuple(UsageInterval(*interval) for interval in form.intervals),
        used_before=form.used_before,
        carried_before=form.carried_before,
        held_from=form.held_from,
        premise=Premise(**dict(form.premise)),
        invoice=None
        if form.invoice is None
        else SupplierInvoice(amount=form.invoice.amount, quantity=form.invoice.quantity),
    )


def _instant(value: object) -> object:
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            instant = None
        if instant is not None and instant.tzinfo is not None:
            return instant
    msg = "allowed is a time with its offset, such as 2026-07-01T00:00:00+08:00"
    raise ValueError(msg)


_Instant = Annotated[datetime, BeforeValidator(_instant)]


class _PremiseForm(StrictModel):
    area_m2: Positive | None = None
    people: Annotated[WholeNumber, Field(ge=0)] | None = None
    households: Annotated[WholeNumber, Field(ge=1)] = 1
    floor: WholeNumber | None = None
    vehicles: Annotated[WholeNumber, Field(ge=0)] | None = None


class _InvoiceForm(StrictModel):
    amount: NotNegative
    quantity: Positive


class _UsageForm(StrictModel):
    from_on: Day = Field(alias="from")
    to_on: Day = Field(alias="to")
    quantity: NotNegative | None = None
    time_of_use: dict[str, NotNegative] | None = None
    intervals: (
        Annotated[
            tuple[
                Annotated[tuple[_Instant, _Instant, NotNegative], Field(strict=False)],
                ...,
            ],
            Field(strict=False),
        ]
        | None
    ) = None
    used_before: NotNegative = Decimal(0)
    carried_before: NotNegative = Decimal(0)
    held_from: Day | None = None
    premise: _PremiseForm = Field(default_factory=_PremiseForm)
    invoice: _InvoiceForm | None = None
