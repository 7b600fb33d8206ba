"""Numbers, money and times as people read them, by language and the project's time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.numbers import format_decimal

from cloud.web.i18n import LOCALES, TAGS, Language
from protocols.delivery.records import instant

_UOMS = {"m3": "m³", "m3/h": "m³/h", "degC": "℃", "m2": "m²"}
_DASH = "—"
_YEAR_9999_US = 253_370_764_800_000_000


def shown_uom(uom: str) -> str:
    """Return a uom as printed: m3 is m³; watts are shown as kW."""
    return "kW" if uom == "W" else _UOMS.get(uom, uom)


def shown_value(count: int | None, exponent: int, uom: str) -> Decimal | None:
    """Return count x 10**exponent in the uom that pages show (watts as kW, two decimals)."""
    if count is None:
        return None
    value = Decimal(count).scaleb(exponent)
    return value.scaleb(-3).quantize(Decimal("0.01")) if uom == "W" else value


@dataclass(frozen=True)
class Format:
    """How one reader wants to see things."""

    language: Language
    zone: ZoneInfo

    @property
    def tag(self) -> str:
        """Return the BCP 47 tag of the page's language."""
        return TAGS[self.language]

    def money(self, fen: int) -> str:
        """Return integer fen as ¥1,234.56, exactly."""
        whole, part = divmod(abs(fen), 100)
        return f"{'-' if fen < 0 else ''}¥{whole:,}.{part:02d}"

    def number(self, value: Decimal | str | int | None) -> str:
        """Return a number with all its decimals and grouped thousands; a dash for None."""
        if value is None or value == "":
            return _DASH
        exact = Decimal(value)
        exponent = exact.as_tuple().exponent
        places = max(0, -exponent) if isinstance(exponent, int) else 0
        pattern = "#,##0" + ("." + "0" * places if places else "")
        return format_decimal(exact, format=pattern, locale=LOCALES[self.language])

    def value(self, count: int | None, exponent: int, uom: str) -> str:
        """Return a reading's value in the uom that pages show, without the uom."""
        return self.number(shown_value(count, exponent, uom))

    def register(self, count: int | None, exponent: int) -> str:
        """Return a register exactly as its counts say."""
        return self.number(None if count is None else Decimal(count).scaleb(exponent))

    def uom(self, uom: str) -> str:
        """Return a uom as printed; the Chinese of line items is kept in Chinese pages."""
        if self.language == "en":
            for chinese, english in (
                ("户", "household"),
                ("人", "head"),
                ("月", "month"),
                ("天", "day"),
            ):
                uom = uom.replace(chinese, english)
        return "·".join(shown_uom(part) for part in uom.split("·"))

    def datetime(self, at_us: int | None) -> str:
        """Return date and time to the second in the project's zone; a dash for None."""
        if at_us is None:
            return _DASH
        pattern = "yyyy-MM-dd HH:mm:ss" if self.language == "zh" else "d MMM yyyy, HH:mm:ss"
        return format_datetime(
            instant(at_us), pattern, tzinfo=self.zone, locale=LOCALES[self.language]
        )

    def any_instant(self, at_us: int) -> str:
        """Return date and time of an instant that may be nonsense: then its microseconds."""
        return self.datetime(at_us) if 0 <= at_us < _YEAR_9999_US else f"{at_us} µs"

    def short(self, at_us: int | None) -> str:
        """Return month, day, hour and minute in the project's zone; a dash for None."""
        if at_us is None:
            return _DASH
        pattern = "MM-dd HH:mm" if self.language == "zh" else "d MMM HH:mm"
        return format_datetime(
            instant(at_us), pattern, tzinfo=self.zone, locale=LOCALES[self.language]
        )

    def clock(self, at_us: int) -> str:
        """Return hour and minute in the project's zone."""
        return format_time(instant(at_us), "HH:mm", tzinfo=self.zone, locale=LOCALES[self.language])

    def day(self, day: date) -> str:
        """Return a day in the reader's long form."""
        return format_date(day, "long", locale=LOCALES[self.language])

    def period(self, period: str) -> str:
        """Return 2026-10 as 2026年10月 or October 2026."""
        year, _, month = period.partition("-")
        pattern = "yyyy年M月" if self.language == "zh" else "MMMM yyyy"
        first = date(int(year), int(month), 1)
        return format_date(first, pattern, locale=LOCALES[self.language])

    def age(self, at_us: int | None, now_us: int) -> str:
        """Return how long ago an instant was, narrow; a dash for None."""
        if at_us is None:
            return _DASH
        gone = timedelta(microseconds=max(0, now_us - at_us))
        gone = max(gone, timedelta(seconds=1))
        return format_timedelta(
            -gone,
            granularity="second",
            threshold=1,
            add_direction=True,
            format="narrow",
            locale=LOCALES[self.language],
        )

    def iso(self, at_us: int) -> str:
        """Return an instant for machines: RFC 3339 in UTC."""
        return instant(at_us).astimezone(UTC).isoformat().replace("+00:00", "Z")

    def today(self, now_us: int) -> date:
        """Return the project's calendar day of an instant."""
        return instant(now_us).astimezone(self.zone).date()


def midnight_us(day: date, zone: ZoneInfo) -> int:
    """Return the instant at which a calendar day begins in a zone, in microseconds."""
    begin = datetime(day.year, day.month, day.day, tzinfo=zone)
    return int(begin.timestamp()) * 1_000_000
