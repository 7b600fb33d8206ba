"""The kinds of values that a tariff is written in, each with what is allowed."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from cloud.documents import ExactDecimal, WholeNumber

DAY_MINUTES = 24 * 60
HOUR_MINUTES = 60
_LEAP_YEAR = 2024


class SupplyKind(StrEnum):
    """Who the customer of the supply is."""

    COLLECTED = "collected"  # 代抄代收
    RESOLD = "resold"  # 转供
    PUBLIC = "public"  # 公区


class DayType(StrEnum):
    """What kind of day it is to a time-of-use tariff: its own holidays go before weekends."""

    WORKDAY = "workday"
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


def _date(value: object) -> object:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            msg = "allowed is a date such as 2026-07-01"
            raise ValueError(msg) from None
    return value


def _month_day(value: object) -> object:
    if isinstance(value, str):
        month, dash, day = value.partition("-")
        if dash and all(len(part) == 2 and part.isdecimal() for part in (month, day)):  # noqa: PLR2004  # MM-DD
            try:
                date(_LEAP_YEAR, int(month), int(day))
            except ValueError:
                pass
            else:
                return value
    msg = "allowed is a day of the year such as 05-01"
    raise ValueError(msg)


def _supply_kind(value: object) -> object:
    if isinstance(value, str) and value not in set(SupplyKind):
        msg = f"allowed are {', '.join(SupplyKind)}"
        raise ValueError(msg)
    return SupplyKind(value) if isinstance(value, str) else value


def _day_type(value: object) -> object:
    if isinstance(value, str) and value not in set(DayType):
        msg = f"allowed are {', '.join(DayType)}"
        raise ValueError(msg)
    return DayType(value) if isinstance(value, str) else value


def _whole_fen(value: Decimal) -> Decimal:
    if 100 % value.as_integer_ratio()[1]:  # rounding would need a precision
        msg = "allowed is an amount in yuan with at most two decimals, such as '12.50'"
        raise ValueError(msg)
    return value


def _minutes(value: object) -> object:
    if isinstance(value, str):
        hours, colon, minutes = value.partition(":")
        if colon and all(len(part) == 2 and part.isdecimal() for part in (hours, minutes)):  # noqa: PLR2004  # HH:MM
            total = int(hours) * HOUR_MINUTES + int(minutes)
            if int(minutes) < HOUR_MINUTES and total <= DAY_MINUTES:
                return value
    msg = "allowed is a time of day such as 06:00, from 00:00 to 24:00"
    raise ValueError(msg)


Day = Annotated[date, BeforeValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]
MonthDay = Annotated[
    str,
    BeforeValidator(_month_day),
    WithJsonSchema({"type": "string", "pattern": r"^\d\d-\d\d$"}),
]
TimeOfDay = Annotated[
    str, BeforeValidator(_minutes), WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d$"})
]
Kind = Annotated[SupplyKind, BeforeValidator(_supply_kind)]
DayKind = Annotated[DayType, BeforeValidator(_day_type)]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
_DIGITS = r"\d{1,18}(\.\d{1,18})?$"
Price = Annotated[
    ExactDecimal,
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^-?{_DIGITS}"}]}),
]
NotNegative = Annotated[
    ExactDecimal,
    Field(ge=0),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": f"^{_DIGITS}"},
            ]
        }
    ),
]
Fen = Annotated[NotNegative, AfterValidator(_whole_fen)]
Positive = Annotated[
    ExactDecimal,
    Field(gt=0),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": f"^{_DIGITS}"},
            ]
        }
    ),
]
Whole = Annotated[WholeNumber, WithJsonSchema({"type": "integer"})]
Ordinal = Annotated[WholeNumber, Field(ge=1), WithJsonSchema({"type": "integer", "minimum": 1})]
Limits = Annotated[tuple[Positive, ...], Field(min_length=1, strict=False)]


def minute_of(time_of_day: str) -> int:
    """Give the minute of the day of a checked HH:MM."""
    return int(time_of_day[:2]) * HOUR_MINUTES + int(time_of_day[3:])
