"""What the sheets of reports share: the span, the words, and columns of each kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from cloud.errors import CloudError
from cloud.sites.zones import zone_of
from cloud.web.i18n import N_, Language, translations_of
from cloud.workbooks.money_queries import Became
from cloud.workbooks.sheets import Cell, Column, Form
from protocols.delivery.records import instant

_MONTHS: Final = 12
_RATE_DIGITS: Final = Decimal("0.0001")


@dataclass(frozen=True)
class Span:
    """The billing months of a report, YYYY-MM, both included."""

    first: str
    last: str

    def __post_init__(self) -> None:
        """Refuse what are no months, or not in this order."""
        for key, month in (("first", self.first), ("last", self.last)):
            try:
                date.fromisoformat(f"{month}-01")
            except ValueError as error:
                message = f"{key}: {month!r}: allowed is a month, YYYY-MM"
                raise CloudError(message) from error
        if self.first > self.last:
            message = f"last: {self.last}: allowed is {self.first} or later"
            raise CloudError(message)

    @property
    def from_on(self) -> date:
        """Give the first day."""
        return date.fromisoformat(f"{self.first}-01")

    @property
    def to_on(self) -> date:
        """Give the last day."""
        year, month = divmod(month_index(self.last) + 1, _MONTHS)
        return date(year, month + 1, 1) - timedelta(days=1)


class Frame:
    """What the reports of one project read, and the words they are written in."""

    def __init__(
        self, connection: Connection, project_id: str, span: Span, language: Language = "zh"
    ) -> None:
        self.connection = connection
        self.project_id = project_id
        self.span = span
        self.language = language
        self.words: Callable[[str], str] = translations_of(language).gettext
        self.zone = zone_of(connection, project_id)

    def note(self) -> str:
        """Say which months a sheet is of."""
        return self.words(N_("Billing months {first} to {last}")).format(
            first=self.span.first, last=self.span.last
        )

    def text(self, title: str, width: int = 14) -> Column:
        """Return a column of words."""
        return Column(self.words(title), Form.TEXT, width)

    def fen(self, *titles: str) -> list[Column]:
        """Return columns of money that are summed."""
        return [Column(self.words(title), Form.MONEY, 15, is_summed=True) for title in titles]

    def rate(self, title: str) -> Column:
        """Return a column of rates."""
        return Column(self.words(title), Form.RATE, 12)

    def word(self, words: Mapping[str, str], code: str) -> str:
        """Give the word of a code; a code without one stands as it is."""
        return self.words(words.get(code, code))

    def moment(self, at_us: int) -> str:
        """Write an instant in the project's zone."""
        return f"{instant(at_us).astimezone(self.zone):%Y-%m-%d %H:%M:%S}"

    def became(self) -> list[Column]:
        """Return the columns of what became of charges."""
        return self.fen(N_("Charged"), N_("Paid"), N_("Relieved"), N_("Offset"), N_("Owed"))


def became_cells(row: Became) -> tuple[Cell, ...]:
    """Give the cells of what became of charges: 应收, 实收, 减免, 冲抵, 欠费."""
    return row.charged_fen, row.received_fen, row.relieved_fen, row.offset_fen, row.owed_fen


def settled_rate(rows: Sequence[Became]) -> Decimal | None:
    """Give what was received and offset of what was charged and not relieved."""
    settled_fen = sum(row.received_fen + row.offset_fen for row in rows)
    return quotient(settled_fen, sum(row.charged_fen - row.relieved_fen for row in rows))


def quotient(part_fen: int, whole_fen: int) -> Decimal | None:
    """Give a rate to a hundredth of a percent; None where there is nothing it is of."""
    if whole_fen <= 0:
        return None
    return (Decimal(part_fen) / Decimal(whole_fen)).quantize(_RATE_DIGITS)


def overall(place: int, rate: Decimal | None) -> tuple[tuple[int, Decimal], ...]:
    """Give the rate of the last row, none where there is none."""
    return () if rate is None else ((place, rate),)


def month_index(period: str) -> int:
    """Count the months of YYYY-MM from year 0."""
    return int(period[:4]) * _MONTHS + int(period[5:]) - 1
